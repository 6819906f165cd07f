"""The operator's key from a Key Vault: what a caller gets, and what the log says, when it is not to
be had. The vault is one that we play ourselves, over TLS, behind the real SDK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pc_core.config import Settings
from pc_core.web.door import answer_request
from pc_core.web.exchange import HttpAnswer, HttpRequest
from pc_core.web.routes import runs
from pc_core.wiring.app import App
from tests.identity.test_key_vault import Vault, clock, connect, vault

__all__ = ["clock", "vault"]

KEY = "the-operators-own-key"

ATTEMPTS = 3
"""How often the SDK tries, each time that it is asked."""


@pytest.fixture
def app(vault: Vault, clock: list[float], tmp_path: Path) -> Iterator[App]:
    """The app with a Key Vault and nothing else; App Service Authentication is off."""
    made = App(Settings.from_env({"HUNTER_KEY_VAULT_URL": vault.url}))
    # In the place of the part that would be built for a vault with a name of Azure's.
    made.parts.__dict__["key_vault"] = connect(vault, clock)
    yield made
    made.close()


def ask(app: App, key: str | None) -> HttpAnswer:
    request = HttpRequest(
        method="GET",
        path="/api/v1/partner-center/sync-runs",
        headers={"host": "localhost"} | ({"x-api-key": key} if key else {}),
        query={},
        placeholders={},
        body=b"",
        invocation_id="1",
        elapsed_s=lambda: 0.0,
    )
    return answer_request(request, runs.RUNS, lambda: app)


def problem(answer: HttpAnswer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["code"]


def test_the_vaults_key_makes_an_operator_and_another_does_not(app: App, vault: Vault) -> None:
    vault.secrets["api-key"] = KEY

    assert app.operator_key() == KEY
    assert problem(ask(app, "another")) == (401, "api_key_needed")
    # Let in, and then without a database: its setting is what is missing.
    assert problem(ask(app, KEY)) == (500, "config_invalid")


@pytest.mark.parametrize("key", [None, KEY, ""])
def test_a_vault_without_a_key_lets_nobody_in(app: App, vault: Vault, key: str | None) -> None:
    assert app.operator_key() is None
    assert problem(ask(app, key)) == (403, "access_not_configured")


@pytest.mark.parametrize(
    ("status", "code", "answered"),
    [(503, "key_vault_unavailable", 503), (403, "key_vault_denied", 500)],
)
def test_a_vault_in_trouble_lets_nobody_in_and_the_log_says_why(
    app: App, vault: Vault, lines: list[dict[str, Any]], status: int, code: str, answered: int
) -> None:
    vault.secrets["api-key"] = KEY
    vault.status = status

    answer = ask(app, KEY)

    assert problem(answer) == (answered, "not_ready")
    assert ("retry-after" in {name.lower() for name in answer.headers}) == (answered == 503)
    assert b"vault" not in answer.body.lower()
    [line] = [line for line in lines if line["event"] == "partner_center_route_failed"]
    assert line["code"] == code
    assert "Key Vault" in line["message"]
    assert KEY not in json.dumps(lines)


def test_a_key_that_is_known_outlives_a_vault_out_of_reach(
    app: App, vault: Vault, clock: list[float]
) -> None:
    vault.secrets["api-key"] = KEY
    app.operator_key()
    vault.status = 503
    clock[0] += 3600

    assert problem(ask(app, KEY)) == (500, "config_invalid")
    assert problem(ask(app, "another")) == (401, "api_key_needed")


@pytest.mark.parametrize("trouble", ["missing", "unreachable"])
def test_strangers_cannot_make_the_app_ask_the_vault_again_and_again(
    app: App, vault: Vault, clock: list[float], trouble: str
) -> None:
    vault.status = 200 if trouble == "missing" else 503
    for _ in range(20):
        ask(app, "guess")
    reads = vault.reads
    tried = 1 if trouble == "missing" else ATTEMPTS

    vault.status = 200
    vault.secrets["api-key"] = KEY
    clock[0] += 11

    assert reads == tried
    assert app.operator_key() == KEY
