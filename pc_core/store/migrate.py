"""The schema's revision: the code's, the database's, and the migration from one to the other.

Alembic is only imported by `upgrade`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pc_core.errors import FixSetting
from pc_core.store.faults import translated
from pc_core.store.pool import Database

if TYPE_CHECKING:
    from psycopg import Connection
    from sqlalchemy import Connection as AlchemyConnection

VERSION_TABLE = "partner_center_schema_version"
"""Alembic's table, renamed: the database may hold other applications' tables."""

OWNER_ROLE = "partner_center_owner"

LOCK_KEY = 0x70635F6D6967  # "pc_mig" in ASCII
"""Key of the advisory lock. It is held for one transaction only, so it also works with a pooler."""

_SETTINGS = {"lock_timeout": "30s", "statement_timeout": "600s", "search_path": "public"}
"""Of the migration's transaction; lock_timeout also limits the wait for another migration."""

_FOLDER = Path(__file__).with_name("migrations")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """The schema's revision, compared with the code's.

    Attributes:
        current: the database's revision; None: never migrated.
        expected: the newest revision that this code knows.
        pending: revisions to apply, oldest first.
        newer: the database has a revision that this code does not know.
    """

    current: str | None
    expected: str
    pending: tuple[str, ...]
    newer: bool

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be applied; a newer schema works with older code too."""
        return not self.pending

    def in_words(self) -> str:
        """Where the schema stands, to go after "the schema is"."""
        if self.newer:
            return f"at {self.current}, newer than this release's {self.expected}: it works too"
        if self.pending:
            return f"at {self.current or 'nothing yet'}; {', '.join(self.pending)} to be applied"
        return f"at {self.current}, as this release expects"


@cache
def revisions() -> tuple[str, ...]:
    """All revisions that this code knows, oldest first, by the names of the SQL files."""
    return tuple(sorted(path.name[:4] for path in (_FOLDER / "versions").glob("[0-9]*.sql")))


def compare(current: str | None) -> MigrationStatus:
    """Which revisions a database at revision `current` lacks."""
    known = revisions()
    newer = current is not None and current not in known
    pending = () if newer else tuple(name for name in known if current is None or name > current)
    return MigrationStatus(current=current, expected=known[-1], pending=pending, newer=newer)


def status(database_url: str, *, password: Callable[[], str] | None = None) -> MigrationStatus:
    """Compare the database's revision with the code's.

    Raises:
        TryLater, FixSetting: the database is out of reach or refuses.
    """
    with translated("read the schema's revision"):
        connection = Database(database_url, password=password).connect()
        with connection:
            return compare(read_revision(connection))


def check_encoding(connection: Connection[Any]) -> None:
    """Refuse a database that does not store UTF-8: it cannot hold every customer's name.

    Raises:
        FixSetting: naming the encoding.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise FixSetting(
            f"The database stores text as {encoding}, and referrals need UTF8. Nothing was "
            "changed. Create a database with ENCODING 'UTF8' (TEMPLATE template0), migrate it, "
            "and name it in HUNTER_DATABASE_URL.",
            code="database_encoding",
        )


def read_revision(connection: Connection[Any]) -> str | None:
    """The database's revision; None: never migrated.

    Raises:
        FixSetting: the database does not store UTF-8.
    """
    check_encoding(connection)
    found = connection.execute(
        "SELECT to_regclass('public.partner_center_schema_version') IS NOT NULL"
    ).fetchone()
    if found != (True,):
        return None
    row = connection.execute(
        "SELECT version_num FROM public.partner_center_schema_version"
    ).fetchone()
    return str(row[0]) if row else None


def upgrade(
    database_url: str,
    *,
    password: Callable[[], str] | None = None,
    app_role: str | None = None,
) -> list[str]:
    """Apply all pending revisions in one transaction and return them; none if there are none.

    A schema that is newer than this code stays as it is, with its grants: an older release works
    with it.

    A second caller waits for the first. If the role `partner_center_owner` exists and the user is
    a member of it, it becomes the owner of new tables. Afterwards the grants of roles.sql are made
    for the roles that exist (and for `app_role`, if given).

    Raises:
        FixSetting: the database refuses.
        TryLater: out of reach, or a lock could not be had in time.
    """
    from pc_core.store.roles import apply_roles

    database = Database(database_url, password=password)
    with translated("migrate the database"):
        applied = _run_alembic(database)
        with database.connect() as connection:
            if not compare(read_revision(connection)).newer:
                apply_roles(connection, app_role=app_role, create=False)
    return applied


def _run_alembic(database: Database) -> list[str]:
    import psycopg
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    def connect() -> psycopg.Connection[Any]:
        connection = database.connect(autocommit=False, cursor_factory=psycopg.Cursor)
        try:
            check_encoding(connection)
        except FixSetting:
            connection.close()
            raise
        return connection

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            for setting, value in _SETTINGS.items():
                connection.execute(
                    text("SELECT set_config(:name, :value, true)"),
                    {"name": setting, "value": value},
                )
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            become_owner(connection)
            return _upgrade_within(connection)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from None
        raise
    finally:
        engine.dispose()


def become_owner(connection: AlchemyConnection) -> None:
    """Act as the role that owns the tables for this transaction, if the user may."""
    from sqlalchemy import text

    member = connection.execute(
        text(
            "SELECT pg_has_role(current_user, oid, 'USAGE') AND rolname <> current_user "
            "AND has_schema_privilege(oid, 'public', 'CREATE') "
            "FROM pg_roles WHERE rolname = :owner"
        ),
        {"owner": OWNER_ROLE},
    ).scalar()
    if member:
        connection.execute(text(f"SET LOCAL ROLE {OWNER_ROLE}"))


def _upgrade_within(connection: AlchemyConnection) -> list[str]:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext

    def current() -> str | None:
        return MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "version_table_schema": "public"}
        ).get_current_revision()

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    before = compare(current())
    if before.newer:
        return []
    command.upgrade(config, "head")
    return list(before.pending)
