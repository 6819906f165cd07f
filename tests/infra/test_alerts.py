"""The alerts' queries, tried on lines that the app really wrote; what fires is written by hand."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from dev.simulator.faults import Fault
from pc_core.config import Settings
from pc_core.errors import FixSetting, SignInNeeded, SignInState
from pc_core.identity.token import Token
from pc_core.observe import events
from pc_core.wiring.app import App
from pc_core.wiring.timer import RunFailed, run_on_schedule
from tests.infra import kusto
from tests.infra.templates import rules
from tests.infra.windows import windows
from tests.sync.conftest import make_harness
from tests.sync.harness import Harness, SimulatorTokens

__all__ = ["make_harness"]

type Make = Callable[..., Harness]

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
QUIET_APP = {"silence", "sweep-overdue"}


@dataclass(frozen=True)
class Line:
    """A row of `traces`, and when it could first be queried."""

    timestamp: datetime
    ingested_at: datetime
    message: str
    item_count: int = 1


class Listener(logging.Handler):
    """Keeps what the app logs, as the Functions worker forwards it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@pytest.fixture
def listener() -> Iterator[Listener]:
    heard = Listener()
    events.logger.addHandler(heard)
    level = events.logger.level
    events.logger.setLevel(logging.INFO)
    yield heard
    events.logger.setLevel(level)
    events.logger.removeHandler(heard)


def written(messages: list[str], *, ago_min: float = 5, lag_min: float = 2) -> list[Line]:
    """These lines, written so many minutes before NOW and to be seen so many minutes later."""
    at = NOW - timedelta(minutes=ago_min)
    return [
        Line(timestamp=at, ingested_at=at + timedelta(minutes=lag_min), message=message)
        for message in messages
    ]


def firing(lines: list[Line], now: datetime = NOW) -> set[str]:
    """The alerts that Azure raises when it evaluates them now."""
    found = set()
    for rule in rules().values():
        rows = [
            {"timestamp": line.timestamp, "message": line.message, "itemCount": line.item_count}
            for line in lines
            if line.ingested_at <= now and line.timestamp > now - windows.span(rule.window)
        ]
        if rule.fires(len(kusto.run(rule.query, rows))):
            found.add(rule.name)
    return found


def test_a_sync_in_good_order_raises_nothing(make_harness: Make, listener: Listener) -> None:
    make_harness(40).run()

    assert firing(written(listener.messages)) == set()


def test_an_app_that_says_nothing_raises_what_waits_for_it() -> None:
    assert firing([]) == QUIET_APP


def test_lines_of_somebody_else_are_no_sign_of_life() -> None:
    others = [
        "Host lock lease acquired by instance ID '0'.",
        "partner_center_sync_summary: the words alone, and no event",
        json.dumps({"event": "mentioned", "text": "partner_center_sync_summary"}),
        '{"event": "partner_center_sync_summary", "head_completed_at": "2026-11-',
    ]

    assert firing(written(others)) == QUIET_APP


