"""Signing in as the app's identity: short-lived tokens as database passwords, and for the storage.

The identity is a local stand-in for what App Service offers, asked by Microsoft's own library. The
database checks its tokens as passwords that expire by its own clock.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql

from dev.services import npm
from dev.services.azurite import ensure_installed
from dev.services.postgres import Certificate, Postgres, system_binaries
from dev.services.processes import Supervisor, accepts_connections, free_port
from pc_core.config import Settings
from pc_core.errors import FixSetting, PartnerCenterSyncError
from pc_core.store.pool import Database, entra_password
from pc_core.wiring.app import App
from tests.identity.world import new_key

CLIENT_ID = "11111111-2222-3333-4444-555555555555"
HOST = "psql-test.postgres.database.example"
LIFETIME_S = 2.0


@dataclass
class Identity:
    """A managed identity's endpoint; it issues what `issue` says, and remembers it."""

    issue: dict[str, Callable[[], str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)

    def answer(self, query: dict[str, str]) -> dict[str, Any]:
        self.asked.append(query)
        token = self.issue[query["resource"]]()
        self.issued.append(token)
        return {
            "access_token": token,
            "expires_on": str(int(time.time() + LIFETIME_S)),
            "resource": query["resource"],
            "token_type": "Bearer",
            "client_id": CLIENT_ID,
        }


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[Identity]:
    """The identity that the platform gives to the app, as its environment says."""
    found = Identity()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            assert self.headers["X-IDENTITY-HEADER"] == "the-header"
            content = json.dumps(found.answer(query)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "the-header")
    yield found
    server.shutdown()
    server.server_close()


# The database


@pytest.fixture(scope="module")
def entra_postgres(supervisor: Supervisor, service_folder: Path) -> tuple[Postgres, Path]:
    """A server whose certificate names it as in Azure, and the authority that vouches for it."""
    import trustme

    authority = trustme.CA()
    file = service_folder / "entra-authority.pem"
    authority.cert_pem.write_to_path(str(file))
    issued = authority.issue_cert(HOST)
    server = Postgres.start(
        supervisor,
        service_folder / "entra-postgres",
        name="entra-postgres",
        binaries=system_binaries(),
        certificate=Certificate(
            certificate=issued.cert_chain_pems[0].bytes(),
            private_key=issued.private_key_pem.bytes(),
        ),
    )
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        superuser.execute('CREATE ROLE "id-app" LOGIN')
    return server, file


@pytest.fixture
def url(entra_postgres: tuple[Postgres, Path], identity: Identity) -> str:
    """The database's URL in the template's form; the identity's tokens are its password."""
    server, authority = entra_postgres

    def issue() -> str:
        token = secrets.token_hex(16)
        with psycopg.connect(server.url(), autocommit=True) as superuser:
            superuser.execute(
                sql.SQL(
                    "DO $$ BEGIN EXECUTE format("
                    "'ALTER ROLE \"id-app\" PASSWORD %L VALID UNTIL %L', "
                    "{token}, clock_timestamp() + make_interval(secs => {lifetime_s})); END $$"
                ).format(token=sql.Literal(token), lifetime_s=sql.Literal(LIFETIME_S))
            )
        return token

    identity.issue["https://ossrdbms-aad.database.windows.net"] = issue
    return (
        f"postgresql://id-app@{HOST}:{server.port}/postgres?hostaddr=127.0.0.1"
        f"&sslmode=verify-full&sslrootcert={authority}"
    )


def session(database: Database) -> tuple[int, bool]:
    """The server process behind a connection, and whether it speaks TLS."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT pid, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.needs_tls_postgres
def test_each_new_connection_brings_a_fresh_token_and_open_ones_outlive_theirs(
    entra_postgres: tuple[Postgres, Path], identity: Identity, url: str
) -> None:
    database = Database(url, password=entra_password(CLIENT_ID))
    first, is_tls = session(database)
    time.sleep(LIFETIME_S + 0.5)
    same, _ = session(database)
    with psycopg.connect(entra_postgres[0].url(), autocommit=True) as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s)", [first])
    time.sleep(1.2)

    second, _ = session(database)

    database.close()
    assert is_tls
    assert first == same != second
    assert len(identity.issued) == len(set(identity.issued)) >= 2
    assert {each["client_id"] for each in identity.asked} == {CLIENT_ID}


@pytest.mark.needs_tls_postgres
def test_the_server_does_refuse_an_expired_token(identity: Identity, url: str) -> None:
    password = entra_password(CLIENT_ID)
    token = password()
    Database(url, password=lambda: token).connect().close()
    time.sleep(LIFETIME_S + 0.5)

    with pytest.raises(psycopg.OperationalError):
        Database(url, password=lambda: token).connect()


@pytest.mark.needs_tls_postgres
@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_a_server_that_is_another_gets_no_token(url: str, wrong: str) -> None:
    if wrong == "name":
        url = url.replace(HOST, "psql-other.postgres.database.example")
    else:
        url = url.partition("&sslrootcert")[0]

    with pytest.raises(psycopg.OperationalError, match=r"certificate"):
        Database(url, password=entra_password(CLIENT_ID)).connect()


def test_without_an_authority_in_the_url_the_packages_own_ones_are_used(identity: Identity) -> None:
    from certifi import where
    from psycopg.conninfo import conninfo_to_dict

    plain = "postgresql://id-app@host.example/hunter?sslmode=verify-full"
    identity.issue["https://ossrdbms-aad.database.windows.net"] = lambda: "a-token"

    arguments = Database(plain, password=entra_password(CLIENT_ID))._arguments()

    assert "sslrootcert" not in conninfo_to_dict(plain)
    assert (arguments["sslrootcert"], arguments["password"]) == (where(), "a-token")


# The storage


@pytest.fixture(scope="module")
def secure_azurite(
    supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """An Azurite with TLS that takes tokens: its blob address and its authority."""
    import trustme

    folder = tmp_path_factory.mktemp("secure-azurite")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    port = free_port(0)
    child = supervisor.start(
        "secure-azurite",
        [
            npm.node(),
            ensure_installed() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js",
            *("--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *(
                "--oauth",
                "basic",
                "--cert",
                folder / "certificate.pem",
                "--key",
                folder / "key.pem",
            ),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"),
        ],
        log=folder / "azurite.log",
        folder=folder,
    )
    child.wait_until(lambda: accepts_connections(port))
    return f"https://127.0.0.1:{port}/devstoreaccount1", folder / "authority.pem"


def storage_token(lifetime_s: float = 3600) -> str:
    """A token in the form of Entra's; Azurite looks at all but its signature."""

    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + int(lifetime_s),
    }
    return ".".join([part({"alg": "none", "typ": "JWT"}), part(claims), part({})])


