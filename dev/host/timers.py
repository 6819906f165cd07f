"""Timers: each fires on its schedule, one run at a time, whatever became of the run before."""

import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dev.host.messages import TypedData
from dev.host.schedules import Schedule
from dev.host.worker import Function, Worker

log = logging.getLogger("host")

PAST_DUE_AFTER = timedelta(seconds=1)
LONGEST_WAIT_S = 5.0  # a clock that was set, or a machine that slept, is noticed after this


@dataclass(slots=True, kw_only=True)
class Timer:
    """A timer function with its schedule."""

    worker: Worker
    function: Function
    schedule: Schedule
    run_on_startup: bool = False
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    _last_at: datetime | None = None

    def keep_time(self, stopping: threading.Event) -> None:
        """Fire whenever the schedule says so, until `stopping` is set."""
        if self.run_on_startup:
            self._run(due_at=_now(), reason="Timer fired at start", past_due=False)
        due_at = self.schedule.next_after(_now())
        while True:
            wait_s = (due_at - _now()).total_seconds()
            if stopping.wait(max(0.0, min(wait_s, LONGEST_WAIT_S))):
                return
            if _now() < due_at:
                continue
            late = _now() - due_at > PAST_DUE_AFTER
            self._run(due_at=due_at, reason=f"Timer fired at {_now().isoformat()}", past_due=late)
            next_at = self.schedule.next_after(due_at)
            missed = next_at <= _now()
            # All that were missed make one run, which is past due.
            due_at = self._latest_due(next_at) if missed else next_at

    def run_by_hand(self) -> None:
        """Fire now, after a run that is under way."""
        self._run(due_at=_now(), reason="Fired by hand through the admin API", past_due=False)

    def _latest_due(self, due_at: datetime) -> datetime:
        while (following_at := self.schedule.next_after(due_at)) <= _now():
            due_at = following_at
        return due_at

    def _run(self, *, due_at: datetime, reason: str, past_due: bool) -> None:
        with self._one_at_a_time:
            last_at = self._last_at or datetime.fromtimestamp(0, UTC)
            status = {
                "Last": last_at.isoformat(),
                "Next": self.schedule.next_after(due_at).isoformat(),
                "LastUpdated": last_at.isoformat(),
            }
            content = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": status,
                "IsPastDue": past_due,
            }
            self._last_at = _now()
            self.worker.invoke(self.function, TypedData(json=json.dumps(content)), reason)


def _now() -> datetime:
    return datetime.now(UTC)
