"""Real servers for the tests: each worker process of pytest starts its own, once, when needed."""

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.folders import cache_folder
from dev.services.azurite import Azurite
from dev.services.pgbouncer import PgBouncer
from dev.services.postgres import Certificate, Postgres, system_binaries
from dev.services.processes import Supervisor
from dev.simulator import Simulator
from dev.system_programs import PROGRAMS, chromium

LEFTOVER_AGE_S = 86400
TEMPLATE = "template_migrated"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of tests that need more than Python packages."""
    for program in PROGRAMS:
        config.addinivalue_line(
            "markers", f"{program.marker}: needs {program.title} (apt-get: {program.package})"
        )
    config.addinivalue_line("markers", "long: a file that takes a minute or so; begun first")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first: at the end, one worker would be left alone with them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def service_folder() -> Iterator[Path]:
    """A folder for servers that, unlike pytest's own, an unprivileged account may pass."""
    parent = cache_folder() / "tests"
    parent.mkdir(mode=0o755, exist_ok=True)
    for leftover in parent.iterdir():
        if leftover.stat().st_mtime < time.time() - LEFTOVER_AGE_S:
            shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def supervisor(service_folder: Path) -> Iterator[Supervisor]:
    """Ends whatever the tests start."""
    with Supervisor() as started:
        yield started


@pytest.fixture(scope="session")
def azurite(supervisor: Supervisor, service_folder: Path) -> str:
    """The connection string of an Azurite that keeps its blobs in memory."""
    started = Azurite.start(supervisor, service_folder / "azurite", in_memory=True)
    return started.connection_string


@pytest.fixture
def container_name() -> str:
    """The name of a blob container that does not exist yet."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture(scope="session")
def postgres_server(supervisor: Supervisor, service_folder: Path) -> Postgres:
    """The PostgreSQL of this worker, without fsync."""
    return Postgres.start(supervisor, service_folder / "postgres")


@pytest.fixture(scope="session")
def template_database(postgres_server: Postgres) -> str:
    """The name of a database with all migrations, to be copied and never connected to."""
    from pc_core.store.migrate import upgrade

    upgrade(postgres_server.create_database(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of a fresh database without tables."""
    name = f"test_{secrets.token_hex(6)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def database_url(postgres_server: Postgres, template_database: str) -> Iterator[str]:
    """The URL of a fresh database with all migrations."""
    name = f"test_{secrets.token_hex(6)}"
    yield postgres_server.create_database(name, template=template_database)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def pgbouncer(supervisor: Supervisor, service_folder: Path, postgres_server: Postgres) -> PgBouncer:
    """PgBouncer in transaction mode; for tests marked `needs_pgbouncer`."""
    return PgBouncer.start(supervisor, service_folder / "pgbouncer", postgres_server)


@pytest.fixture
def pooled_database_url(pgbouncer: PgBouncer, database_url: str) -> str:
    """The database of `database_url` through PgBouncer."""
    return pgbouncer.url(database_url.rpartition("/")[2])


@pytest.fixture(scope="session")
def tls_authority(service_folder: Path) -> Path:
    """The CA certificate, PEM, that `tls_postgres` can be verified with as localhost."""
    return service_folder / "tls-authority.pem"


@pytest.fixture(scope="session")
def tls_postgres(supervisor: Supervisor, service_folder: Path, tls_authority: Path) -> Postgres:
    """A PostgreSQL that speaks TLS; for tests marked `needs_tls_postgres`."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tls_authority))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    return Postgres.start(
        supervisor,
        service_folder / "tls-postgres",
        name="tls-postgres",
        binaries=system_binaries(),
        certificate=Certificate(
            certificate=issued.cert_chain_pems[0].bytes(),
            private_key=issued.private_key_pem.bytes(),
        ),
    )


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of an installed Chromium; for tests marked `needs_chromium`."""
    path = chromium()
    assert path is not None, "Chromium is not installed: apt-get install chromium"
    return path


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator of Partner Center and Entra ID with a few referrals, on a port of its own."""
    with Simulator(referrals=40) as started:
        yield started


@pytest.fixture
def ca(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The simulator's CA certificate, which requests and MSAL trust for the test."""
    path = Path(simulator.ca_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path
