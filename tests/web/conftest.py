"""The app on the local Functions host, with a database, a storage and a simulator of its own."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import function_app
from dev.local_settings import environ_for, for_local_world
from dev.services.host import HostProcess
from dev.services.postgres import Postgres
from dev.services.processes import Supervisor
from dev.services.simulator import SimulatorProcess
from dev.simulator import Simulator, connect

API = "/api/v1/partner-center"
ANSWER_TIMEOUT_S = 60.0
SIGN_IN_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running app."""

    url: str
    key: str
    simulator: Simulator
    database_url: str
    settings: dict[str, str]

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
    status, _, shown = served.ask(f"{API}/status")
    assert status == 200, shown
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
    control = connect(simulator.url, simulator.ca_file)
    host = _start_host(supervisor, folder / "host", values)
    yield Served(
        url=host.url,
        key=values["HUNTER_API_KEY"],
        simulator=control,
        database_url=database_url,
        settings=values,
    )
    supervisor.stop(host.child)
    supervisor.stop(simulator.child)
    postgres_server.drop_database(name)


def _start_host(supervisor: Supervisor, folder: Path, values: dict[str, str]) -> HostProcess:
    clone = Path(function_app.__file__).parent
    environ = environ_for(values, clone, live=False)
    return HostProcess.start(supervisor, folder, app=clone, settings=values, environ=environ)


@pytest.fixture
def serve_with(
    served: Served, supervisor: Supervisor, tmp_path: Path
) -> Iterator[Callable[..., Served]]:
    """Starts the app once more on the same world, with other settings."""
    started: list[HostProcess] = []

    def serve(**changes: str) -> Served:
        values = served.settings | changes
        host = _start_host(supervisor, tmp_path / f"host-{len(started)}", values)
        started.append(host)
        return replace(served, url=host.url, settings=values)

    yield serve
    for host in started:
        supervisor.stop(host.child)


@pytest.fixture
def filled(served: Served) -> Served:
    """The app with referrals in it."""
    sign_in(served)
    _, _, shown = served.ask(f"{API}/status")
    if not shown["counts"]["referrals"]:
        status, _, _ = served.ask(f"{API}/referrals/sync", method="POST")
        assert status == 200
    return served


# -- The browser -------------------------------------------------------------------------------

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW_MS = 60_000
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

EXPECTED_TROUBLE = re.compile(
    r"Failed to load resource: the server responded with a status of [45]"
)
"""A refusal of ours, or a request that a test broke off."""


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_page(
    browser: Browser,
    served: Served,
    serve_with: Callable[..., Served],
) -> Iterator[Callable[..., Page]]:
    """Opens the page as somebody with that browser would see it, with the key unless told not to.

    In the end no page may have thrown, logged an error or broken its Content-Security-Policy.
    """
    troubles: list[str] = []
    contexts = []

    def open_it(
        path: str = "",
        *,
        at: Served = served,
        key: bool = True,
        language: str = "en-GB",
        **how: Any,
    ) -> Page:
        context = browser.new_context(
            **{"locale": language, "viewport": DESKTOP, "timezone_id": "Europe/Istanbul", **how}
        )
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=at.url)
        if key:
            context.add_init_script(
                f"sessionStorage.setItem('partner-center-api-key', {json.dumps(at.key)})"
            )
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda message: (
                troubles.append(message.text)
                if message.type in ("error", "warning")
                and not EXPECTED_TROUBLE.match(message.text)
                and "net::ERR_FAILED" not in message.text
                else None
            ),
        )
        page.goto(f"{at.url}/mini-ui/{path}")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The page of somebody who has not come in yet."""
    return open_page(key=False)


def look_again(page: Page) -> None:
    """Come back to the page, which asks at once how things stand."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def come_in(page: Page, served: Served) -> None:
    """Enter the operator's key."""
    page.get_by_role("textbox", name="Key").fill(served.key)
    page.get_by_role("dialog").get_by_role("button", name="Continue").click()
    expect(page.locator("#referrals")).to_be_visible()
