"""The connection pool."""

import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pc_core.errors import FixSetting, TryLater
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.state import SyncState
from tests.store.samples import Saver, referral_json, take

type Connection = psycopg.Connection[Any]

SECRET = "not-to-be-told"
THIS_MACHINE = "127.0.0.1"
ANOTHER_MACHINE = "127.0.0.2"
"""An address that the app does not know as its own machine's, although it is."""


@contextmanager
def server_without_tls(address: str) -> Iterator[tuple[int, bytearray]]:
    """A server that declines encryption and asks for the password: its port, what it was sent."""
    heard = bytearray()

    class Conversation(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while sent := self.request.recv(4096):
                heard.extend(sent)
                if sent[4:8] in (struct.pack("!i", 80877103), struct.pack("!i", 80877104)):
                    self.request.sendall(b"N")
                elif sent[:1] == b"p":
                    return
                else:
                    self.request.sendall(b"R" + struct.pack("!ii", 8, 3))

    with socketserver.ThreadingTCPServer((address, 0), Conversation) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], heard
        server.shutdown()


def first_error(url: str, *, token: str | None = None) -> Any:
    database = Database(url, password=None if token is None else lambda: token)
    with pytest.raises(Exception) as refused:
        PostgresStore(database).load_state()
    database.close()
    return refused.value


@pytest.mark.parametrize(
    ("user", "token"), [(f"app:{SECRET}", None), ("app", SECRET)], ids=["password", "token"]
)
@pytest.mark.parametrize("host", [ANOTHER_MACHINE, f"localhost,{ANOTHER_MACHINE}", "db.example"])
def test_no_secret_goes_to_another_machine_without_tls(
    user: str, token: str | None, host: str
) -> None:
    with server_without_tls(ANOTHER_MACHINE) as (port, heard):
        address = f"&hostaddr={ANOTHER_MACHINE}" if host == "db.example" else ""
        error = first_error(
            f"postgresql://{user}@{host}:{port}/db?gssencmode=disable{address}", token=token
        )

    assert heard
    assert SECRET.encode() not in heard
    assert error.code == "database_tls_refused"


def test_within_this_machine_a_password_needs_no_tls() -> None:
    with server_without_tls(THIS_MACHINE) as (port, heard):
        first_error(f"postgresql://app:{SECRET}@{THIS_MACHINE}:{port}/db")

    assert SECRET.encode() in heard


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
@pytest.mark.parametrize("stated_in", ["url", "environment"])
def test_a_token_goes_to_no_server_that_is_not_checked(
    mode: str, stated_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_without_tls(ANOTHER_MACHINE) as (port, heard):
        url = f"postgresql://app@{ANOTHER_MACHINE}:{port}/db"
        if stated_in == "url":
            url += f"?sslmode={mode}"
        else:
            monkeypatch.setenv("PGSSLMODE", mode)
        error = first_error(url, token=SECRET)

    assert not heard
    assert isinstance(error, FixSetting)
    assert error.code == "database_tls_too_weak"
    assert mode in str(error)


def test_an_operator_may_state_a_weaker_mode_for_a_password_of_their_own() -> None:
    with server_without_tls(ANOTHER_MACHINE) as (port, heard):
        first_error(f"postgresql://app:{SECRET}@{ANOTHER_MACHINE}:{port}/db?sslmode=disable")

    assert SECRET.encode() in heard


def test_without_a_stated_mode_the_usual_authorities_are_trusted() -> None:
    from certifi import where

    arguments = Database("postgresql://app@database.example/db")._arguments()

    assert (arguments["sslmode"], arguments["sslrootcert"]) == ("verify-full", where())
    assert "sslmode" not in Database("postgresql:///db?host=/run/postgresql")._arguments()


@pytest.mark.parametrize("set_by", ["database", "environment", "url"])
def test_text_arrives_whole_whatever_encoding_is_set(
    database_url: str, sql: Connection, monkeypatch: pytest.MonkeyPatch, set_by: str
) -> None:
    if set_by == "database":
        sql.execute(f"ALTER DATABASE {sql.info.dbname} SET client_encoding = 'LATIN5'".encode())
    elif set_by == "environment":
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN5")
    url = database_url + ("?client_encoding=LATIN5" if set_by == "url" else "")
    database = Database(url)
    store = PostgresStore(database)
    saver = Saver(store=store, lease=take(store))

    saver.save(referral_json(1, name="Gökçeyayla İş Ğ 谷"))
    database.close()

    with psycopg.connect(database_url, client_encoding="UTF8") as look:
        found = look.execute(
            "SELECT name, raw_data ->> 'name' FROM partner_center_referrals"
        ).fetchall()
    assert found == [("Gökçeyayla İş Ğ 谷", "Gökçeyayla İş Ğ 谷")]


@pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
def test_dates_are_read_whatever_style_is_set(
    database_url: str, sql: Connection, style: str
) -> None:
    sql.execute(f"ALTER DATABASE {sql.info.dbname} SET DateStyle = {style}".encode())
    database = Database(database_url)
    store = PostgresStore(database)
    saver = Saver(store=store, lease=take(store))
    saver.save(referral_json(1))

    facts = PostgresReader(database).facts()
    with database.connect(autocommit=False) as connection:
        connection.rollback()
        of_a_command = connection.execute(
            "SELECT started_at FROM partner_center_sync_runs"
        ).fetchone()
    database.close()

    assert facts.running is not None
    assert of_a_command == (facts.running.started_at,)


def test_a_run_waits_for_a_connection_that_visitors_use_and_a_visitor_hears_that_it_is_busy(
    database_url: str,
) -> None:
    database = Database(database_url, max_size=1)
    run = PostgresStore(database).within(lambda: 60)
    told: list[object] = []

    def visit() -> None:
        with pytest.raises(TryLater) as refused:
            PostgresReader(database).schema()
        told.append(refused.value.code)

    with database.connection():
        visitor = threading.Thread(target=visit)
        waiting = threading.Thread(target=lambda: told.append(run.load_state()))
        visitor.start()
        waiting.start()
        visitor.join()
        time.sleep(0.5)
    waiting.join()
    database.close()

    assert told == ["database_busy", SyncState()]


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
