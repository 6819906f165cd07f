"""One run at a time: takes the lease, keeps it alive, gives it back."""

from __future__ import annotations

import threading
from contextvars import copy_context
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from pc_core.errors import (
    FixSetting,
    LeaseLost,
    NonsenseAnswer,
    OperatorNeeded,
    PartnerCenterSyncError,
    SignInNeeded,
    TryLater,
)
from pc_core.observe import calls, events
from pc_core.sync.ports import Lease, Store
from pc_core.sync.report import Failure, FailureKind, Report, Request, RunState

LEASE_S = 120.0
"""A run that has been silent for so long is taken for dead, and the next one takes over."""


class Heartbeat:
    """Keeps a lease alive while its run waits for the network.

    Args:
        every_s: seconds between two heartbeats.
    """

    def __init__(self, store: Store, lease: Lease, *, every_s: float) -> None:
        self._store = store
        self._lease = lease
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._beat,), name="lease-heartbeat", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._store.keep_lease(self._lease)
            except LeaseLost:
                return
            except PartnerCenterSyncError:
                # The database is out of reach for now; the next save finds out for good.
                continue


def begun(request: Request, now: datetime) -> Report:
    """The report of a run that begins now."""
    return Report(
        task_id=str(uuid4()),
        state=RunState.RUNNING,
        trigger=request.trigger,
        mode=request.mode,
        started_at=now,
        invocation_id=request.invocation_id,
    )


def not_run(report: Report, state: RunState, now: datetime) -> Report:
    """The report of a run that did not take place."""
    report = report.ended(state, at=now)
    events.emit("partner_center_sync_summary", **summary_fields(report))
    return report


_KINDS = {
    SignInNeeded: FailureKind.SIGN_IN,
    FixSetting: FailureKind.FIX_SETTING,
    OperatorNeeded: FailureKind.OPERATOR,
    NonsenseAnswer: FailureKind.NONSENSE,
}
"""The others are worth trying again."""


def failure_kind(error: PartnerCenterSyncError) -> FailureKind:
    """What an error asks of the report's reader."""
    return next(
        (kind for family, kind in _KINDS.items() if isinstance(error, family)),
        FailureKind.TRY_LATER,
    )


def failure_of(kind: FailureKind, error: PartnerCenterSyncError) -> Failure:
    """An error as the report's failure."""
    return Failure(
        kind=kind,
        code=error.code,
        message=str(error),
        retry_after_s=error.retry_after_s if isinstance(error, TryLater) else None,
    )


def summary_fields(report: Report) -> dict[str, Any]:
    """The fields of the summary event."""
    plain = report.to_json()
    error = plain.pop("error")
    return {
        **plain,
        "error_code": error["code"] if error else None,
        "calls": calls.totals(),
    }
