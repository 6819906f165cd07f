"""The simulator as a process of its own, driven from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from dev.simulator import BORA, Fault, Simulator, UnknownReferral, connect
from dev.simulator.entra import CLIENT_ID, TENANT_ID, UnknownUserCode

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 20.0


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[Simulator]:
    command = [
        *(sys.executable, "-m", "dev.simulator", "--referrals", "30", "--seed", "2"),
        *("--port-file", str(folder / "port.json"), "--ca-file", str(folder / "ca.pem")),
        *arguments,
    ]
    with subprocess.Popen(command, cwd=ROOT) as started:
        try:
            wait_for((folder / "port.json").exists)
            written = json.loads((folder / "port.json").read_text(encoding="utf-8"))
            yield connect(written["base_url"], folder / "ca.pem")
        finally:
            started.terminate()
            assert started.wait(WAIT_S) == 0
    assert not (folder / "port.json").exists()


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def list_status(client: Simulator, query: str = "") -> int:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"{client.base_url}/v1.0/engagements/referrals{query}",
            headers={
                "Authorization": f"Bearer {client.entra.issue_access_token()}",
                "client-request-id": "0",
            },
            verify=str(client.ca_path),
            timeout=5,
        )
    return answer.status_code


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with process(tmp_path_factory.mktemp("simulator"), "--page-size", "10") as running:
        yield running


def test_the_world_is_driven_from_outside(client: Simulator) -> None:
    client.reset(30, seed=2, now=datetime(2026, 11, 24, tzinfo=UTC))
    referral_id = client.state.ids()[0]
    client.state.now = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    changed = client.state.change(referral_id, details={"notes": "Uzaktan"})
    added = client.state.add(status="Active")
    client.state.remove(added["id"])
    with pytest.raises(UnknownReferral):
        client.state.get(added["id"])
    client.state.add_raw("raw", '{"id":"raw","name":"ü"}'.encode())

    assert changed["updatedDateTime"] == "2026-11-25T08:00:00Z"
    assert client.state.get(referral_id) == changed
    assert client.state.get("raw")["name"] == "ü"
    assert len(client.state) == len(client.state.truth()) == 31
    assert client.state.close(referral_id)["status"] == "Closed"
    assert len(client.state.change_some(3)) == 3
    assert client.state.set_visible([referral_id]) == 1
    assert client.state.advance(60) == datetime(2026, 11, 25, 8, 1, tzinfo=UTC)


def test_behaviour_faults_and_the_record_are_driven_from_outside(client: Simulator) -> None:
    client.reset(30)
    client.behaviour.page_size = 7
    client.faults.add(Fault(kind="status", status=503, target="list"))
    waiting = client.faults.pending()

    answers = [list_status(client, "?$top=5") for _ in range(2)]

    assert waiting == [Fault(kind="status", status=503, target="list")]
    assert answers == [503, 200]
    assert client.behaviour.page_size == 7
    assert [(r.query, r.status, r.fault) for r in client.requests] == [
        ("$top=5", 503, "status"),
        ("$top=5", 200, None),
    ]
    client.clear_requests()
    assert client.requests == []
    with pytest.raises(AttributeError, match="page_sizes"):
        client.behaviour.page_sizes = 7  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="page_sizes"):
        _ = client.behaviour.page_sizes  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="function"):
        client.state.after_request(1, lambda: None)


def test_sign_in_is_driven_from_outside(client: Simulator) -> None:
    client.reset(0)
    client.entra.account = BORA
    client.entra.behaviour.device_interval_s = 1
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(client.ca_path)
        base = f"{client.base_url}/{TENANT_ID}/oauth2/v2.0"
        scope = "https://api.partner.microsoft.com/.default openid"
        code = session.post(
            f"{base}/devicecode", data={"client_id": CLIENT_ID, "scope": scope}, timeout=5
        ).json()
        assert client.entra.pending_user_codes() == [code["user_code"]]
        client.entra.approve(code["user_code"])
        client.entra.fail_with(53003, times=1)
        redeem = {
            "client_id": CLIENT_ID,
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": code["device_code"],
        }
        answers = [session.post(f"{base}/token", data=redeem, timeout=5).json() for _ in range(2)]

    assert answers[0]["error_codes"] == [53003]
    assert answers[1]["token_type"] == "Bearer"
    assert client.entra.token_requests == {"device_code": 2}
    assert client.entra.account == BORA
    with pytest.raises(UnknownUserCode):
        client.entra.approve()


def test_a_web_page_cannot_drive_it(client: Simulator) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(client.ca_path)
        url = f"{client.base_url}/_simulator/simulator/clear_requests"
        answers = [
            session.post(url, json={}, headers=headers, timeout=5).status_code
            for headers in (
                {"Host": "attacker.example"},
                {"Origin": "https://attacker.example"},
                {},
            )
        ]

    assert answers == [403, 403, 200]


def test_world_and_sign_in_survive_a_restart(tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    with process(tmp_path, "--state-dir", kept) as before:
        token = before.entra.issue_access_token()
        before.state.change_some(4)
        before.state.remove(before.state.ids()[3])
        truth = before.state.truth()
        ca = before.ca_path.read_bytes()
    with process(tmp_path, "--state-dir", kept) as after, requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"{after.base_url}/v1.0/engagements/referrals",
            headers={"Authorization": f"Bearer {token}", "client-request-id": "0"},
            verify=str(after.ca_path),
            timeout=5,
        )
        assert answer.status_code == 200
        assert after.state.truth() == truth
        assert after.ca_path.read_bytes() == ca
