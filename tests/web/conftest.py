"""The app on the local Functions host, with a database, a storage and a simulator of its own."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import function_app
from dev.local_settings import environ_for, for_local_world
from dev.services.host import HostProcess
from dev.services.postgres import Postgres
from dev.services.processes import Supervisor
from dev.services.simulator import SimulatorProcess

API = "/api/v1/partner-center"
ANSWER_TIMEOUT_S = 60.0
SIGN_IN_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running app."""

    url: str
    key: str
    master_key: str

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: object = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers by lower-case name, and the JSON (or the bytes, where it is none)."""
        content = None if body is None else json.dumps(body).encode()
        sent = {"X-API-Key": key or self.key, **(headers or {})}
        if content is not None:
            sent["Content-Type"] = "application/json"
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            self.url + path, data=content, method=method, headers=sent
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:  # noqa: S310
                return _read(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return _read(refused)


def _read(answer: Any) -> tuple[int, dict[str, str], Any]:
    content = answer.read()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    is_json = "json" in headers.get("content-type", "")
    return answer.status, headers, json.loads(content) if is_json else content


def sign_in(served: Served) -> None:
    """Sign in by device code, unless that has been done."""
    _, _, shown = served.ask(f"{API}/status")
    if shown["sign_in"]["state"] == "ok":
        return
    status, _, started = served.ask(f"{API}/sign-in", method="POST", body={})
    assert (status, started["state"]) == (201, "pending")
    deadline_s = time.monotonic() + SIGN_IN_TIMEOUT_S
    state = "pending"
    while state == "pending" and time.monotonic() < deadline_s:
        time.sleep(0.5)
        _, _, progress = served.ask(f"{API}/sign-in/{started['id']}")
        state = progress["state"]
    assert state == "completed"


@pytest.fixture(scope="module")
def served(
    supervisor: Supervisor,
    service_folder: Path,
    postgres_server: Postgres,
    template_database: str,
    azurite: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """The app, migrated and not signed in; device codes approve themselves."""
    folder = tmp_path_factory.mktemp("served")
    name = f"served_{folder.name.replace('-', '_')}"
    database_url = postgres_server.create_database(name, template=template_database)
    simulator = SimulatorProcess.start(
        supervisor,
        service_folder / f"simulator-{folder.name}",
        referrals=400,
        arguments=("--auto-approve-after-s", "0"),
    )
    values = for_local_world(
        folder, database_url=database_url, storage=azurite, simulator=simulator
    )
    # Only what a test starts runs.
    values["HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"] = "0 0 0 1 1 *"
    values["HUNTER_PARTNER_CENTER_PAGE_DELAY"] = "0s"
    values["HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH"] = f"{folder.name.lower()}/token-cache"
    clone = Path(function_app.__file__).parent
    host = HostProcess.start(
        supervisor,
        folder / "host",
        app=clone,
        settings=values,
        environ=environ_for(values, clone, live=False),
    )
    yield Served(url=host.url, key=values["HUNTER_API_KEY"], master_key=host.master_key)
    supervisor.stop(host.child)
    supervisor.stop(simulator.child)
    postgres_server.drop_database(name)
