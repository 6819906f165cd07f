import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pc_core.errors import FixSetting, SignInState, TryLater
from pc_core.health.alarms import Expected, alarms_of, is_late, level_of
from pc_core.health.facts import Facts, Schema
from pc_core.health.readiness import KEPT_S, Readiness
from pc_core.health.status import status_of
from pc_core.identity.account import SignInStatus
from pc_core.sync.report import Failure, FailureKind, RunState
from pc_core.sync.state import SyncState
from pc_core.web.routes import health, status
from tests.web.serving import NOW, MemoryApp, ask, facts, read, report

SCHEDULE = "0 */10 * * * *"
EXPECTED = Expected(enabled=True, schedule=SCHEDULE, full_sync_every=timedelta(hours=24))
SIGNED_IN = SignInStatus(
    state=SignInState.OK, since_at=NOW - timedelta(days=3), renewed_at=NOW - timedelta(hours=1)
)


def good(**changes: Any) -> Facts:
    return facts(**{"sign_in": SIGNED_IN, **changes})


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


# -- Late --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_success_at", "late"),
    [
        # NOW is 12:05; the third-last scheduled time is 11:40.
        (minutes_ago(1), False),
        (datetime(2026, 3, 1, 11, 40, tzinfo=UTC), False),
        (datetime(2026, 3, 1, 11, 39, 59, tzinfo=UTC), True),
        (NOW - timedelta(days=9), True),
    ],
)
def test_a_success_must_not_be_older_than_the_third_last_scheduled_time(
    last_success_at: datetime, late: bool
) -> None:
    known = good(state=SyncState(last_success_at=last_success_at))
    assert is_late(known, SCHEDULE, NOW) is late


@pytest.mark.parametrize(
    ("first_run_at", "signed_in_at", "late"),
    [
        (None, None, False),
        (None, minutes_ago(5), False),
        (None, minutes_ago(30), True),
        (minutes_ago(5), minutes_ago(600), False),
        (minutes_ago(30), minutes_ago(5), True),
    ],
)
def test_before_the_first_success_time_counts_from_the_first_run_or_the_sign_in(
    first_run_at: datetime | None, signed_in_at: datetime | None, late: bool
) -> None:
    sign_in = SignInStatus(state=SignInState.OK, since_at=signed_in_at) if signed_in_at else None
    known = facts(state=SyncState(), first_run_at=first_run_at, sign_in=sign_in)
    assert is_late(known, SCHEDULE, NOW) is late


# -- Alarms ------------------------------------------------------------------------------------


def failed(kind: FailureKind, code: str) -> Any:
    return report(RunState.FAILED, failure=Failure(kind=kind, code=code, message="What to do."))


OLD = NOW - timedelta(days=3)


