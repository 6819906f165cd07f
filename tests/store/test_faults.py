"""psycopg's errors are translated into the app's, and no message holds a secret."""

import socket
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pc_core.errors import FixSetting, TryLater
from pc_core.store import migrate
from pc_core.store.faults import translated
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from tests.store.samples import report, take

type Connection = psycopg.Connection[Any]

SECRET = "not-to-be-told"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def parts(url: str) -> dict[str, Any]:
    return psycopg.conninfo.conninfo_to_dict(url)


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"port": None}, TryLater, "database_unavailable"),
        ({"host": "nowhere.invalid"}, TryLater, "database_unavailable"),
        ({"dbname": "no_such_database"}, FixSetting, "database_missing"),
        ({"password": SECRET}, FixSetting, "database_denied"),
        ({"user": "no_such_user"}, FixSetting, "database_denied"),
        ({"sslmode": "require"}, FixSetting, "database_tls_refused"),
        ({"sslmode": "verify-full", "sslrootcert": "/no/such"}, FixSetting, "database_tls_refused"),
        ({"sslmode": "perhaps"}, FixSetting, "database_url_invalid"),
    ],
    ids=["port", "host", "database", "password", "user", "tls", "certificate", "option"],
)
def test_a_refused_connection_is_explained(
    database_url: str, change: dict[str, Any], kind: type[Exception], code: str
) -> None:
    wanted = {name: closed_port() if name == "port" else new for name, new in change.items()}
    url = psycopg.conninfo.make_conninfo(**(parts(database_url) | wanted))
    database = Database(url)

    def told(call: Callable[[], object]) -> Any:
        with pytest.raises((TryLater, FixSetting)) as refused:
            call()
        return refused.value

    errors = [
        told(lambda: migrate.status(url)),
        told(PostgresStore(database).load_state),
        told(PostgresStore(database).load_state),
    ]
    database.close()

    for error in errors:
        assert type(error) is kind
        assert getattr(error, "code", None) == code
        assert SECRET not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__


def test_an_unreadable_url_is_a_setting_to_fix() -> None:
    database = Database(f"postgresql://user:{SECRET}@host:port/db?nonsense=1")

    with pytest.raises(FixSetting) as refused:
        PostgresStore(database).load_state()
    database.close()

    assert refused.value.code == "database_url_invalid"
    assert SECRET not in str(refused.value)


def test_missing_tables_mean_a_missing_migration(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    store = PostgresStore(database)

    for call in (store.load_state, store.load_tombstones, lambda: store.unseen(limit=1)):
        with pytest.raises(FixSetting) as missing:
            call()
        assert missing.value.code == "migration_missing"
        assert "migrate" in str(missing.value)
    database.close()


def test_a_missing_column_means_a_missing_migration(store: PostgresStore, sql: Connection) -> None:
    sql.execute("ALTER TABLE partner_center_sync_state DROP COLUMN shrank_at")

    with pytest.raises(FixSetting) as missing:
        store.load_state()

    assert missing.value.code == "migration_missing"


def test_a_read_only_database_is_a_passing_trouble(database_url: str, sql: Connection) -> None:
    sql.execute(f"ALTER DATABASE {sql.info.dbname} SET default_transaction_read_only = on")
    database = Database(database_url)

    with pytest.raises(TryLater) as refused:
        PostgresStore(database).take_lease(report(), holder="x", ttl_s=60)
    database.close()

    assert refused.value.code == "database_read_only"


@pytest.mark.parametrize(
    ("statement", "kind", "code"),
    [
        ("SET statement_timeout = '10ms'; SELECT pg_sleep(5)", TryLater, "statement_timeout"),
        (
            "SET lock_timeout = '10ms'; SELECT * FROM partner_center_sync_runs",
            TryLater,
            "database_busy",
        ),
        (
            "SET ROLE pg_monitor; SELECT * FROM partner_center_sync_runs",
            FixSetting,
            "database_denied",
        ),
        ("SELECT pg_terminate_backend(pg_backend_pid())", TryLater, "database_unavailable"),
        ("SELEKT 1", RuntimeError, None),
        ("SELECT 1 / 0", RuntimeError, None),
    ],
    ids=["slow", "locked", "denied", "ended", "syntax", "data"],
)
def test_a_refused_statement_is_explained(
    database: Database, database_url: str, statement: str, kind: type[Exception], code: str | None
) -> None:
    with psycopg.connect(database_url) as blocker:
        if "lock_timeout" in statement:
            blocker.execute("LOCK TABLE partner_center_sync_runs")
        with pytest.raises(kind) as refused, translated("try this"), database.connection() as one:
            one.execute(statement.encode())
        blocker.rollback()

    assert getattr(refused.value, "code", None) == code
    assert str(refused.value).startswith("Could not try this: ")


def test_a_connection_that_died_in_the_pool_is_replaced(
    store: PostgresStore, sql: Connection
) -> None:
    take(store)
    sql.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    assert store.load_sign_in() is None


def test_the_password_is_asked_for_each_connection_where_the_url_has_none(
    database_url: str,
) -> None:
    given = parts(database_url)
    password = given.pop("password")
    asked: list[int] = []

    def tell() -> str:
        asked.append(1)
        return str(password)

    # With a host name: for this machine's own names no password is asked for.
    remote = psycopg.conninfo.make_conninfo(
        **(given | {"host": "database.example", "hostaddr": "127.0.0.1"})
    )
    database = Database(remote, password=tell)
    PostgresReader(database).schema()
    PostgresReader(database).schema()
    database.close()
    PostgresReader(database).schema()
    database.close()
    PostgresReader(with_url := Database(database_url, password=tell)).schema()
    with_url.close()

    assert len(asked) == 2


def test_a_password_that_cannot_be_had_is_told_at_once() -> None:
    def tell() -> str:
        raise FixSetting("No identity here.", code="database_identity_missing")

    database = Database("postgresql://app@database.example/db", password=tell)

    with pytest.raises(FixSetting) as refused:
        PostgresStore(database).load_state()
    database.close()

    assert refused.value.code == "database_identity_missing"