def test_a_run_that_had_no_time_left_for_its_sweep_is_a_success(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(60)
    harness.simulator.behaviour.page_size = 5
    harness.run()
    listener.messages.clear()
    harness.later = timedelta(days=1)
    harness.run(pages=2)

    assert firing(written(listener.messages)) == {"sweep-overdue"}


def test_the_switched_off_flag_is_no_silence(listener: Listener) -> None:
    app = App(Settings.from_env({}))

    run_on_schedule(lambda: app, is_late=False, invocation_id="1")

    assert firing(written(listener.messages)) == set()


def test_a_failed_run_is_told_even_when_others_succeed(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(40)
    harness.run()
    harness.simulator.faults.add(Fault(kind="html", target="list", times=3))
    assert harness.run().state == "failed"

    assert firing(written(listener.messages)) == {"run-failed"}


def test_runs_that_fail_are_no_sign_of_life(make_harness: Make, listener: Listener) -> None:
    harness = make_harness(40)
    harness.run()
    listener.messages.clear()
    harness.simulator.faults.add(Fault(kind="html", target="list", times=None))
    assert [harness.run().state for _ in range(3)] == ["failed"] * 3

    assert firing(written(listener.messages)) == {"run-failed"} | QUIET_APP


def test_a_sign_in_that_is_needed_has_an_alert_of_its_own_and_repeats(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(10)
    harness.run()

    class Refused:
        def forget(self) -> None:
            """Nothing is kept."""

        def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
            raise SignInNeeded("Sign in.", state=SignInState.SIGN_IN_NEEDED, code="expired")

        def renewed_at(self) -> datetime | None:
            return None

    healthy = written(listener.messages, ago_min=29)
    for _ in range(2):
        listener.messages.clear()
        harness.tokens = Refused()  # type: ignore[assignment]
        harness.run()

    assert firing(healthy + written(listener.messages)) == {"sign-in-needed"}


def test_a_sign_in_that_nothing_renews_is_told_once_a_day_and_stays_told(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(10)
    signed_in_at = harness.now()

    class NeverRenewed(SimulatorTokens):
        def renewed_at(self) -> datetime | None:
            return signed_in_at

    harness.tokens = NeverRenewed(harness.simulator)
    told: dict[float, list[str]] = {}
    for days in (0, 74.9, 75.01, 75.02, 75.5, 76.02, 76.03):
        listener.messages.clear()
        harness.later = timedelta(days=days)
        assert harness.run().state == "completed"
        told[days] = [line for line in listener.messages if "renewal_due" in line]

    assert {days: len(lines) for days, lines in told.items() if lines} == {75.01: 1, 76.02: 1}
    assert json.loads(told[75.01][0])["days"] == 75
    a_day_and_a_run_ago = written(told[75.01], ago_min=24 * 60 + 20)
    assert "sign-in-ageing" in firing(a_day_and_a_run_ago)
    assert "sign-in-ageing" not in firing(written(told[75.01], ago_min=48 * 60 + 1))
    listener.messages.clear()
    harness.tokens = SimulatorTokens(harness.simulator)
    harness.run()
    assert "sign-in-ageing" not in firing(written(listener.messages))


def test_a_run_that_could_not_even_begin_is_told(listener: Listener) -> None:
    def no_app() -> App:
        raise FixSetting("Wrong settings.", code="config_invalid")

    with pytest.raises(RunFailed):
        run_on_schedule(no_app, is_late=False, invocation_id="1")

    assert firing(written(listener.messages)) == {"run-failed"} | QUIET_APP


def test_rows_set_aside_are_told(make_harness: Make, listener: Listener) -> None:
    harness = make_harness(10)
    harness.simulator.state.add_raw("bad-1", b'{"id":"bad-1","name":"\\u0000"}')
    harness.run()

    assert firing(written(listener.messages)) == {"quarantine"}


def test_drift_is_told(make_harness: Make, listener: Listener) -> None:
    harness = make_harness()
    harness.simulator.behaviour.page_size = 5
    harness.run()
    long_ago = harness.now() - timedelta(days=60)
    for row in sorted(harness.rows().values(), key=lambda row: row["pc_updated_at"])[:3]:
        harness.simulator.state.change(
            row["referral_id"], name="new", updatedDateTime=f"{long_ago:%Y-%m-%dT%H:%M:%SZ}"
        )
    harness.later = timedelta(days=1)
    listener.messages.clear()

    assert harness.run().counts.drift > 0
    assert firing(written(listener.messages)) == {"drift"}


def test_one_throttled_request_is_normal_and_many_are_told(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(10)
    harness.run()
    healthy = list(listener.messages)
    listener.messages.clear()
    harness.simulator.faults.add(Fault(kind="status", target="list", status=429, times=1))
    harness.run()
    throttled = [line for line in listener.messages if '"status": 429' in line]

    assert len(throttled) == 1
    assert firing(written(healthy + throttled * 9)) == set()
    assert firing(written(healthy + throttled * 10)) == {"throttling"}


def test_silence_is_told_within_what_was_promised(make_harness: Make, listener: Listener) -> None:
    make_harness(10).run()
    last = written(listener.messages, ago_min=0, lag_min=0)
    rule = rules()["silence"]
    every = windows.span(rule.frequency)
    promised = 3 * timedelta(minutes=10) + timedelta(minutes=15)
    evaluations = [NOW + each * every for each in range(12)]

    fired_at = next(now for now in evaluations if "silence" in firing(last, now))
    assert timedelta(minutes=30) <= fired_at - NOW <= promised - timedelta(minutes=10)


def test_late_lines_count_for_when_they_were_written(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(10)
    harness.run()
    success = list(listener.messages)
    listener.messages.clear()
    harness.simulator.faults.add(Fault(kind="html", target="list", times=3))
    harness.run()
    failure = list(listener.messages)

    not_there_yet = written(success, ago_min=9, lag_min=10)
    there = written(success, ago_min=10, lag_min=10)
    stale_but_fresh_off_the_wire = written(success, ago_min=31, lag_min=30)
    late_failure = written(failure, ago_min=14, lag_min=13)

    assert "silence" in firing(not_there_yet)
    assert "silence" not in firing(there)
    assert "silence" in firing(stale_but_fresh_off_the_wire)
    assert "run-failed" in firing(late_failure)


def test_if_lines_were_sampled_the_alarm_is_false_rather_than_missing(
    make_harness: Make, listener: Listener
) -> None:
    harness = make_harness(10)
    harness.run()
    harness.simulator.faults.add(Fault(kind="html", target="list", times=3))
    harness.run()
    kept = [
        Line(line.timestamp, line.ingested_at, line.message, item_count=5)
        for line in written(listener.messages)
        if "partner_center_sync_failed" in line.message
    ]

    assert firing(kept) == {"run-failed"} | QUIET_APP


@pytest.mark.parametrize(
    "query",
    ["requests", "traces | summarize count()", "traces | where rand() > 1", "traces | take 5"],
)
def test_a_query_that_nobody_has_tried_is_refused(query: str) -> None:
    with pytest.raises(kusto.NotInTheSubset):
        kusto.run(query, [{"message": ""}])
