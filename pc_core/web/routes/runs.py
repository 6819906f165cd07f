"""The history of runs."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Parameters, Route, Visit
from pc_core.web.query import own_cursor

_TASK_ID = re.compile(r"[0-9a-fA-F-]{1,64}", re.ASCII)


class RunQuery(Parameters, frozen=True, kw_only=True):
    """Which runs.

    Attributes:
        limit: how many.
        cursor: `next_cursor` of the page before.
    """

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str, Meta(max_length=500)] | None = None


class RunParameters(Parameters, frozen=True, kw_only=True):
    """Which run.

    Attributes:
        task_id: the run id, from the answer of a sync.
    """

    task_id: str


class Runs(Struct, frozen=True, kw_only=True):
    """A page of runs, newest first; a running one shows its progress."""

    runs: list[respond.ShownRun]
    next_cursor: str | None


def _runs(visit: Visit, query: RunQuery) -> HttpAnswer:
    with own_cursor():
        page = visit.app.reader.list_runs(limit=query.limit, cursor=query.cursor)
    runs = [respond.ShownRun(**run.to_json()) for run in page.runs]
    return respond.json_answer(Runs(runs=runs, next_cursor=page.next_cursor))


def _run(visit: Visit, wanted: RunParameters) -> HttpAnswer:
    task_id = wanted.task_id.lower()
    run = visit.app.reader.get_run(task_id) if _TASK_ID.fullmatch(task_id) else None
    if run is None:
        return respond.not_found("That run")
    return respond.json_answer(respond.ShownRun(**run.to_json()))


RUNS = Route(
    path="api/v1/partner-center/sync-runs",
    method="GET",
    who=Role.READER,
    given=RunQuery,
    handle=_runs,
    operation_id="listRuns",
    summary="List runs",
    answers={200: Runs},
)

RUN = Route(
    path="api/v1/partner-center/sync-runs/{task_id}",
    method="GET",
    who=Role.READER,
    given=RunParameters,
    handle=_run,
    operation_id="getRun",
    summary="Get a run",
    answers={200: respond.ShownRun, 404: respond.Problem},
)
