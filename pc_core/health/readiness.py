"""Whether the app can do its work; checked every few seconds at most."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Literal, Protocol

from pc_core.errors import FixSetting, PartnerCenterSyncError
from pc_core.health.alarms import Expected, is_late, sign_in_alarms
from pc_core.health.facts import Facts, Schema

KEPT_S = 5.0
"""How long a result is kept, so that requests for it cannot overload the database."""


class FactsSource(Protocol):
    """Where the facts come from; implemented by the store."""

    def schema(self) -> Schema:
        """The schema's revisions; works before any migration.

        Raises:
            TryLater, FixSetting: the database is unreachable or denies access.
        """

    def facts(self) -> Facts:
        """All facts.

        Raises:
            TryLater, FixSetting: the database is unreachable, denies access or is not migrated.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Whether the app can do its work.

    Attributes:
        state: `ready`, `not_ready`, or `disabled` while the feature is off.
        checks: for each part `ok`, or a stable error code, or `unknown` if it was not checked
            because an earlier part failed.
    """

    state: Literal["ready", "not_ready", "disabled"]
    checked_at: datetime
    checks: Mapping[str, str]
    schema: Schema | None = None


class Readiness:
    """Checks everything that a run needs, every `KEPT_S` seconds at most.

    Args:
        source: the database; None if none is configured.
        reach_storage: raises TryLater or FixSetting if the storage is unreachable.
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
        self._lock = threading.Lock()
        self._kept: tuple[float, Ready] | None = None

    def check(self) -> Ready:
        """The current result, or one that is a few seconds old.

        While one caller checks, the others get the last result. Only before the first result do
        they wait.
        """
        kept = self._kept
        if kept is not None and self._clock() - kept[0] < KEPT_S:
            return kept[1]
        if kept is None:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return kept[1]
        try:
            kept = self._kept
            if kept is not None and self._clock() - kept[0] < KEPT_S:
                return kept[1]
            result = self._check_all()
            self._kept = (self._clock(), result)
            return result
        finally:
            self._lock.release()

    def _check_all(self) -> Ready:
        now = self._now()
        if not self._expected.enabled:
            return Ready(state="disabled", checked_at=now, checks={})
        checks = dict.fromkeys(
            ("database", "migration", "storage", "sign_in", "last_success"), "unknown"
        )
        checks["storage"] = _code_of(self._reach_storage)
        schema = self._check_database(checks, now)
        is_ready = all(outcome == "ok" for outcome in checks.values())
        return Ready(
            state="ready" if is_ready else "not_ready", checked_at=now, checks=checks, schema=schema
        )

    def _check_database(self, checks: dict[str, str], now: datetime) -> Schema | None:
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
        found = sign_in_alarms(facts.sign_in, now)
        checks["sign_in"] = next((alarm.code for alarm in found if alarm.level == "failing"), "ok")
        late = is_late(facts, self._expected.schedule, now)
        checks["last_success"] = "too_old" if late else "ok"
        return schema


def _code_of(reach: Callable[[], object]) -> str:
    try:
        reach()
    except PartnerCenterSyncError as error:
        return error.code
    return "ok"
