"""Connections to the database: few, opened when needed, each with a new password."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol, cast

from pc_core.errors import FixSetting, TryLater
from pc_core.identity.credential import identity_credential

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.adapt import AdaptersMap
    from psycopg_pool import ConnectionPool

type Connect = Callable[[], AbstractContextManager[Connection[Any]]]
"""Opens a connection; see `Database.connection`."""

ENTRA_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
"""The scope of tokens for Azure Database for PostgreSQL (Microsoft's documentation)."""

MAX_LIFETIME_S = 45 * 60.0
"""Entra's database tokens last about an hour; connections are replaced well before that."""

CONNECT_TIMEOUT_S = 10

SILENCE_S = 65.0
"""Longest wait for an answer.

The server ends a statement after 60 seconds (limits.sql). A host or pooler that has vanished ends
nothing, and TCP notices only some of these cases."""

PATIENCE_S = 305.0
"""The same, in transactions whose statements may take 300 seconds."""

_LAST_WORDS_S = 10.0
"""Longest wait for an answer once a run's time is over, so that its end can still be written."""

_VERIFIED = "verify-full"
"""The sslmode in which libpq checks the server's certificate and its name."""

_LOOK_EVERY_S = 0.2
_FRESH_S = 1.0
"""A connection returned more recently than this is only checked if its socket has data to read."""

_MAX_IDLE_S = 300.0


def entra_password(client_id: str | None) -> Callable[[], str]:
    """A source of database passwords: Entra tokens of the app's identity.

    azure-identity caches each token until it is about to expire.

    Args:
        client_id: of the user-assigned identity; None: whatever identity the machine offers.
    """
    credential = cache(lambda: identity_credential(client_id))

    def password() -> str:
        from azure.core.exceptions import AzureError
        from azure.identity import CredentialUnavailableError

        try:
            token: str = credential().get_token(ENTRA_SCOPE).token
        except CredentialUnavailableError:
            raise FixSetting(
                "No password for the database: HUNTER_DATABASE_URL has none, and this machine "
                "offers no Entra identity for a token. Nothing was written. Assign the managed "
                "identity (AZURE_CLIENT_ID), sign in locally, or put a password in the URL.",
                code="database_identity_missing",
            ) from None
        except AzureError:
            raise TryLater(
                "Entra gave no token for the database. Nothing was written; the next run tries "
                "again. If it stays so, check the managed identity.",
                code="database_unavailable",
            ) from None
        return token

    return password


class Database:
    """A database by its libpq URL.

    Args:
        url: libpq URL or connection string. Where it states no sslmode and its host is not this
            machine, sslmode is verify-full.
        password: asked once per connection attempt where `url` has neither password nor passfile
            and its host is not this machine; None: libpq finds its own.
        max_size: most connections at a time. Two let a run write while its heartbeat beats; small
            servers have 35 in all.
        silence_s: longest wait for an answer of the server.
    """

    def __init__(
        self,
        url: str,
        *,
        password: Callable[[], str] | None = None,
        max_size: int = 2,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._url = url
        self._password = password
        self._max_size = max_size
        self._silence_s = silence_s
        self._pool: ConnectionPool[Any] | None = None
        self._closing: weakref.finalize[..., Any] | None = None
        self._lock = threading.Lock()
        self._last_failure: tuple[float, Exception] | None = None
        self._resting: weakref.WeakKeyDictionary[Connection[Any], float] = (
            weakref.WeakKeyDictionary()
        )

    @contextmanager
    def connection(
        self, remaining_s: Callable[[], float] | None = None
    ) -> Iterator[Connection[Any]]:
        """A pooled connection in autocommit; a transaction left open in it is rolled back.

        Args:
            remaining_s: the seconds that the caller has left, asked before each wait for an
                answer; an answer may take a few seconds more. None: the usual limit alone. So
                long also waits a run for a connection that the page's visitors are using.

        Raises:
            psycopg.Error: callers translate it with `faults.translated`.
        """
        pool = self._opened()
        connection = self._wait_for(pool, remaining_s)
        limit = _limit(connection)
        limit.remaining_s = remaining_s
        try:
            yield connection
        finally:
            limit.silence_s, limit.remaining_s = self._silence_s, None
            _roll_back_what_is_open(connection)
            self._resting[connection] = time.monotonic()
            pool.putconn(connection)

    def connect(self, **options: Any) -> Connection[Any]:
        """One connection of its own, for a command; the caller closes it.

        Raises:
            psycopg.Error: as `connection`.
        """
        from psycopg import Connection

        connection = Connection.connect(**(self._arguments() | options))
        _ask_for_iso_dates(connection)
        return connection

    def close(self) -> None:
        """Close all pooled connections; a later call opens new ones."""
        with self._lock:
            self._pool, closing = None, self._closing
        if closing is not None:
            closing()

    def _arguments(self) -> dict[str, Any]:
        from psycopg import ClientCursor
        from psycopg.conninfo import conninfo_to_dict

        given = conninfo_to_dict(self._url)
        arguments: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "partner-center-sync",
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            **{name: value for name, value in given.items() if value is not None},
            # The app writes JSON in UTF-8 as it is; a role or a database may be set otherwise.
            "client_encoding": "UTF8",
            "autocommit": True,
            "prepare_threshold": None,
            "cursor_factory": ClientCursor,
            "context": _adapters(),
        }
        mode = _stated_sslmode(given)
        if mode is None and _leaves_this_machine(given):
            # libpq's own default sends a password in clear to whoever declines TLS.
            mode = arguments["sslmode"] = _VERIFIED
        if _needs_authorities(given, mode):
            from certifi import where

            arguments["sslrootcert"] = where()
        if self._password is not None and _needs_password(given):
            if mode != _VERIFIED and _leaves_this_machine(given):
                raise FixSetting(
                    f"HUNTER_DATABASE_URL (or PGSSLMODE) says sslmode={mode}, and the database's "
                    "password is a token of Entra ID, which goes only to a server whose "
                    "certificate was checked. No connection was made. Write sslmode=verify-full, "
                    "or leave sslmode out, which means the same.",
                    code="database_tls_too_weak",
                )
            arguments["password"] = self._password()
        return arguments

    def _opened(self) -> ConnectionPool[Any]:
        with self._lock:
            if self._pool is None:
                from psycopg_pool import ConnectionPool

                # Our errors report failed attempts; the pool would log them with addresses.
                logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
                self._pool = ConnectionPool(
                    kwargs=self._arguments_or_note,
                    connection_class=_noting(self._note, self._silence_s),
                    min_size=0,
                    max_size=self._max_size,
                    max_lifetime=MAX_LIFETIME_S,
                    max_idle=_MAX_IDLE_S,
                    reconnect_timeout=0.001,
                    check=self._check,
                    num_workers=1,
                    open=True,
                    name="partner-center-sync",
                )
                # Without this, a program that never closes it would wait for the pool's threads.
                self._closing = weakref.finalize(self, self._pool.close)
            return self._pool

    def _wait_for(
        self, pool: ConnectionPool[Any], remaining_s: Callable[[], float] | None
    ) -> Connection[Any]:
        # The pool connects in its own thread and only reports a timeout. Short timeouts let a
        # refused connection be raised at once, with its reason.
        from psycopg_pool import PoolTimeout

        began = time.monotonic()
        patience_s = CONNECT_TIMEOUT_S + 1.0
        if remaining_s is not None:
            patience_s = max(patience_s, remaining_s())
        while True:
            try:
                connection: Connection[Any] = pool.getconn(timeout=_LOOK_EVERY_S)
            except PoolTimeout:
                failure = self._last_failure
                if failure is not None and failure[0] >= began:
                    raise failure[1] from None
                if time.monotonic() - began > patience_s:
                    raise
            else:
                return connection

    def _check(self, connection: Connection[Any]) -> None:
        """See that a connection from the pool still works.

        A run saves page after page: a round trip for each transaction is spared if the connection
        was in use a moment ago. A server that ends a connection sends a message on it first.
        """
        from psycopg_pool import ConnectionPool

        rested_s = time.monotonic() - self._resting.get(connection, -_FRESH_S)
        if rested_s >= _FRESH_S or _has_news(connection):
            limit = _limit(connection)
            limit.silence_s = min(self._silence_s, CONNECT_TIMEOUT_S)
            ConnectionPool.check_connection(connection)
            limit.silence_s = self._silence_s

    def _note(self, failure: Exception) -> None:
        self._last_failure = (time.monotonic(), failure)

    def _arguments_or_note(self) -> dict[str, Any]:
        try:
            return self._arguments()
        except Exception as failure:
            self._note(failure)
            raise


class _Limited(Protocol):
    """The time limits of a pooled connection."""

    silence_s: float
    remaining_s: Callable[[], float] | None


def _limit(connection: Connection[Any]) -> _Limited:
    limited: Any = connection
    return cast("_Limited", limited)


def be_patient(connection: Connection[Any]) -> None:
    """Wait up to `PATIENCE_S` for answers on a connection, until it is returned."""
    limit = _limit(connection)
    limit.silence_s = max(limit.silence_s, PATIENCE_S)


def _has_news(connection: Connection[Any]) -> bool:
    """Whether there is unread data: as a rule, the server has ended the connection."""
    if connection.closed:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


def _roll_back_what_is_open(connection: Connection[Any]) -> None:
    from psycopg import Error
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        # A dead connection is rolled back by the server and noticed by the pool.
        with suppress(Error):
            connection.rollback()


def _needs_password(given: dict[str, Any]) -> bool:
    if given.get("password") or given.get("passfile") or given.get("service"):
        return False
    return not all(map(_is_this_machine, str(given.get("host") or "").split(",")))


def _stated_sslmode(given: dict[str, Any]) -> str | None:
    mode = given.get("sslmode") or os.environ.get("PGSSLMODE")
    return str(mode) if mode else None


def _leaves_this_machine(given: dict[str, Any]) -> bool:
    """Whether a connection goes to another machine; libpq prefers an address to a name."""
    if given.get("service"):
        return False  # The service file states its own host and sslmode.
    hosts = str(given.get("host") or os.environ.get("PGHOST", "")).split(",")
    addresses = str(given.get("hostaddr") or os.environ.get("PGHOSTADDR", "")).split(",")
    return not all(
        _is_this_machine(address or host)
        for host, address in zip_longest(hosts, addresses, fillvalue="")
    )


def _is_this_machine(host: str) -> bool:
    return host == "" or host.startswith(("/", "@")) or host in ("localhost", "127.0.0.1", "::1")


def _needs_authorities(given: dict[str, Any], mode: str | None) -> bool:
    # The libpq in psycopg's wheels finds no certificate authorities: it looks in the folders of
    # the machine that built it.
    return (
        mode in ("verify-ca", _VERIFIED)
        and not given.get("sslrootcert")
        and "PGSSLROOTCERT" not in os.environ
    )


def _noting(note: Callable[[Exception], None], silence: float) -> type[Connection[Any]]:
    from psycopg import Connection, OperationalError
    from psycopg.pq import TransactionStatus

    class NotingConnection(Connection[Any]):
        """A connection that notes failed attempts and limits its wait for an answer.

        psycopg itself would wait for ever.
        """

        silence_s = silence
        remaining_s: Callable[[], float] | None = None

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            if timeout is None:
                timeout = self.silence_s
                if self.remaining_s is not None:
                    timeout = min(timeout, self.remaining_s() + _LAST_WORDS_S)
            try:
                return super().wait(gen, interval, timeout)
            except OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    # Part of the answer is unread, so nothing else can be sent on it.
                    self.pgconn.finish()
                raise

        @classmethod
        def connect(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                connection = super().connect(*args, **kwargs)
                _ask_for_iso_dates(connection)
            except Exception as failure:
                note(failure)
                raise
            else:
                return connection

    return NotingConnection


def _ask_for_iso_dates(connection: Connection[Any]) -> None:
    """Have dates sent in the only style that psycopg reads, whatever the role or database says.

    PgBouncer repeats this setting on each server connection that it gives to the client.
    """
    if not (connection.info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        connection.execute("SET DateStyle = 'ISO'")
        connection.commit()


@cache
def _adapters() -> AdaptersMap:
    """The adapters of psycopg, with instants in UTC whatever the server's time zone."""
    import psycopg
    from psycopg.adapt import AdaptersMap
    from psycopg.types.datetime import TimestamptzLoader

    class UtcLoader(TimestamptzLoader):
        """timestamptz as an aware datetime in UTC."""

        def load(self, data: Any) -> datetime:
            return super().load(data).astimezone(UTC)

    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_loader("timestamptz", UtcLoader)
    return adapters
