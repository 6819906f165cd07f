"""The interface through the local Functions host, on real services: an operator's first day."""

import csv
import io
import time
from urllib.parse import urlsplit

import pytest

from tests.web.conftest import API, Served, sign_in

RUN_TIMEOUT_S = 30.0


def test_before_the_sign_in_everything_says_so(served: Served) -> None:
    status, _, health = served.ask("/healthz", key="none")
    assert (status, health["status"], health["partner_center_enabled"]) == (200, "ok", True)
    status, _, ready = served.ask("/healthz/ready", key="none")
    assert (status, ready["checks"]["sign_in"]) == (503, "sign_in_unknown")
    assert {ready["checks"][part] for part in ("database", "migration", "storage")} == {"ok"}
    status, headers, refused = served.ask(f"{API}/referrals/sync", method="POST")
    assert (status, refused["success"], refused["error"]["kind"]) == (503, False, "sign_in")
    assert "retry-after" not in headers
    _, _, shown = served.ask(f"{API}/status")
    assert (shown["level"], shown["alarms"][0]["code"]) == ("failing", "sign_in_needed")


def test_after_the_sign_in_a_sync_brings_referrals_that_can_be_read(served: Served) -> None:
    sign_in(served)

    status, _, run = served.ask(f"{API}/referrals/sync", method="POST", body={"mode": "full"})
    assert (status, run["success"], run["state"]) == (200, True, "completed")
    _, _, shown = served.ask(f"{API}/status")
    assert (shown["level"], shown["alarms"], shown["missed"]) == ("ok", [], False)
    stored = shown["counts"]["referrals"]
    assert stored > 0

    _, _, found = served.ask(f"{API}/sync-runs/{run['task_id']}")
    assert found["inserted"] == run["inserted"]
    _, _, listed = served.ask(f"{API}/referrals?limit=200&sort=company:asc")
    assert (len(listed["referrals"]), listed["total"]) == (stored, stored)
    first = listed["referrals"][0]["referral_id"]
    _, _, detail = served.ask(f"{API}/referrals/{first}?include_raw=true")
    assert detail["raw_data"]["id"] == first

    whole, path = b"", f"{API}/referrals?format=csv&limit=25"
    while path:
        status, headers, part = served.ask(path)
        assert status == 200
        whole += part
        following = headers.get("link", "").partition(">")[0].removeprefix("<")
        path = following and f"{urlsplit(following).path}?{urlsplit(following).query}"
    rows = list(csv.DictReader(io.StringIO(whole.decode("utf-8-sig"))))
    assert {row["referral_id"] for row in rows} == {
        referral["referral_id"] for referral in listed["referrals"]
    }
    assert len(rows) == stored


def test_the_timer_runs_the_same_sync(served: Served) -> None:
    sign_in(served)
    status, _, _ = served.ask(
        "/admin/functions/scheduled_sync",
        method="POST",
        body={},
    )
    assert status == 202
    deadline_s = time.monotonic() + RUN_TIMEOUT_S
    triggers: list[str] = []
    while "timer" not in triggers and time.monotonic() < deadline_s:
        time.sleep(0.2)
        _, _, listed = served.ask(f"{API}/sync-runs")
        triggers = [run["trigger"] for run in listed["runs"] if run["state"] == "completed"]
    assert "timer" in triggers


def test_a_cursor_fits_its_own_listing_alone(served: Served) -> None:
    _, _, page = served.ask(f"{API}/referrals?limit=1")
    cursor = page["next_cursor"]
    status, _, _ = served.ask(f"{API}/referrals?limit=1&cursor={cursor}")
    assert status == 200
    status, _, refused = served.ask(f"{API}/referrals?limit=1&status=New&cursor={cursor}")
    assert (status, refused["parameter"]) == (400, "cursor")


@pytest.mark.parametrize(
    ("path", "method", "headers", "key", "status"),
    [
        (f"{API}/status", "GET", {}, "wrong", 401),
        (f"{API}/status", "GET", {"Host": "evil.example"}, None, 421),
        (f"{API}/referrals/sync", "POST", {"Origin": "https://evil.example"}, None, 403),
        (f"{API}/referrals/sync", "GET", {}, None, 404),
        (f"{API}/referrals?page=2", "GET", {}, None, 400),
        ("/api/v1/openapi.json", "GET", {}, "none", 200),
        ("/mini-ui/", "GET", {}, "none", 200),
        ("/mini-ui", "GET", {}, "none", 200),
        ("/", "GET", {}, "none", 200),
        ("/mini-ui/x/..%2f..%2faccess.py", "GET", {}, "none", 404),
    ],
)
def test_the_hosts_routing_leads_where_it_should(
    served: Served, path: str, method: str, headers: dict[str, str], key: str | None, status: int
) -> None:
    answered, _, _ = served.ask(path, method=method, headers=headers, key=key)
    assert answered == status
