"""Debian's PgBouncer in transaction mode, in front of a local PostgreSQL."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dev.services.postgres import SUPERUSER, Postgres
from dev.services.processes import (
    Child,
    ServiceError,
    Supervisor,
    accepts_connections,
    free_port,
    unprivileged_account,
    write_owned,
)


def program() -> str | None:
    """The path of PgBouncer; None when it is not installed."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") or shutil.which(
        "pgbouncer"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PgBouncer:
    """A running PgBouncer that pools per transaction."""

    port: int
    password: str
    child: Child

    @classmethod
    def start(
        cls, supervisor: Supervisor, folder: Path, server: Postgres, *, pool_size: int = 5
    ) -> "PgBouncer":
        """Start it in front of `server`, with its files in `folder`.

        Raises:
            ServiceError: it is not installed or did not start.
        """
        path = program()
        if path is None:
            raise ServiceError("PgBouncer is not installed: apt-get install pgbouncer")
        account = unprivileged_account()
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        port = free_port()
        users = folder / "users.txt"
        write_owned(users, f'"{SUPERUSER}" "{server.password}"\n'.encode(), account)
        configuration = folder / "pgbouncer.ini"
        text = f"""\
[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""
        write_owned(configuration, text.encode(), account)
        child = supervisor.start(
            "pgbouncer",
            [path, configuration],
            log=folder / "pgbouncer.log",
            folder=folder,
            account=account,
        )
        child.wait_until(lambda: accepts_connections(port))
        return cls(port=port, password=server.password, child=child)

    def url(self, database: str) -> str:
        """The libpq URL of a database through the pool."""
        return (
            f"postgresql://{SUPERUSER}:{quote(self.password, safe='')}"
            f"@127.0.0.1:{self.port}/{quote(database, safe='')}"
        )
