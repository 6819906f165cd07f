"""psycopg's errors, translated into the app's: what happened, what was kept, what to do.

No message repeats the server's text: it may quote a row or an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pc_core.errors import FixSetting, TryLater
from pc_core.observe import calls

if TYPE_CHECKING:
    from psycopg import Error

_SAFE = "What was committed before stays; the transaction at hand was rolled back."
_MIGRATE = "Apply the migrations (python -m pc_core migrate) and compare with migrate --status."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    kind: type[FixSetting | TryLater]
    code: str
    what: str
    remedy: str


_UNAVAILABLE = _Meaning(
    kind=TryLater,
    code="database_unavailable",
    what="the database cannot be reached, does not answer or closed the connection",
    remedy="The next run tries again; if it stays so, check that the server runs, its firewall and "
    "the host and port in HUNTER_DATABASE_URL.",
)
_BUSY = _Meaning(
    kind=TryLater,
    code="database_busy",
    what="the database is busy (no free connection, or a lock was held for too long)",
    remedy="The next run tries again; if it stays so, look for long transactions and for other "
    "users of the server's connections.",
)
_TOO_SLOW = _Meaning(
    kind=TryLater,
    code="statement_timeout",
    what="a statement took longer than its time limit",
    remedy="The next run tries again; if it stays so, look at the server's load and long locks.",
)
_DISK_FULL = _Meaning(
    kind=TryLater,
    code="disk_full",
    what="the database server's disk is full",
    remedy="Grow the server's storage; the next run goes on by itself.",
)
_READ_ONLY = _Meaning(
    kind=TryLater,
    code="database_read_only",
    what="the database accepts no writes now (a failover, or its storage is nearly full)",
    remedy="The next run tries again; if it stays so, grow the server's storage.",
)
_DENIED = _Meaning(
    kind=FixSetting,
    code="database_denied",
    what="the database refuses the user, its password or a permission",
    remedy="Check the user in HUNTER_DATABASE_URL, that its role exists, and its grants "
    "(python -m pc_core migrate applies them for the roles that exist).",
)
_MISSING = _Meaning(
    kind=FixSetting,
    code="database_missing",
    what="the server has no database of that name",
    remedy="Create it, or correct the name in HUNTER_DATABASE_URL.",
)
_NOT_MIGRATED = _Meaning(
    kind=FixSetting,
    code="migration_missing",
    what="a table or column is missing: the schema is older than the code",
    remedy=_MIGRATE,
)
_BAD_URL = _Meaning(
    kind=FixSetting,
    code="database_url_invalid",
    what="HUNTER_DATABASE_URL cannot be used (an unknown part, or a TLS file that is missing)",
    remedy="Correct it; the form is postgresql://user@host:5432/database?sslmode=verify-full.",
)
_TLS = _Meaning(
    kind=FixSetting,
    code="database_tls_refused",
    what="the TLS connection that HUNTER_DATABASE_URL asks for cannot be made",
    remedy="Check sslmode and sslrootcert in it, and the server's certificate.",
)

_BY_STATE: dict[str, _Meaning] = {
    "25006": _READ_ONLY,
    "25P03": _UNAVAILABLE,
    "25P04": _TOO_SLOW,
    "28000": _DENIED,
    "28P01": _DENIED,
    "3D000": _MISSING,
    "3F000": _NOT_MIGRATED,
    "40001": _BUSY,
    "40P01": _BUSY,
    "42501": _DENIED,
    "42703": _NOT_MIGRATED,
    "42883": _NOT_MIGRATED,
    "42P01": _NOT_MIGRATED,
    "42P10": _NOT_MIGRATED,
    "53100": _DISK_FULL,
    "53300": _BUSY,
    "55P03": _BUSY,
    "57014": _TOO_SLOW,
}
"""By SQLSTATE (PostgreSQL's appendix A)."""

_BY_CLASS: dict[str, _Meaning] = {"08": _UNAVAILABLE, "53": _UNAVAILABLE, "57": _UNAVAILABLE}

_BY_WORDS: tuple[tuple[re.Pattern[str], _Meaning], ...] = tuple(
    (re.compile(words, re.IGNORECASE), meaning)
    for words, meaning in (
        (r'database "[^"]*" does not exist|no such database', _MISSING),
        (r"remaining connection slots|too many (clients|connections)|no more connections", _BUSY),
        (
            r"authentication failed|no password supplied|no pg_hba\.conf entry|no such user",
            _DENIED,
        ),
        (
            r'role "[^"]*" (does not exist|is not permitted)|permission denied|SASL',
            _DENIED,
        ),
        (r"root certificate file|certificate verify failed|does not support SSL|SSL error", _TLS),
        (r"server certificate for .* does not match", _TLS),
        (r"invalid (connection option|URI|sslmode|port|integer)|missing .* in .*URI", _BAD_URL),
    )
)
"""For refused connections, which have no SQLSTATE: words of libpq and PgBouncer, in English."""


def _translate(error: Error, doing: str) -> Exception:
    meaning = _meaning_of(error)
    if meaning is None:
        # This is a defect of the app, so it must not look like a fault of the database.
        return RuntimeError(
            f"Could not {doing}: the database refused a statement "
            f"({type(error).__name__}, SQLSTATE {error.sqlstate or 'none'}). {_SAFE}"
        )
    return meaning.kind(
        f"Could not {doing}: {meaning.what}. {_SAFE} {meaning.remedy}", code=meaning.code
    )


def _meaning_of(error: Error) -> _Meaning | None:
    import psycopg

    if error.sqlstate is not None:
        return _BY_STATE.get(error.sqlstate) or _BY_CLASS.get(error.sqlstate[:2])
    for words, meaning in _BY_WORDS:
        if words.search(str(error)):
            return meaning
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return _UNAVAILABLE
    if isinstance(error, psycopg.ProgrammingError):
        return _BAD_URL
    return None


def is_data_error(error: Exception) -> bool:
    """Whether the database, or psycopg, refused a value rather than the statement.

    SQLSTATE classes: 22 data, 23 constraint, 54 a limit such as the size of an index entry. psycopg
    itself refuses NUL and lone surrogates, without a SQLSTATE.
    """
    import psycopg

    if isinstance(error, UnicodeError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in ("22", "23", "54")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Translate psycopg's errors into the app's, and record the block as one database call.

    Other errors pass unchanged.

    Args:
        doing: completes "Could not …".

    Raises:
        TryLater: out of reach, busy, read-only or full.
        FixSetting: denied, missing, or not migrated.
        RuntimeError: the database refused a statement of the app: a defect.
    """
    import psycopg

    with calls.calling("postgres"):
        try:
            yield
        except psycopg.Error as error:
            raise _translate(error, doing) from None
