"""What dev starts never outlives dev, however dev ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dev.folders import CLONE
from dev.services import ending
from dev.services.postgres import Postgres
from dev.services.processes import Supervisor, free_port, kept_secret

STARTER = """
import sys, time
from pathlib import Path
from dev.services.azurite import Azurite
from dev.services.postgres import Postgres
from dev.services.processes import Supervisor
folder = Path(sys.argv[1])
with Supervisor() as supervisor:
    Postgres.start(supervisor, folder / "postgres", durable=True)
    Azurite.start(supervisor, folder / "azurite")
    print("ready", flush=True)
    time.sleep(600)
"""


KILLED_AT_ONCE = """
import os, signal, sys
from pathlib import Path
from dev.services.processes import Supervisor
command = [sys.executable, "-c", "import time; time.sleep(600)"]
print(Supervisor().start("sleeper", command, log=Path(sys.argv[1])).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes that work in `folder` or name it in their command."""
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        if ending.is_alive(process) and any(str(folder) in place for place in places):
            found.append(process)
    return found


def watchdogs_of(parent: psutil.Process) -> list[psutil.Process]:
    """The watchdog processes that `parent` has started."""
    return [child for child in parent.children() if ending.__name__ in child.cmdline()]


def is_running(pid: int) -> bool:
    """Whether a process has this number and has not ended."""
    return psutil.pid_exists(pid) and ending.is_alive(psutil.Process(pid))


def wait_until(holds: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    """Wait until `holds` is true; returns whether it became so in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def start(folder: Path) -> "subprocess.Popen[str]":
    """A process that has started PostgreSQL and Azurite in `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)],
        cwd=CLONE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_starter_ends(service_folder: Path, number: int) -> None:
    folder = service_folder / f"ended-by-{number}"
    with start(folder) as process:
        started = processes_of(folder)
        watchdogs = watchdogs_of(psutil.Process(process.pid))

        process.send_signal(number)
        try:
            process.wait(timeout=20)
        finally:
            process.kill()

        assert len(started) >= 3
        assert len(watchdogs) == 1
        assert wait_until(lambda: processes_of(folder) == [])
        assert wait_until(lambda: not ending.is_alive(watchdogs[0]))


def test_a_child_ends_when_its_starter_is_killed_right_after_the_start(tmp_path: Path) -> None:
    starter = [sys.executable, "-c", KILLED_AT_ONCE, str(tmp_path / "log")]

    done = subprocess.run(starter, cwd=CLONE, stdout=subprocess.PIPE, text=True, check=False)

    assert done.returncode == -signal.SIGKILL
    assert wait_until(lambda: not is_running(int(done.stdout)))


def test_postgres_keeps_its_data_over_a_kill_of_everything(service_folder: Path) -> None:
    folder = service_folder / "durable"
    with start(folder) as process:
        pass_file_before = (folder / "postgres" / "password").read_text()
        process.kill()
        process.wait()
        assert wait_until(lambda: processes_of(folder) == [])

    with Supervisor() as supervisor:
        server = Postgres.start(supervisor, folder / "postgres", durable=True)
        server.create_database("kept")

        assert server.password == pass_file_before
        assert server.has_database("kept")


def test_postgres_runs_unprivileged_listens_on_loopback_and_asks_for_its_password(
    postgres_server: Postgres,
) -> None:
    import psycopg

    process = psutil.Process(postgres_server.child.pid)
    addresses = {
        connection.laddr.ip
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert process.uids().real != 0
    assert addresses == {"127.0.0.1"}
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres_server.url().replace(postgres_server.password, "wrong"))


def test_a_database_copied_from_a_template_has_its_tables(postgres_server: Postgres) -> None:
    import psycopg

    with psycopg.connect(postgres_server.create_database("copied_from")) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 7 AS value")
    url = postgres_server.create_database("copied_to", template="copied_from")

    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT value FROM mark").fetchone()
    postgres_server.drop_database("copied_to")
    postgres_server.drop_database("copied_from")

    assert found == (7,)


@pytest.mark.needs_tls_postgres
def test_tls_is_verified_against_the_authority(tls_postgres: Postgres, tls_authority: Path) -> None:
    import psycopg

    url = tls_postgres.url().replace("127.0.0.1", "localhost")

    with psycopg.connect(f"{url}?sslmode=verify-full&sslrootcert={tls_authority}") as connection:
        assert connection.pgconn.ssl_in_use


@pytest.mark.needs_pgbouncer
def test_pgbouncer_hands_queries_on(postgres_server: Postgres, pgbouncer: "object") -> None:
    import psycopg

    from dev.services.pgbouncer import PgBouncer

    assert isinstance(pgbouncer, PgBouncer)
    with psycopg.connect(pgbouncer.url("postgres"), prepare_threshold=None) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_blobs_come_back_from_azurite(azurite: str, container_name: str) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(azurite) as service:
        container = service.create_container(container_name)
        container.upload_blob("a", b"content")

        assert container.download_blob("a").readall() == b"content"


def test_a_free_port_is_the_wanted_one_unless_it_is_taken() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert free_port(wanted) != wanted
    assert free_port(wanted) == wanted


def test_a_kept_secret_stays_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"

    first = kept_secret(path)

    assert len(first) >= 32
    assert kept_secret(path) == first
    assert path.stat().st_mode & 0o077 == 0
