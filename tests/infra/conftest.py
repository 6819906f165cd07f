"""The cloud's commands as real programs on the PATH, and the scripts that use them."""

import json
import logging
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dev.services.postgres import Postgres
from dev.services.processes import Supervisor
from pc_core.observe import events
from tests.infra.tls_proxy import in_front_of

CLONE = Path(__file__).parents[2]
TOKEN = "an-entra-token"
SUBSCRIPTION = "77777777-0000-0000-0000-000000000000"

EMPTY: dict[str, Any] = {
    "secrets": {},
    "deleted": [],
    "refusals": 0,
    "modes": [],
    "rules": {},
    "orders": {},
    "order_takes": 0,
    "failing": {},
    "restarts": 0,
    "apps": [],
    "apis": {},
    "principals": [],
    "environment": {},
    "deployed": [],
    "deploy_fails": False,
    "provision_fails": 0,
    "answers": {},
    "unknown_for": 0,
    "token": TOKEN,
}


@dataclass(frozen=True)
class Done:
    """What a script left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cloud:
    """The stand-in for az and azd."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    def set(self, **values: Any) -> None:
        (self.folder / "state.json").write_text(json.dumps(self.state | values))

    @property
    def calls(self) -> list[list[str]]:
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def run(self, *command: str, stdin: str = "", **environ: str) -> Done:
        """Run a Python program of the project with these commands on its PATH."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=CLONE,
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": os.environ.get("HOME", "/"),
                "FAKE_CLOUD": str(self.folder),
                "DEPLOYER_IP": "203.0.113.7",
                **environ,
            },
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """Commands az and azd that act on a state of this test's own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("az", "azd"):
        program = programs / name
        fake = CLONE / "tests" / "infra" / "fake_az.py"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" {name} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "state.json").write_text(json.dumps(EMPTY))
    return Cloud(folder=tmp_path)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL that looks like Azure's to its administrator, who is no superuser."""

    environ: dict[str, str]
    superuser_url: str

    def connect(self, user: str | None = None) -> psycopg.Connection[Any]:
        """As the superuser, or as an Entra principal with its token."""
        if user is None:
            return psycopg.connect(self.superuser_url, autocommit=True)
        return psycopg.connect(self.superuser_url, autocommit=True, user=user, password=TOKEN)


ROLES = (
    "id-app",
    "ada@example.com",
    "CRM readers",
    "crm-app",
    "partner_center_owner",
    "partner_center_reader",
    "azure_admin",
)

EMULATION = """
CREATE FUNCTION pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    ASSERT $3 IN ('user', 'group', 'service');
    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', $1, '{token}');
    EXECUTE format('GRANT %I TO azure_admin WITH ADMIN OPTION', $1);
    RETURN 'Created role for ' || $1;
END
$$
"""


@contextmanager
def like_azures(server: Postgres, *, port: int, authority: Path) -> Iterator[Server]:
    """A server whose administrator may make roles and databases and owns the app's database.

    Args:
        port: where it speaks TLS.
        authority: who vouches for that.
    """
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        superuser.execute("DROP FUNCTION IF EXISTS pgaadauth_create_principal_with_oid")
        server.drop_database("hunter")
        for role in ROLES:
            found = superuser.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            if found.fetchone():
                superuser.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
        superuser.execute(f"CREATE ROLE azure_admin LOGIN CREATEROLE CREATEDB PASSWORD '{TOKEN}'")
        superuser.execute(EMULATION.format(token=TOKEN))
        superuser.execute("CREATE DATABASE hunter OWNER azure_admin")
    yield Server(
        superuser_url=server.url("hunter"),
        environ={
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "AZURE_RESOURCE_GROUP": "rg-test",
            "KEY_VAULT_NAME": "kv-test",
            "DATABASE_SERVER": "psql-test",
            "DATABASE_HOST": "localhost",
            "DATABASE_NAME": "hunter",
            "DATABASE_ADMIN_NAME": "azure_admin",
            "APP_IDENTITY_NAME": "id-app",
            "APP_IDENTITY_OBJECT_ID": "11111111-2222-3333-4444-555555555555",
            "PGPORT": str(port),
            "PGSSLROOTCERT": str(authority),
        },
    )
    server.drop_database("hunter")


@pytest.fixture
def azure_postgres(tls_postgres: Postgres, tls_authority: Path) -> Iterator[Server]:
    """Azure's server as far as Debian's, whose client programs are there too, can be it."""
    with like_azures(tls_postgres, port=tls_postgres.port, authority=tls_authority) as server:
        yield server


@pytest.fixture(scope="session")
def newest_postgres(
    supervisor: Supervisor, service_folder: Path
) -> Iterator[tuple[Postgres, int, Path]]:
    """The wheel's server, which is newer and has no TLS of its own; its port with TLS before it."""
    import trustme

    server = Postgres.start(supervisor, service_folder / "newest-postgres", name="newest-postgres")
    authority = trustme.CA()
    file = service_folder / "newest-authority.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with in_front_of(server.port, context) as port:
        yield server, port, file


@pytest.fixture(
    params=[pytest.param("debian", marks=pytest.mark.needs_tls_postgres), pytest.param("wheel")]
)
def each_postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Azure's server on an old and on the newest version: who may make and grant roles differs."""
    if request.param == "debian":
        yield request.getfixturevalue("azure_postgres")
        return
    server, port, authority = request.getfixturevalue("newest_postgres")
    with like_azures(server, port=port, authority=authority) as found:
        yield found


type Script = Callable[..., Done]


class Listener(logging.Handler):
    """Keeps the app's lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(record.getMessage()))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    heard = Listener()
    events.logger.addHandler(heard)
    level = events.logger.level
    events.logger.setLevel(logging.INFO)
    yield heard.lines
    events.logger.setLevel(level)
    events.logger.removeHandler(heard)