@pytest.fixture
def storage_app(
    secure_azurite: tuple[str, Path], identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> App:
    """The app with identity-based storage, set up as the template does."""
    uri, authority = secure_azurite
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    identity.issue["https://storage.azure.com"] = storage_token
    return App(
        Settings.from_env(
            {
                "AzureWebJobsStorage__blobServiceUri": uri,
                "AzureWebJobsStorage__clientId": CLIENT_ID,
                "HUNTER_TOKEN_CACHE_KEY": new_key(),
                "HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH": f"test-{secrets.token_hex(4)}/cache",
            }
        )
    )


def test_the_storage_is_reached_with_the_identity_over_tls(
    storage_app: App, identity: Identity
) -> None:
    storage_app.parts.container.create_container()
    blob = storage_app.parts.container.get_blob_client("cache")
    blob.upload_blob(b"content")

    assert blob.download_blob().readall() == b"content"
    assert storage_app.parts.token_cache.etag() is not None
    assert {each["resource"] for each in identity.asked} == {"https://storage.azure.com"}
    assert {each["client_id"] for each in identity.asked} == {CLIENT_ID}


def test_a_token_that_has_expired_is_refused_and_said_so(
    storage_app: App, identity: Identity
) -> None:
    identity.issue["https://storage.azure.com"] = lambda: storage_token(-30)

    with pytest.raises(PartnerCenterSyncError) as refused:
        storage_app.parts.token_cache.etag()

    assert isinstance(refused.value, FixSetting), refused.value.code
