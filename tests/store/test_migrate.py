"""The schema's revisions, and who may do what with the tables."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pc_core.errors import FixSetting
from pc_core.referral.row import COLUMNS
from pc_core.store import migrate
from pc_core.store.pool import Database
from pc_core.store.reading.reader import PostgresReader
from pc_core.store.roles import apply_roles

type Connection = psycopg.Connection[Any]

VERSIONS = Path(migrate.__file__).parent / "migrations" / "versions"


@pytest.fixture
def empty_sql(empty_database_url: str) -> Iterator[Connection]:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        yield connection


def test_an_empty_database_is_migrated_once(empty_database_url: str) -> None:
    before = migrate.status(empty_database_url)
    applied = migrate.upgrade(empty_database_url)
    again = migrate.upgrade(empty_database_url)
    after = migrate.status(empty_database_url)

    assert (before.current, before.pending, before.is_current) == (None, migrate.revisions(), False)
    assert applied == list(migrate.revisions())
    assert again == []
    assert (after.current, after.pending, after.is_current) == (
        migrate.revisions()[-1],
        (),
        True,
    )


@pytest.mark.parametrize("encoding", ["LATIN1", "LATIN5", "SQL_ASCII"])
def test_a_database_that_stores_no_utf8_is_refused_by_name(
    empty_database_url: str, empty_sql: Connection, encoding: str
) -> None:
    name = f"{empty_sql.info.dbname}_other"
    empty_sql.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode()
    )
    url = empty_database_url.replace(empty_sql.info.dbname, name)
    database = Database(url)
    refused: list[FixSetting] = []

    for call in (
        lambda: migrate.upgrade(url),
        lambda: migrate.status(url),
        PostgresReader(database).schema,
        PostgresReader(database).facts,
    ):
        with pytest.raises(FixSetting) as one:
            call()
        refused.append(one.value)
    database.close()
    empty_sql.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    for error in refused:
        assert error.code == "database_encoding"
        assert encoding in str(error)


def test_two_migrations_at_once_wait_for_each_other(empty_database_url: str) -> None:
    applied: list[list[str]] = []

    def run() -> None:
        applied.append(migrate.upgrade(empty_database_url))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(applied) == [[], list(migrate.revisions())]


def test_a_newer_schema_is_left_alone(database_url: str, sql: Connection) -> None:
    sql.execute("UPDATE partner_center_schema_version SET version_num = '9999'")

    applied = migrate.upgrade(database_url)

    status = migrate.status(database_url)
    assert applied == []
    assert "newer than this release's" in status.in_words()
    assert (status.current, status.newer, status.is_current) == ("9999", True, True)


def test_revisions_ascend_without_gaps_and_each_has_its_loader() -> None:
    numbers = [int(name) for name in migrate.revisions()]

    assert numbers == list(range(1, len(numbers) + 1))
    for path in VERSIONS.glob("*.sql"):
        loader = path.with_suffix(".py").read_text()
        found = re.search(r'^revision = "(\d{4})"$', loader, re.MULTILINE)
        assert found is not None
        assert found[1] == path.name[:4]


def test_every_column_of_a_row_has_its_place(sql: Connection) -> None:
    stored = {
        name
        for (name,) in sql.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'partner_center_referrals'"
        )
    }

    assert set(COLUMNS) <= stored


def test_what_others_read_is_documented_in_the_database(sql: Connection) -> None:
    undocumented = sql.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'v') AND relname <> 'partner_center_schema_version'"
        " AND obj_description(oid, 'pg_class') IS NULL"
    ).fetchall()

    assert undocumented == []


ROLES = ("partner_center_owner", "partner_center_reader", "test_app", "test_deployer")


@pytest.fixture
def no_roles(empty_sql: Connection) -> Iterator[None]:
    """Roles belong to the whole server: they are removed again."""

    def drop() -> None:
        found = [
            role
            for role in ROLES
            if empty_sql.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            is not None
        ]
        for role in (*found, *reversed(found)):
            empty_sql.execute(f"DROP OWNED BY {role} CASCADE")
        for role in found:
            empty_sql.execute(f"DROP ROLE {role}")

    drop()
    yield
    drop()


@pytest.mark.usefixtures("no_roles")
def test_a_deployer_without_superuser_makes_roles_and_migrates(
    empty_database_url: str, empty_sql: Connection
) -> None:
    """The order of a first deployment; twice, since every deployment repeats it."""
    name = empty_sql.info.dbname
    empty_sql.execute("CREATE ROLE test_app LOGIN")
    empty_sql.execute("CREATE ROLE test_deployer LOGIN CREATEROLE PASSWORD 'only-for-this-test'")
    empty_sql.execute(f"GRANT ALL ON DATABASE {name} TO test_deployer WITH GRANT OPTION")
    empty_sql.execute("GRANT ALL ON SCHEMA public TO test_deployer WITH GRANT OPTION")
    host, port = empty_sql.info.host, empty_sql.info.port
    url = f"postgresql://test_deployer:only-for-this-test@{host}:{port}/{name}"

    for _ in range(2):
        with psycopg.connect(url, autocommit=True) as connection:
            apply_roles(connection, app_role="test_app")
        migrate.upgrade(url, app_role="test_app")

    owners = empty_sql.execute(
        "SELECT DISTINCT relowner::regrole::text FROM pg_class"
        " WHERE relname LIKE 'partner_center_%' AND relkind IN ('r', 'v')"
    ).fetchall()
    assert owners == [("partner_center_owner",)]
    check_grants(empty_sql)


@pytest.mark.usefixtures("no_roles")
def test_roles_can_come_after_the_tables(empty_database_url: str, empty_sql: Connection) -> None:
    empty_sql.execute("CREATE ROLE test_app LOGIN")
    migrate.upgrade(empty_database_url)

    apply_roles(empty_sql, app_role="test_app")

    check_grants(empty_sql)


def check_grants(sql: Connection) -> None:
    def may(role: str, table: str, what: str) -> bool:
        row = sql.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, what]).fetchone()
        return row == (True,)

    tables = [
        name
        for (name,) in sql.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'v')"
        )
    ]
    secret = {"partner_center_sync_state", "partner_center_tombstones"}
    for table in tables:
        assert may("partner_center_reader", table, "SELECT") is (table not in secret), table
        assert not may("partner_center_reader", table, "INSERT"), table
        assert may("test_app", table, "SELECT"), table
        assert not may("test_app", table, "TRUNCATE"), table
        changes = may("test_app", table, "INSERT") and may("test_app", table, "DELETE")
        assert changes is (table != "partner_center_schema_version"), table


@pytest.mark.usefixtures("no_roles")
def test_the_app_works_with_its_own_role(empty_database_url: str, empty_sql: Connection) -> None:
    """DML and temporary tables are all that a run needs; the grants put public in its path."""
    from pc_core.store.postgres import PostgresStore
    from tests.store.samples import Saver, referral_json, take

    empty_sql.execute("CREATE ROLE test_app LOGIN PASSWORD 'only-for-this-test'")
    migrate.upgrade(empty_database_url)
    info = empty_sql.info
    empty_sql.execute(f"ALTER DATABASE {info.dbname} SET search_path = elsewhere".encode())
    apply_roles(empty_sql, app_role="test_app")
    database = Database(
        f"postgresql://test_app:only-for-this-test@{info.host}:{info.port}/{info.dbname}"
    )
    store = PostgresStore(database)
    saver = Saver(store=store, lease=take(store))

    saver.save(referral_json(1), referral_json(2, updatedDateTime="yesterday"))
    saver.save(referral_json(1, status="Closed"), seen_in=("sweep",))
    store.erase(saver.lease, referral_ids=["x"], dry_run=False)
    store.purge(saver.lease, older_than_days=1)
    facts = PostgresReader(database).facts()
    assert PostgresReader(database).schema().is_current
    empty_sql.execute(f"REVOKE TEMPORARY ON DATABASE {info.dbname} FROM PUBLIC, test_app".encode())
    with pytest.raises(FixSetting, match="GRANT TEMPORARY") as refused:
        PostgresReader(database).schema()
    database.close()

    assert refused.value.code == "database_denied"
    assert (facts.referrals, facts.quarantine) == (1, 1)
    assert facts.schema.is_current
