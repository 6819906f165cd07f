"""One run at a time: takes the lease, keeps it alive, writes how the run ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import uuid4

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    InvalidResponse,
    LeaseLost,
    OperatorNeeded,
    PartnerCenterSyncError,
    SignInNeeded,
    TryLater,
)
from pc_core.observe import events
from pc_core.sync.ports import Held, Lease, Store
from pc_core.sync.report import Failure, FailureKind, Report, RunState, Trigger

LEASE_S = 120.0
"""A run that has been silent for so long is taken for dead, and the next one takes over."""

_HEARTBEATS_PER_LEASE = 4


class AlreadyRunning(TryLater):
    """Another run has the lease; nothing was read or written.

    Attributes:
        task_id: of the run that has it.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"Run {task_id} is under way. Nothing was changed; try again when it has ended.",
            code="already_running",
        )
        self.task_id = task_id


def new_report(
    trigger: Trigger, mode: str, *, now: datetime, invocation_id: str | None = None
) -> Report:
    """The report of a run that begins now."""
    return Report(
        task_id=str(uuid4()),
        state=RunState.RUNNING,
        trigger=trigger,
        mode=mode,
        started_at=now,
        invocation_id=invocation_id,
    )


def under_lease(
    store: Store,
    report: Report,
    *,
    holder: str,
    now: Callable[[], datetime],
    lease_s: float = LEASE_S,
) -> OpenRun:
    """Take the lease and open the run's row.

    Use what it returns as a context: inside, the lease is kept alive.

    Args:
        holder: the name of this process in the lease.

    Raises:
        AlreadyRunning: another run has the lease.
        TryLater, FixSetting: the database cannot be used; no run was opened.
    """
    lease = store.take_lease(report, holder=holder, ttl_s=lease_s)
    if isinstance(lease, Held):
        raise AlreadyRunning(lease.task_id)
    return OpenRun(store=store, lease=lease, report=report, now=now, lease_s=lease_s)


@dataclass(slots=True, kw_only=True)
class OpenRun:
    """A run that has the lease.

    When the context ends, the run's end is written and the lease given back. An error is written
    into the report and then goes on to the caller.

    Attributes:
        report: what the run has done so far; afterwards, how it ended.
    """

    store: Store
    lease: Lease
    report: Report
    now: Callable[[], datetime]
    lease_s: float
    _stop: threading.Event = field(default_factory=threading.Event)
    _heartbeat: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._heartbeat = threading.Thread(
            target=copy_context().run, args=(self._beat,), name="lease-heartbeat", daemon=True
        )
        self._heartbeat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._heartbeat is not None:
            self._heartbeat.join()
        if error is not None and not isinstance(error, (Exception, KeyboardInterrupt)):
            # The process is being ended: the lease expires, and the next run takes over.
            return
        state, failure = _end_of(error)
        self.report = self.report.ended(state, at=self.now(), failure=failure)
        if isinstance(error, LeaseLost):
            return
        try:
            self.store.finish_run(self.lease, self.report)
        except Exception as unfinished:
            state, failure = _end_of(unfinished)
            self.report = self.report.ended(
                state, at=self.now(), failure=self.report.failure or failure
            )
            if error is None:
                raise

    def _beat(self) -> None:
        while not self._stop.wait(self.lease_s / _HEARTBEATS_PER_LEASE):
            try:
                self.store.keep_lease(self.lease)
            except LeaseLost:
                return
            except PartnerCenterSyncError:
                # The database is out of reach for now; the next save finds out for good.
                continue


def _end_of(error: BaseException | None) -> tuple[RunState, Failure | None]:
    match error:
        case None:
            return RunState.COMPLETED, None
        case BudgetEnded():
            events.emit("partner_center_sync_budget_ended", reason=str(error))
            return RunState.PARTIAL, None
        case LeaseLost():
            return RunState.INTERRUPTED, failure_of(error)
        case PartnerCenterSyncError():
            return RunState.FAILED, failure_of(error)
        case KeyboardInterrupt():
            return RunState.INTERRUPTED, None
        case _:
            events.emit("partner_center_sync_bug", level=logging.ERROR, exc_info=True)
            return RunState.FAILED, Failure(
                kind=FailureKind.BUG,
                code="unexpected_error",
                message=f"An unexpected {type(error).__name__} ended the run. What was saved is "
                "safe; the log of this run has the details.",
            )


_KINDS = {
    SignInNeeded: FailureKind.SIGN_IN,
    FixSetting: FailureKind.FIX_SETTING,
    OperatorNeeded: FailureKind.OPERATOR,
    InvalidResponse: FailureKind.NONSENSE,
}
"""All other errors are worth trying again."""


def failure_of(error: PartnerCenterSyncError) -> Failure:
    """An error as the report's failure."""
    kinds = (kind for family, kind in _KINDS.items() if isinstance(error, family))
    return Failure(
        kind=next(kinds, FailureKind.TRY_LATER),
        code=error.code,
        message=str(error),
        retry_after_s=error.retry_after_s if isinstance(error, TryLater) else None,
    )
