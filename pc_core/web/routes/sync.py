"""Runs, started by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pc_core.errors import PartnerCenterSyncError
from pc_core.observe import events
from pc_core.sync.report import Counts, Report
from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Request, Route, Visit
from pc_core.web.query import BadParameter, Members

if TYPE_CHECKING:
    from pc_core.sync.report import Mode

HTTP_BUDGET_S = 180.0
"""An HTTP answer has 230 s on Azure, whatever functionTimeout says; this leaves room to end."""

_MODES: dict[str, Mode] = {"incremental": "incremental", "full": "full"}


def _sync(visit: Visit) -> Answer:
    mode, accept_missing = _wished(visit.request)
    return answer_run(
        visit,
        lambda: visit.app.sync(
            trigger="http",
            mode=mode,
            accept_missing=accept_missing,
            invocation_id=visit.request.invocation_id,
            budget_s=budget_s(visit.request),
        ),
    )


def answer_run(visit: Visit, run: Callable[[], Report]) -> Answer:
    """Do a run and answer with its report; an error before it could begin has the same members."""
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


def budget_s(request: Request) -> float:
    """What is left of an HTTP run's time, seconds, counted from its invocation."""
    return max(1.0, HTTP_BUDGET_S - request.elapsed_s())


def _wished(request: Request) -> tuple[Mode, bool]:
    members = Members(request.body)
    wished = members.text("mode") or "incremental"
    accept_missing = members.flag("accept_missing")
    members.end()
    mode = _MODES.get(wished)
    if mode is None:
        raise BadParameter("mode", "must be incremental or full")
    if accept_missing and mode != "full":
        raise BadParameter("accept_missing", "needs the mode full")
    return mode, accept_missing


_NOTHING_DONE: dict[str, object] = {
    "task_id": None,
    "success_count": 0,
    "skipped_count": 0,
    "failure_count": 0,
    **Counts().to_json(),
}

RUN_RESPONSES = {
    "200": describe.answer("Completed", "Run"),
    "202": describe.answer("The time budget ended it; the next run goes on", "Run"),
    "409": describe.problem("already_running or feature_disabled", "RunProblem"),
    "500": describe.problem("A setting is wrong", "RunProblem"),
    "502": describe.problem("Nonsense from the API, or a person has to decide", "RunProblem"),
    "503": describe.problem(
        "Sign-in is needed (without Retry-After), or try again later (with)", "RunProblem"
    ),
}

SYNC = Route(
    path="api/v1/partner-center/referrals/sync",
    method="POST",
    who=Role.OPERATOR,
    handle=_sync,
    operation={
        "operationId": "sync",
        "summary": "Run a sync now and wait for its result",
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "mode": {"enum": list(_MODES), "default": "incremental"},
                            "accept_missing": {
                                "type": "boolean",
                                "default": False,
                                "description": "With mode full: mark what Partner Center no "
                                "longer knows as missing, however much it is.",
                            },
                        },
                    }
                }
            },
        },
        "responses": RUN_RESPONSES,
    },
)
