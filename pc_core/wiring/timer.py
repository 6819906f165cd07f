"""The run that the timer starts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from pc_core.errors import PartnerCenterSyncError
from pc_core.observe import events
from pc_core.sync.report import Report, RunState, Trigger


class RunFailed(Exception):
    """A scheduled run failed; raised so that the host records a failed invocation."""


class CanSync(Protocol):
    """What the timer needs of the app."""

    def sync(self, *, trigger: Trigger, invocation_id: str | None) -> Report:
        """Do one run."""


def run_on_schedule(
    open_app: Callable[[], CanSync], *, is_late: bool, invocation_id: str | None
) -> None:
    """Do the timer's run.

    Args:
        open_app: gives the app.
        is_late: the host says that this tick is past due.

    Raises:
        RunFailed: the run failed. Partial, already running and switched off are no failures.
            An unforeseen error goes on as it is.
    """
    trigger: Trigger = "timer-late" if is_late else "timer"
    try:
        report = open_app().sync(trigger=trigger, invocation_id=invocation_id)
    except PartnerCenterSyncError as error:
        events.emit(
            "partner_center_sync_failed",
            level=logging.ERROR,
            trigger=trigger,
            invocation_id=invocation_id,
            code=error.code,
            message=str(error),
        )
        raise RunFailed(f"{error.code}: {error}") from None
    except Exception:
        # Without this line no alert would count the failure.
        events.emit(
            "partner_center_sync_failed",
            level=logging.ERROR,
            exc_info=True,
            trigger=trigger,
            invocation_id=invocation_id,
            code="unexpected_error",
        )
        raise
    if report.state in (RunState.FAILED, RunState.INTERRUPTED):
        failure = report.failure
        reason = f"{failure.code}: {failure.message}" if failure else report.state.value
        raise RunFailed(f"Run {report.task_id}: {reason}")
