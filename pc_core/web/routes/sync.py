"""Starting a run by a request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal

from pc_core.errors import PartnerCenterSyncError
from pc_core.observe import events
from pc_core.sync.report import Counts, Report
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import Body, HttpAnswer, HttpRequest, Route, Visit
from pc_core.web.query import BadParameter

HTTP_BUDGET_S = 180.0
"""Azure cuts an HTTP answer off after 230 s, whatever functionTimeout says; this leaves time to
end the run."""


class SyncBody(Body, frozen=True, kw_only=True):
    """How to sync.

    Attributes:
        mode: full: read every referral; incremental, or null: read those that changed.
        accept_missing: with mode full: mark as missing what Partner Center no longer returns,
            however many referrals that is.
    """

    mode: Literal["incremental", "full"] | None = None
    accept_missing: bool = False


def _sync(visit: Visit, body: SyncBody) -> HttpAnswer:
    if body.accept_missing and body.mode != "full":
        raise BadParameter("accept_missing", "needs the mode full")
    return answer_run(
        visit,
        lambda: visit.app.sync(
            trigger="http",
            mode=body.mode or "incremental",
            accept_missing=body.accept_missing,
            invocation_id=visit.request.invocation_id,
            budget_s=budget_s(visit.request),
        ),
    )


def answer_run(visit: Visit, run: Callable[[], Report]) -> HttpAnswer:
    """Run, and answer with the report. An error before the run began answers with zero counts."""
    try:
        return respond.from_report(run())
    except PartnerCenterSyncError as error:
        events.emit(
            "partner_center_sync_failed",
            level=logging.ERROR,
            trigger="http",
            invocation_id=visit.request.invocation_id,
            code=error.code,
            message=str(error),
        )
        return respond.from_error(error, members=_NOTHING_DONE)


def budget_s(request: HttpRequest) -> float:
    """Seconds that are left for an HTTP run, counted from its invocation."""
    return max(1.0, HTTP_BUDGET_S - request.elapsed_s())


_NOTHING_DONE: dict[str, object] = {
    "task_id": None,
    "success_count": 0,
    "skipped_count": 0,
    "failure_count": 0,
    **Counts().to_json(),
}

RUN_ANSWERS: Mapping[int, type] = {
    200: respond.ShownRun,
    202: respond.ShownRun,
    409: respond.RunProblem,
    500: respond.RunProblem,
    502: respond.RunProblem,
    503: respond.RunProblem,
}

SYNC = Route(
    path="api/v1/partner-center/referrals/sync",
    method="POST",
    who=Role.OPERATOR,
    given=SyncBody,
    handle=_sync,
    operation_id="sync",
    summary="Run a sync now and wait for its result",
    answers=RUN_ANSWERS,
)
