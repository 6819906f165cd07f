"""The rules that turn facts about the sync into alarms. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from pc_core.errors import SignInState
from pc_core.health.facts import Facts
from pc_core.identity.account import SignInStatus
from pc_core.schedule import previous_times
from pc_core.sync.report import FailureKind, RunState

MISSED_TIMES = 3
"""The last success must not be older than the third-last scheduled time."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""The largest difference between the clocks of two instances that is accepted."""

Level = Literal["ok", "attention", "failing", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One problem that a person should know about or solve.

    Attributes:
        code: stable; the page has a text for it.
        values: details for that text: `count`, `at`, `days`, `message`, `correlation_id`, …
    """

    code: str
    level: Literal["attention", "failing", "disabled"]
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with datetimes."""
        return {"code": self.code, "level": self.level, **self.values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the settings ask for.

    Attributes:
        schedule: of the timer, six NCRONTAB fields, UTC.
        full_sync_every: the interval of full syncs.
    """

    enabled: bool
    schedule: str
    full_sync_every: timedelta


def is_late(facts: Facts, schedule: str, now: datetime) -> bool:
    """Whether the last success is older than the third-last scheduled time.

    Before the first success, the time counts from the first run, or else from the sign-in. A
    success in the future was written with a wrong clock and counts as late.
    """
    since = facts.state.last_success_at or facts.first_run_at
    if since is None and facts.sign_in is not None:
        since = facts.sign_in.since_at
    if since is None:
        return False
    return since < previous_times(schedule, now, MISSED_TIMES)[-1] or since > now + CLOCKS_DIFFER


def sweep_is_overdue(facts: Facts, every: timedelta, now: datetime) -> bool:
    """Whether the last completed sweep is older than twice the interval of full syncs."""
    since = facts.state.last_sweep_at or facts.first_run_at
    return since is not None and abs(now - since) > 2 * every


def alarms_of(facts: Facts, expected: Expected, now: datetime) -> list[Alarm]:
    """All alarms, the worst first."""
    found = [
        *_schema_alarms(facts),
        *sign_in_alarms(facts.sign_in, now),
        *_run_alarms(facts, expected, now),
        *_data_alarms(facts, expected, now),
    ]
    if not expected.enabled:
        # Nothing runs, so nothing can be late; only problems with the data count.
        kept = [alarm for alarm in found if alarm.code in ("migration_behind", "quarantine")]
        return [Alarm(code="feature_disabled", level="disabled"), *kept]
    return sorted(found, key=lambda alarm: alarm.level != "failing")


def level_of(found: list[Alarm]) -> Level:
    """The worst level of the alarms; `disabled` while the feature is off."""
    levels = {alarm.level for alarm in found}
    for level in ("disabled", "failing", "attention"):
        if level in levels:
            return level
    return "ok"


def _schema_alarms(facts: Facts) -> list[Alarm]:
    if facts.schema.is_current:
        return []
    return [Alarm(code="migration_behind", level="failing")]


def sign_in_alarms(sign_in: SignInStatus | None, now: datetime) -> list[Alarm]:
    """The alarms about the sign-in."""
    if sign_in is None:
        return [Alarm(code="sign_in_unknown", level="failing")]
    if sign_in.state not in (SignInState.OK, SignInState.TRANSIENT):
        values = {
            "at": sign_in.since_at,
            "message": sign_in.message,
            "reason_code": sign_in.reason_code,
            "correlation_id": sign_in.correlation_id,
        }
        return [Alarm(code=sign_in.state.value, level="failing", values=values)]
    if sign_in.renewal_due(now) and sign_in.renewed_at is not None:
        days = (now - sign_in.renewed_at).days
        return [Alarm(code="renewal_due", level="attention", values={"days": days})]
    return []


def _run_alarms(facts: Facts, expected: Expected, now: datetime) -> list[Alarm]:
    found: list[Alarm] = []
    run = facts.last_sync
    if run is not None and run.state is RunState.FAILED:
        failure = run.failure
        # The sign-in and the shrunken view have more precise alarms of their own.
        has_own_alarm = failure is not None and (
            failure.kind is FailureKind.SIGN_IN or failure.code == "visibility_shrank"
        )
        if not has_own_alarm:
            values = {
                "at": run.finished_at,
                "task_id": run.task_id,
                "reason_code": failure.code if failure else None,
                "message": failure.message if failure else None,
            }
            found.append(Alarm(code="last_run_failed", level="failing", values=values))
    if run is not None and run.state is RunState.INTERRUPTED:
        values = {"at": run.finished_at, "task_id": run.task_id}
        found.append(Alarm(code="last_run_interrupted", level="attention", values=values))
    if is_late(facts, expected.schedule, now):
        values = {"at": facts.state.last_success_at}
        found.append(Alarm(code="missed", level="failing", values=values))
    return found


def _data_alarms(facts: Facts, expected: Expected, now: datetime) -> list[Alarm]:
    found: list[Alarm] = []
    state = facts.state
    if state.shrank_at is not None:
        values = {
            "at": state.shrank_at,
            "unseen": state.shrank_unseen,
            "present": state.shrank_present,
        }
        found.append(Alarm(code="visibility_shrank", level="failing", values=values))
    if sweep_is_overdue(facts, expected.full_sync_every, now):
        values = {"at": state.last_sweep_at}
        found.append(Alarm(code="sweep_overdue", level="attention", values=values))
    if facts.drift:
        found.append(Alarm(code="drift", level="attention", values={"count": facts.drift}))
    if facts.quarantine:
        values = {"count": facts.quarantine}
        found.append(Alarm(code="quarantine", level="attention", values=values))
    return found
