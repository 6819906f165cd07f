"""Readiness: whether the app can do its work, asked at most every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Literal, Protocol

from pc_core.errors import FixSetting, PartnerCenterSyncError
from pc_core.health.alarms import Expected, is_late, sign_in_alarms
from pc_core.health.facts import Facts, Schema

KEPT_S = 5.0
"""How long an answer about readiness is kept, so that asking cannot load the database."""


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
        signing = sign_in_alarms(facts.sign_in, now)
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
