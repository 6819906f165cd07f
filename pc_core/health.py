"""How the sync stands: what is wrong, as data, and whether the app is ready.

What decides comes from the database, so that it survives restarts and is the same on every
instance. The rules are pure; `Readiness` asks and remembers for a few seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Literal, Protocol

from pc_core.account import SignInStatus
from pc_core.errors import FixSetting, PartnerCenterSyncError, SignInState
from pc_core.facts import Facts, Schema
from pc_core.report import FailureKind, RunState
from pc_core.schedule import next_time, previous_times

MISSED_TIMES = 3
"""A success must not be older than the third-last scheduled time."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""So far may the clocks of two instances be apart."""

KEPT_S = 5.0
"""How long an answer about readiness is kept, so that asking cannot load the database."""

Level = Literal["ok", "attention", "failing", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing that somebody should know or do.

    Attributes:
        code: stable; the page has words for it.
        values: what the words need: `count`, `at`, `days`, `message`, `correlation_id`, …
    """

    code: str
    level: Literal["attention", "failing", "disabled"]
    values: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON object, instants as datetimes."""
        return {"code": self.code, "level": self.level, **self.values}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the settings promise.

    Attributes:
        schedule: six NCRONTAB fields, UTC.
        full_sync_every: how often everything is swept.
    """

    enabled: bool
    schedule: str
    full_sync_every: timedelta


def is_late(facts: Facts, schedule: str, now: datetime) -> bool:
    """Whether the last success is older than the third-last scheduled time.

    Before the first success, the time counts from the first run, or else from the sign-in. A
    success that lies ahead was noted by a wrong clock and proves nothing.
    """
    since = facts.state.last_success_at or facts.first_run_at
    if since is None and facts.sign_in is not None:
        since = facts.sign_in.since_at
    if since is None:
        return False
    return since < previous_times(schedule, now, MISSED_TIMES)[-1] or since > now + CLOCKS_DIFFER


def sweep_is_overdue(facts: Facts, every: timedelta, now: datetime) -> bool:
    """Whether no sweep has ended within twice its interval."""
    since = facts.state.last_sweep_at or facts.first_run_at
    return since is not None and abs(now - since) > 2 * every


def alarms(facts: Facts, expected: Expected, now: datetime) -> list[Alarm]:
    """Everything that somebody should know or do, the worst first."""
    found = [
        *_schema_alarms(facts),
        *_sign_in_alarms(facts.sign_in, now),
        *_run_alarms(facts, expected, now),
        *_data_alarms(facts, expected, now),
    ]
    if not expected.enabled:
        # Nothing runs, so nothing can be late: only what is wrong with the data still counts.
        kept = [alarm for alarm in found if alarm.code in ("migration_behind", "quarantine")]
        return [Alarm(code="feature_disabled", level="disabled"), *kept]
    return sorted(found, key=lambda alarm: alarm.level != "failing")


def level_of(found: list[Alarm]) -> Level:
    """The worst of the alarms; `disabled` while the feature is off."""
    levels = {alarm.level for alarm in found}
    for level in ("disabled", "failing", "attention"):
        if level in levels:
            return level
    return "ok"


def describe(facts: Facts, expected: Expected, now: datetime) -> dict[str, Any]:
    """All that an indicator needs, as a JSON object with datetimes; no personal data."""
    state, sign_in = facts.state, facts.sign_in
    found = alarms(facts, expected, now)
    last = state.last_success_at
    return {
        "now": now,
        "enabled": expected.enabled,
        "level": level_of(found),
        "alarms": [alarm.to_json() for alarm in found],
        "last_success_at": last,
        "lag_s": round((now - last).total_seconds()) if last else None,
        "next_due_at": next_time(expected.schedule, now),
        "missed": expected.enabled and is_late(facts, expected.schedule, now),
        "last_sweep_at": state.last_sweep_at,
        "sweep_overdue": sweep_is_overdue(facts, expected.full_sync_every, now),
        "sweep_under_way": state.sweep is not None,
        "sweep": (
            {
                "phase": state.sweep.phase,
                "received": state.sweep.received,
                "expected": facts.last_sweep_received,
            }
            if state.sweep
            else None
        ),
        "running": facts.running.to_json() if facts.running else None,
        "last_run": facts.last_run.to_json() if facts.last_run else None,
        "sign_in": _sign_in_words(sign_in, now),
        "counts": {
            "referrals": facts.referrals,
            "open": facts.open,
            "missing": facts.missing,
            "by_type": dict(facts.by_type),
            "by_status": dict(facts.by_status),
        },
        "drift": facts.drift,
        "quarantine": {"open": facts.quarantine},
        "visibility_shrank": (
            {"at": state.shrank_at, "unseen": state.shrank_unseen, "present": state.shrank_present}
            if state.shrank_at
            else None
        ),
        "order_verdict": state.order_verdict,
        "schema": {"current": facts.schema.current, "expected": facts.schema.expected},
    }


def _schema_alarms(facts: Facts) -> list[Alarm]:
    if facts.schema.is_current:
        return []
    return [Alarm(code="migration_behind", level="failing")]


def _sign_in_alarms(sign_in: SignInStatus | None, now: datetime) -> list[Alarm]:
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
        # The sign-in and the shrunken view have alarms of their own, which say more.
        is_told = failure is not None and (
            failure.kind is FailureKind.SIGN_IN or failure.code == "visibility_shrank"
        )
        if not is_told:
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


def _sign_in_words(sign_in: SignInStatus | None, now: datetime) -> dict[str, Any]:
    if sign_in is None:
        sign_in = SignInStatus(state=SignInState.SIGN_IN_NEEDED, reason_code="never_signed_in")
    renewed = sign_in.renewed_at
    return {
        "state": sign_in.state.value,
        "reason_code": sign_in.reason_code,
        "message": sign_in.message,
        "since_at": sign_in.since_at,
        "checked_at": sign_in.checked_at,
        "renewed_at": renewed,
        "refresh_token_age_s": round((now - renewed).total_seconds()) if renewed else None,
        "renewal_due": sign_in.renewal_due(now),
        "correlation_id": sign_in.correlation_id,
    }


# -- Readiness ---------------------------------------------------------------------------------


class FactsSource(Protocol):
    """Where the facts come from; the store's reading side fulfils it."""

    def schema(self) -> Schema:
        """The revisions; works before any migration.

        Raises:
            TryLater, FixSetting: the database is out of reach or refuses.
        """

    def facts(self) -> Facts:
        """Everything.

        Raises:
            TryLater, FixSetting: the database is out of reach, refuses or is not migrated.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Whether the app can do its work.

    Attributes:
        state: `ready`, `not_ready`, or `disabled` while the feature is off.
        checks: each part and `ok`, or a stable code of what is wrong, or `unknown` where an
            earlier part's failure kept it from being looked at.
    """

    state: Literal["ready", "not_ready", "disabled"]
    checked_at: datetime
    checks: Mapping[str, str]
    schema: Schema | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object with datetimes."""
        return {
            "status": self.state,
            "checked_at": self.checked_at,
            "checks": dict(self.checks),
            "schema": (
                {"current": self.schema.current, "expected": self.schema.expected}
                if self.schema
                else None
            ),
        }


class Readiness:
    """Looks whether everything is there that a run needs, at most every `KEPT_S` seconds.

    Args:
        source: the database; None where no database is configured.
        reach_storage: raises TryLater or FixSetting if the storage is out of reach.
        now: aware UTC.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        expected: Expected,
        source: FactsSource | None,
        reach_storage: Callable[[], object],
        now: Callable[[], datetime],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._expected = expected
        self._source = source
        self._reach_storage = reach_storage
        self._now = now
        self._clock = clock
        self._looking = threading.Lock()
        self._kept: tuple[float, Ready] | None = None

    def check(self) -> Ready:
        """The current answer, or one that is a few seconds old.

        While one caller looks, the others get the last answer; only the first ones ever wait.
        """
        kept = self._kept
        if kept is not None and self._clock() - kept[0] < KEPT_S:
            return kept[1]
        if kept is None:
            self._looking.acquire()
        elif not self._looking.acquire(blocking=False):
            return kept[1]
        try:
            kept = self._kept
            if kept is not None and self._clock() - kept[0] < KEPT_S:
                return kept[1]
            found = self._look()
            self._kept = (self._clock(), found)
            return found
        finally:
            self._looking.release()

    def _look(self) -> Ready:
        now = self._now()
        if not self._expected.enabled:
            return Ready(state="disabled", checked_at=now, checks={})
        checks = dict.fromkeys(
            ("database", "migration", "storage", "sign_in", "last_success"), "unknown"
        )
        checks["storage"] = _outcome(self._reach_storage)
        schema = self._look_at_database(checks, now)
        good = all(outcome == "ok" for outcome in checks.values())
        return Ready(
            state="ready" if good else "not_ready", checked_at=now, checks=checks, schema=schema
        )

    def _look_at_database(self, checks: dict[str, str], now: datetime) -> Schema | None:
        if self._source is None:
            checks["database"] = "not_configured"
            return None
        try:
            schema = self._source.schema()
            checks["database"] = "ok"
        except PartnerCenterSyncError as error:
            checks["database"] = error.code
            return None
        if not schema.is_current:
            checks["migration"] = "migration_missing"
            return schema
        try:
            facts = self._source.facts()
        except FixSetting as error:
            checks["migration"] = error.code
            return schema
        except PartnerCenterSyncError as error:
            checks["database"] = error.code
            return schema
        checks["migration"] = "ok"
        signing = _sign_in_alarms(facts.sign_in, now)
        checks["sign_in"] = next(
            (alarm.code for alarm in signing if alarm.level == "failing"), "ok"
        )
        late = is_late(facts, self._expected.schedule, now)
        checks["last_success"] = "too_old" if late else "ok"
        return schema


def _outcome(reach: Callable[[], object]) -> str:
    try:
        reach()
    except PartnerCenterSyncError as error:
        return error.code
    return "ok"
