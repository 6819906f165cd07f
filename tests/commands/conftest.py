"""The command line as a process of its own, on real services, signed in for real."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.simulator import Simulator
from pc_core.config import Settings
from pc_core.wiring.app import App
from tests.identity.world import new_key

CLONE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object in the last line of standard output."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


@pytest.fixture
def settings(
    simulator: Simulator, ca: Path, azurite: str, container_name: str, database_url: str
) -> dict[str, str]:
    """A complete set of settings for one test's world."""
    return {
        "HUNTER_PARTNER_CENTER_ENABLED": "true",
        "HUNTER_PARTNER_CENTER_CLIENT_ID": simulator.client_id,
        "HUNTER_PARTNER_CENTER_TENANT_ID": simulator.tenant_id,
        "HUNTER_PARTNER_CENTER_API_URL": simulator.base_url,
        "HUNTER_PARTNER_CENTER_AUTHORITY": simulator.authority,
        "HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH": f"{container_name}/token-cache",
        "HUNTER_PARTNER_CENTER_PAGE_DELAY": "0s",
        "HUNTER_DATABASE_URL": database_url,
        "HUNTER_TOKEN_CACHE_KEY": new_key(),
        "AzureWebJobsStorage": azurite,
        "REQUESTS_CA_BUNDLE": str(ca),
    }


@pytest.fixture
def start(settings: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Starts `python -m pc_core` with these arguments; further settings as keywords."""

    def begin(*arguments: str, **further: str) -> subprocess.Popen[str]:
        environ = {key: value for key, value in os.environ.items() if "HUNTER" not in key}
        return subprocess.Popen(
            [sys.executable, "-m", "pc_core", *arguments],
            cwd=CLONE,
            env={**environ, **settings, **further},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture
def command(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Outcome]:
    """Runs one command to its end."""

    def run(*arguments: str, **further: str) -> Outcome:
        child = start(*arguments, **further)
        out, err = child.communicate(timeout=120)
        return Outcome(child.returncode, out, err)

    return run


@pytest.fixture
def app(settings: dict[str, str]) -> App:
    """The app on the same settings, in this process."""
    return App(Settings.from_env(settings))


@pytest.fixture
def signed_in(app: App, simulator: Simulator) -> App:
    """The app after a finished sign-in."""
    simulator.entra.behaviour.device_interval_s = 1
    pending = app.sign_in.start()
    simulator.entra.approve(pending.user_code)
    for _ in range(20):
        progress = app.sign_in.poll(pending.id)
        if progress.state != "pending":
            break
        time.sleep(0.3)
    assert progress.state == "completed", progress
    return app
