"""A simulator in this process, begun anew for each test, and a plain client of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msal
import pytest
import requests

from dev.simulator import Simulator

SCOPE = "https://api.partner.microsoft.com/.default"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LIST = "/v1.0/engagements/referrals"


class Walker:
    """Reads the simulator as a simple client would, nextLink by its query."""

    def __init__(self, simulator: Simulator, session: requests.Session) -> None:
        self.simulator = simulator
        self.session = session
        self.token = simulator.entra.issue_access_token()

    def get(self, query: str = "", *, path: str = LIST, **headers: str) -> requests.Response:
        sent = {
            "Authorization": f"Bearer {self.token}",
            "client-request-id": str(uuid.uuid4()),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        url = f"{self.simulator.base_url}{path}" + (f"?{query}" if query else "")
        return self.session.get(url, headers=sent, allow_redirects=False, timeout=10)

    def pages(self, query: str = "", *, most: int = 50) -> Iterator[list[dict[str, Any]]]:
        for _ in range(most):
            body = self.get(query).json()
            yield body["value"]
            link = body.get("@odata.nextLink")
            if link is None:
                return
            query = link.partition("?")[2]

    def walk(self, query: str = "", *, most: int = 50) -> list[dict[str, Any]]:
        return [row for page in self.pages(query, most=most) for row in page]


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    with Simulator(referrals=0) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    running.reset(60, seed=7, now=NOW)
    running.behaviour.page_size = 25
    running.entra.behaviour.device_interval_s = 1
    return running


@pytest.fixture
def session(simulator: Simulator) -> Iterator[requests.Session]:
    with requests.Session() as session:
        # Otherwise REQUESTS_CA_BUNDLE, where set, goes before `verify`.
        session.trust_env = False
        session.verify = str(simulator.ca_path)
        yield session


@pytest.fixture
def walker(simulator: Simulator, session: requests.Session) -> Walker:
    return Walker(simulator, session)


@pytest.fixture
def app(simulator: Simulator, session: requests.Session) -> msal.PublicClientApplication:
    return make_app(simulator, session)


def make_app(simulator: Simulator, session: requests.Session) -> msal.PublicClientApplication:
    return msal.PublicClientApplication(
        simulator.client_id,
        authority=f"{simulator.authority}/{simulator.tenant_id}",
        instance_discovery=False,
        http_client=session,
    )


def sign_in(simulator: Simulator, app: msal.PublicClientApplication) -> dict[str, Any]:
    flow = app.initiate_device_flow([SCOPE])
    simulator.entra.approve(flow["user_code"])
    result: dict[str, Any] = app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    return result


def decode(answer: requests.Response) -> Any:
    return json.loads(answer.content)