@pytest.mark.parametrize(
    ("known", "codes", "level"),
    [
        (good(), [], "ok"),
        (facts(), ["sign_in_unknown"], "failing"),
        (
            good(sign_in=SignInStatus(state=SignInState.BLOCKED_BY_POLICY)),
            ["blocked_by_policy"],
            "failing",
        ),
        (good(sign_in=SignInStatus(state=SignInState.TRANSIENT)), [], "ok"),
        (
            good(sign_in=SignInStatus(state=SignInState.OK, renewed_at=NOW - timedelta(days=75))),
            ["renewal_due"],
            "attention",
        ),
        (good(last_run=failed(FailureKind.TRY_LATER, "throttled")), ["last_run_failed"], "failing"),
        (good(last_run=failed(FailureKind.SIGN_IN, "sign_in_needed")), [], "ok"),
        (good(last_run=report(RunState.INTERRUPTED)), ["last_run_interrupted"], "attention"),
        (good(last_run=report(RunState.PARTIAL)), [], "ok"),
        (good(state=SyncState(last_success_at=OLD, last_sweep_at=NOW)), ["missed"], "failing"),
        (
            good(state=SyncState(last_success_at=NOW, last_sweep_at=OLD)),
            ["sweep_overdue"],
            "attention",
        ),
        (
            good(
                state=SyncState(
                    last_success_at=NOW,
                    last_sweep_at=NOW,
                    shrank_at=NOW,
                    shrank_unseen=212,
                    shrank_present=739,
                ),
                last_run=failed(FailureKind.OPERATOR, "visibility_shrank"),
            ),
            ["visibility_shrank"],
            "failing",
        ),
        (good(drift=2), ["drift"], "attention"),
        (good(quarantine=1), ["quarantine"], "attention"),
        (
            good(schema=Schema(current="0001", expected="0002", is_current=False)),
            ["migration_behind"],
            "failing",
        ),
        (
            good(quarantine=1, last_run=failed(FailureKind.BUG, "unexpected_error")),
            ["last_run_failed", "quarantine"],
            "failing",
        ),
    ],
)
def test_each_problem_becomes_an_alarm(known: Facts, codes: list[str], level: str) -> None:
    found = alarms_of(known, EXPECTED, NOW)
    assert [alarm.code for alarm in found] == codes
    assert level_of(found) == level


def test_with_the_feature_off_nothing_is_late_but_data_still_counts() -> None:
    off = Expected(enabled=False, schedule=SCHEDULE, full_sync_every=timedelta(hours=24))
    known = facts(state=SyncState(last_success_at=OLD), quarantine=1)
    found = alarms_of(known, off, NOW)
    assert [alarm.code for alarm in found] == ["feature_disabled", "quarantine"]
    assert level_of(found) == "disabled"
    assert status_of(known, off, NOW)["missed"] is False


def test_the_status_says_how_long_ago_and_when_next() -> None:
    shown = status_of(good(state=SyncState(last_success_at=minutes_ago(4))), EXPECTED, NOW)
    assert (shown["lag_s"], shown["next_due_at"]) == (240, datetime(2026, 3, 1, 12, 10, tzinfo=UTC))
    assert shown["sign_in"]["refresh_token_age_s"] == 3600


def test_the_status_names_no_person_and_no_secret() -> None:
    answer = ask(MemoryApp(), status.STATUS)
    settings = read(answer)["settings"]
    assert settings["statuses"] == ["Active", "New"]
    assert not {name for name in settings if "key" in name or "url" in name} - {"api_url"}


# -- Readiness ---------------------------------------------------------------------------------


class Source:
    def __init__(self, known: Facts | Exception, schema: Schema | Exception | None = None) -> None:
        self.known = known
        self.revisions = schema or Schema(current="0001", expected="0001", is_current=True)
        self.looked = 0

    def schema(self) -> Schema:
        self.looked += 1
        if isinstance(self.revisions, Exception):
            raise self.revisions
        return self.revisions

    def facts(self) -> Facts:
        if isinstance(self.known, Exception):
            raise self.known
        return self.known


def reached() -> None:
    pass


def not_reached() -> None:
    raise TryLater("The storage is out of reach.", code="storage_unavailable")


def readiness(source: Source | None, *, enabled: bool = True, **parts: Any) -> Readiness:
    expected = Expected(enabled=enabled, schedule=SCHEDULE, full_sync_every=timedelta(hours=24))
    values: dict[str, Any] = {"reach_storage": reached, "now": lambda: NOW, "clock": lambda: 0.0}
    return Readiness(expected=expected, source=source, **values | parts)


AWAY = TryLater("The database is out of reach.", code="database_unavailable")
BEHIND = Schema(current=None, expected="0001", is_current=False)


