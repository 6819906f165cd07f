"""The connection pool."""

import subprocess
import sys
import time
from typing import Any

import psycopg

from pc_core.store.pool import Database
from pc_core.store.reading.reader import PostgresReader

type Connection = psycopg.Connection[Any]


def test_one_connection_serves_call_after_call(database: Database, sql: Connection) -> None:
    reader = PostgresReader(database)
    for _ in range(5):
        reader.schema()

    assert sql.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'partner-center-sync'"
    ).fetchone() == (1,)


def test_what_a_caller_leaves_open_is_rolled_back(database: Database, sql: Connection) -> None:
    with database.connection() as connection:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM partner_center_sync_state")

    assert sql.execute("SELECT count(*) FROM partner_center_sync_state").fetchone() == (1,)
    with database.connection() as connection:
        row = connection.execute("SELECT now() <> statement_timestamp()").fetchone()
    assert row == (False,)


def test_a_closed_database_opens_again(database: Database) -> None:
    reader = PostgresReader(database)
    reader.schema()

    database.close()
    database.close()

    assert reader.schema().is_current


def test_a_program_that_forgets_to_close_ends_at_once(database_url: str) -> None:
    program = (
        "import sys\n"
        "from pc_core.store.reading.reader import Database, PostgresReader\n"
        "reader = PostgresReader(Database(sys.argv[1]))\n"
        "print(reader.schema().is_current)\n"
    )
    began = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-c", program, database_url], capture_output=True, text=True, check=True
    )

    assert done.stdout == "True\n"
    assert done.stderr == ""
    assert time.monotonic() - began < 5


def test_a_connection_that_the_server_ended_a_moment_ago_is_replaced(
    database: Database, sql: Connection
) -> None:
    reader = PostgresReader(database)
    for _ in range(3):
        reader.schema()
        sql.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'partner-center-sync'"
        )

        assert reader.schema().is_current
