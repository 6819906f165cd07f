"""Timers: each fires on its schedule, one run at a time, also after a run that failed."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dev.host.messages import TypedData
from dev.host.worker import Function, Worker
from pc_core.schedule import next_time, previous_times

LATE_AFTER = timedelta(seconds=1)
LONGEST_WAIT_S = 5.0  # a clock that was set, or a machine that slept, is noticed after this


@dataclass(slots=True, kw_only=True)
class Timer:
    """A timer function with its schedule: six NCRONTAB fields, UTC."""

    worker: Worker
    function: Function
    schedule: str
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _last_at: datetime | None = None

    async def keep_time(self) -> None:
        """Fire whenever the schedule says so, until it is cancelled."""
        due_at = next_time(self.schedule, _now())
        while True:
            wait_s = (due_at - _now()).total_seconds()
            await asyncio.sleep(max(0.0, min(wait_s, LONGEST_WAIT_S)))
            if _now() < due_at:
                continue
            is_late = _now() - due_at > LATE_AFTER
            await self._run(due_at, f"Timer fired at {_now().isoformat()}", is_late=is_late)
            # All times that the run has missed make one more run.
            latest_at = previous_times(self.schedule, _now(), 1)[0]
            due_at = max(next_time(self.schedule, due_at), latest_at)

    async def run_by_hand(self) -> None:
        """Fire now, or after the run that is under way."""
        await self._run(_now(), "Fired by hand through the admin API", is_late=False)

    async def _run(self, due_at: datetime, reason: str, *, is_late: bool) -> None:
        async with self._one_at_a_time:
            last_at = self._last_at or datetime.fromtimestamp(0, UTC)
            content = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": {
                    "Last": last_at.isoformat(),
                    "Next": next_time(self.schedule, due_at).isoformat(),
                    "LastUpdated": last_at.isoformat(),
                },
                "IsPastDue": is_late,
            }
            self._last_at = _now()
            await self.worker.invoke(self.function, TypedData(json=json.dumps(content)), reason)


def _now() -> datetime:
    return datetime.now(UTC)
