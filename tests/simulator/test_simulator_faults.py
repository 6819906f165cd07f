"""Faults on demand: each arrives as it was ordered, at the request it was ordered for."""

from __future__ import annotations

import base64
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from dev.simulator import Fault, Simulator
from tests.simulator.conftest import Walker, decode


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_comes_once_and_then_the_service_answers(
    simulator: Simulator, walker: Walker, status: int
) -> None:
    simulator.faults.add(Fault(kind="status", status=status, target="list"))

    answers = [walker.get().status_code for _ in range(2)]

    assert answers == [status, 200]
    assert [(r.status, r.fault) for r in simulator.requests] == [(status, "status"), (200, None)]


def test_retry_after_comes_in_both_forms_or_not_at_all(
    simulator: Simulator, walker: Walker
) -> None:
    simulator.faults.add(
        Fault(kind="status", status=429),
        Fault(kind="status", status=429, retry_after_s=7),
        Fault(kind="status", status=429, retry_after_s=30, retry_after_form="http_date"),
    )
    none, seconds, date = (walker.get() for _ in range(3))

    wait = parsedate_to_datetime(date.headers["Retry-After"]) - simulator.state.now
    assert "Retry-After" not in none.headers
    assert seconds.headers["Retry-After"] == "7"
    assert 28 <= wait.total_seconds() <= 30


def test_a_fault_waits_for_its_target_and_its_turn(simulator: Simulator, walker: Walker) -> None:
    item = f"/v1.0/engagements/referrals/{simulator.state.ids()[0]}"
    simulator.faults.add(
        Fault(kind="status", status=500, target="list", at=2, times=2),
        Fault(kind="status", status=502, target="item"),
    )
    lists = [walker.get().status_code for _ in range(4)]
    items = [walker.get(path=item).status_code for _ in range(2)]

    assert lists == [200, 500, 500, 200]
    assert items == [502, 200]
    assert simulator.faults.pending() == []


def test_a_lasting_fault_lasts_until_it_is_cleared(simulator: Simulator, walker: Walker) -> None:
    simulator.faults.add(Fault(kind="access_denied", times=None))
    answers = [walker.get() for _ in range(3)]
    simulator.faults.clear()

    assert [a.status_code for a in answers] == [403, 403, 403]
    assert answers[0].json()["error"]["code"] == "accessDenied"
    assert walker.get().status_code == 200


def test_latency_delays_and_combines_with_another_fault(
    simulator: Simulator, walker: Walker
) -> None:
    simulator.faults.add(Fault(kind="latency", seconds=0.1), Fault(kind="status", status=503))
    started = time.monotonic()
    answer = walker.get()
    took_s = time.monotonic() - started
    simulator.behaviour.latency_s = 0.1
    started = time.monotonic()
    walker.get()

    assert answer.status_code == 503
    assert took_s >= 0.1
    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize("kind", ["reset", "truncated", "truncated_chunked"])
def test_a_broken_connection_is_an_error_and_the_next_request_works(
    simulator: Simulator, walker: Walker, kind: Any
) -> None:
    simulator.faults.add(Fault(kind=kind))

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        walker.get()
    assert walker.get().status_code == 200
    assert simulator.requests[0].fault == kind


def test_a_slow_drip_arrives_whole_but_late(simulator: Simulator, walker: Walker) -> None:
    simulator.faults.add(Fault(kind="slow_drip", seconds=0.2))
    started = time.monotonic()
    answer = walker.get()

    assert len(decode(answer)["value"]) == 25
    assert time.monotonic() - started >= 0.2


def test_answers_that_are_no_list(simulator: Simulator, walker: Walker) -> None:
    kinds: list[Any] = ["html", "items_key", "empty_value", "no_value", "invalid_json"]
    simulator.faults.add(*(Fault(kind=kind) for kind in kinds))
    html, items, empty, missing, broken = (walker.get() for _ in kinds)

    assert {a.status_code for a in (html, items, empty, missing, broken)} == {200}
    assert html.headers["Content-Type"].startswith("text/html")
    assert len(decode(items)["items"]) == 25
    assert "value" not in decode(items)
    assert decode(empty)["value"] == []
    assert "value" not in decode(missing)
    with pytest.raises(json.JSONDecodeError):
        decode(broken)


def test_refusals(simulator: Simulator, walker: Walker) -> None:
    simulator.faults.add(
        Fault(kind="empty_401"),
        Fault(kind="bad_request"),
        Fault(kind="redirect"),
        Fault(kind="claims_challenge"),
        Fault(kind="claims_challenge", misspelled=True),
    )
    empty, bad, redirect, challenge, misspelled = (walker.get() for _ in range(5))

    claims = challenge.headers["WWW-Authenticate"].partition('claims="')[2].rstrip('"')
    assert [empty.status_code, empty.content] == [401, b""]
    assert [bad.status_code, bad.json()["error"]["code"]] == [400, "invalidRequest"]
    assert redirect.status_code == 302
    assert redirect.headers["Location"].startswith("https://collector.example.net/")
    assert challenge.status_code == 401
    assert 'error="insufficient_claims"' in challenge.headers["WWW-Authenticate"]
    assert json.loads(base64.b64decode(claims))["access_token"]
    assert misspelled.status_code == 403
    assert "insufficent_claims" in misspelled.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("kind", "character"), [("lone_surrogate", "\ud83d"), ("nul", "\x00")])
def test_one_row_may_hold_a_character_that_others_choke_on(
    simulator: Simulator, walker: Walker, kind: Any, character: str
) -> None:
    simulator.faults.add(Fault(kind=kind, row=3))
    rows = decode(walker.get())["value"]

    assert [at for at, row in enumerate(rows) if character in (row["name"] or "")] == [3]
    assert len(rows) == 25


def test_faults_of_the_token_endpoint(simulator: Simulator, session: requests.Session) -> None:
    simulator.faults.add(Fault(kind="status", status=503, retry_after_s=3, target="token"))
    answer = session.post(
        f"{simulator.authority}/{simulator.tenant_id}/oauth2/v2.0/token", data={}, timeout=5
    )

    assert [answer.status_code, answer.headers["Retry-After"]] == [503, "3"]


def test_an_unknown_fault_is_refused_at_once() -> None:
    wrong: Any = "meteor"
    with pytest.raises(ValueError, match="meteor"):
        Fault(kind=wrong)
    with pytest.raises(ValueError, match="meteor"):
        Fault(kind="reset", target=wrong)