@pytest.mark.parametrize(
    ("source", "failing"),
    [
        (Source(good()), {}),
        (Source(good(), AWAY), {"database": "database_unavailable"}),
        (Source(AWAY), {"database": "database_unavailable"}),
        (Source(good(), BEHIND), {"migration": "migration_missing"}),
        (
            Source(FixSetting("Apply it.", code="migration_missing")),
            {"migration": "migration_missing"},
        ),
        (Source(facts()), {"sign_in": "sign_in_unknown"}),
        (
            Source(good(sign_in=SignInStatus(state=SignInState.SIGN_IN_NEEDED))),
            {"sign_in": "sign_in_needed"},
        ),
        (Source(good(state=SyncState(last_success_at=OLD))), {"last_success": "too_old"}),
        (None, {"database": "not_configured"}),
    ],
)
def test_readiness_names_the_failing_part(source: Source | None, failing: dict[str, str]) -> None:
    ready = readiness(source).check()
    found = {name: code for name, code in ready.checks.items() if code not in ("ok", "unknown")}
    assert found == failing
    assert ready.state == ("not_ready" if failing else "ready")


def test_storage_out_of_reach_is_a_failing_part_too() -> None:
    ready = readiness(Source(good()), reach_storage=not_reached).check()
    assert (ready.state, ready.checks["storage"]) == ("not_ready", "storage_unavailable")


def test_with_the_feature_off_nothing_is_checked() -> None:
    source = Source(good())
    ready = readiness(source, enabled=False, reach_storage=not_reached).check()
    assert (ready.state, source.looked) == ("disabled", 0)


def test_a_result_is_kept_for_seconds_and_then_checked_again() -> None:
    source, clock_s = Source(good()), [100.0]
    kept = readiness(source, clock=lambda: clock_s[0])
    kept.check()
    clock_s[0] += KEPT_S - 0.1
    kept.check()
    assert source.looked == 1
    clock_s[0] += 0.2
    kept.check()
    assert source.looked == 2


def test_many_callers_at_once_cause_one_check() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class SlowSource(Source):
        def schema(self) -> Schema:
            begun.set()
            assert go_on.wait(10)
            return super().schema()

    source = SlowSource(good())
    kept = readiness(source)
    states: list[str] = []
    callers = [threading.Thread(target=lambda: states.append(kept.check().state)) for _ in range(8)]
    for caller in callers:
        caller.start()
    assert begun.wait(10)
    go_on.set()
    for caller in callers:
        caller.join(10)
    assert (states, source.looked) == (["ready"] * 8, 1)


def test_while_one_checks_again_the_others_get_the_last_result() -> None:
    begun, go_on, clock_s = threading.Event(), threading.Event(), [0.0]

    class SecondLookWaits(Source):
        def schema(self) -> Schema:
            if self.looked == 1:
                begun.set()
                assert go_on.wait(10)
            return super().schema()

    kept = readiness(SecondLookWaits(good()), clock=lambda: clock_s[0])
    first = kept.check()
    clock_s[0] = KEPT_S + 1
    looking = threading.Thread(target=kept.check)
    looking.start()
    assert begun.wait(10)
    assert kept.check() is first
    go_on.set()
    looking.join(10)
    assert kept.check() is not first


# -- Routes ------------------------------------------------------------------------------------


def test_ready_answers_by_what_was_found() -> None:
    app = MemoryApp()
    assert ask(app, health.READY, key=None).status == 200
    app.ready = readiness(Source(facts())).check()
    answer = ask(app, health.READY, key=None)
    assert (answer.status, read(answer)["checks"]["sign_in"]) == (503, "sign_in_unknown")
    app.ready = readiness(None, enabled=False).check()
    assert (ask(app, health.READY).status, app.ready.state) == (200, "disabled")
    app.ready = FixSetting("Wrong: HUNTER_…", code="config_invalid")
    answer = ask(app, health.READY, key=None)
    assert (answer.status, read(answer)["checks"]) == (503, {"settings": "config_invalid"})
    assert b"HUNTER" not in answer.body


def test_live_returns_only_a_status() -> None:
    assert read(ask(MemoryApp(), health.LIVE, key=None)) == {"status": "ok"}
