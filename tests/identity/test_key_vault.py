"""Secrets through the real azure-keyvault-secrets, from a vault that we play ourselves."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from pc_core.errors import FixSetting, TryLater
from pc_core.identity.key_vault import KeyVault

NAME = "token-cache-key"


class Vault(ThreadingHTTPServer):
    """Speaks as much of the Key Vault's protocol as reading a secret needs."""

    def __init__(self) -> None:
        self.secrets = {"token-cache-key": "one"}
        self.status = 200
        self.reads = 0
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"https://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Vault

    def do_GET(self) -> None:
        if "Authorization" not in self.headers:
            # The SDK gives its token only to a vault whose address ends in the resource's.
            challenge = (
                'Bearer authorization="https://login.microsoftonline.com/t", '
                f'resource="https://0.0.1:{self.server.server_port}"'
            )
            self._answer(401, {}, {"WWW-Authenticate": challenge})
            return
        self.server.reads += 1
        name = self.path.split("?")[0].strip("/").split("/")[1]
        if self.server.status != 200:
            # Else the SDK would wait for seconds before it tries again.
            at_once = {"retry-after-ms": "1"}
            self._answer(self.server.status, {"error": {"code": "x", "message": "no"}}, at_once)
        elif name in self.server.secrets:
            address = f"{self.server.url}/secrets/{name}/0"
            self._answer(200, {"value": self.server.secrets[name], "id": address})
        else:
            self._answer(404, {"error": {"code": "SecretNotFound", "message": "no"}})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Quiet."""


class Identity:
    """A managed identity, or one that there is none of."""

    def __init__(self, *, works: bool = True) -> None:
        self._works = works

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if not self._works:
            raise ClientAuthenticationError("no identity")
        return AccessToken("token", 4_000_000_000)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Vault() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def connect(vault: Vault, clock: list[float], *, works: bool = True) -> KeyVault:
    return KeyVault(vault.url, Identity(works=works), clock=lambda: clock[0])


@pytest.fixture
def secrets(vault: Vault, clock: list[float]) -> Iterator[KeyVault]:
    made = connect(vault, clock)
    yield made
    made.close()


def test_a_secret_is_read_once_for_some_minutes(
    vault: Vault, secrets: KeyVault, clock: list[float]
) -> None:
    values = [secrets.read(NAME)]
    vault.secrets["token-cache-key"] = "two"
    values.append(secrets.read(NAME))
    clock[0] += 301
    values.append(secrets.read(NAME))

    assert values == ["one", "one", "two"]
    assert vault.reads == 2


def test_a_rotated_secret_is_found_by_reading_again(vault: Vault, secrets: KeyVault) -> None:
    secrets.read(NAME)
    vault.secrets["token-cache-key"] = "two"

    assert secrets.read(NAME, again=True) == "two"


def test_a_vault_out_of_reach_does_not_take_the_known_value_away(
    vault: Vault, secrets: KeyVault, clock: list[float]
) -> None:
    secrets.read(NAME)
    vault.status = 503
    clock[0] += 301

    assert secrets.read(NAME) == "one"


def test_a_vault_out_of_reach_is_transient(vault: Vault, secrets: KeyVault) -> None:
    vault.status = 503

    with pytest.raises(TryLater) as failed:
        secrets.read(NAME)

    assert failed.value.code == "key_vault_unavailable"


def test_a_missing_secret_is_named(vault: Vault, secrets: KeyVault) -> None:
    with pytest.raises(FixSetting) as refused:
        secrets.read("api-key")

    assert refused.value.code == "key_vault_secret_missing"
    assert "api-key" in str(refused.value)


def test_a_refusal_names_the_role(vault: Vault, secrets: KeyVault) -> None:
    vault.status = 403

    with pytest.raises(FixSetting) as refused:
        secrets.read(NAME)

    assert refused.value.code == "key_vault_denied"
    assert "Key Vault Secrets User" in str(refused.value)


def test_without_an_identity_the_vault_counts_as_refusing(vault: Vault, clock: list[float]) -> None:
    secrets = connect(vault, clock, works=False)

    with pytest.raises(FixSetting) as refused:
        secrets.read(NAME)

    secrets.close()
    assert refused.value.code == "key_vault_denied"
