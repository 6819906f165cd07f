"""The history of runs."""

from __future__ import annotations

import re

from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import Query, own_cursor

LIMIT = 20
MOST = 100

_TASK_ID = re.compile(r"[0-9a-fA-F-]{1,64}", re.ASCII)


def _runs(visit: Visit) -> Answer:
    query = Query(visit.request.query)
    limit = query.number("limit", low=1, high=MOST) or LIMIT
    cursor = query.text("cursor", longest=500)
    query.end()
    with own_cursor():
        page = visit.app.reader.list_runs(limit=limit, cursor=cursor)
    return respond.json_answer(
        {"runs": [run.to_json() for run in page.runs], "next_cursor": page.next_cursor}
    )


def _run(visit: Visit) -> Answer:
    Query(visit.request.query).end()
    task_id = visit.request.placeholders.get("task_id", "")
    run = visit.app.reader.get_run(task_id.lower()) if _TASK_ID.fullmatch(task_id) else None
    return respond.not_found("That run") if run is None else respond.json_answer(run.to_json())


RUNS = Route(
    path="api/v1/partner-center/sync-runs",
    method="GET",
    who=Role.READER,
    handle=_runs,
    operation={
        "operationId": "listRuns",
        "summary": "Runs, newest first; a running one shows its progress",
        "parameters": [
            describe.parameter("limit", "How many.", describe.whole(1, MOST, LIMIT)),
            describe.parameter("cursor", "next_cursor of the page before.", describe.TEXT),
        ],
        "responses": {"200": describe.answer("Runs", "Runs")},
    },
)

RUN = Route(
    path="api/v1/partner-center/sync-runs/{task_id}",
    method="GET",
    who=Role.READER,
    handle=_run,
    operation={
        "operationId": "getRun",
        "summary": "One run",
        "parameters": [describe.placeholder("task_id", "Of the sync's answer.")],
        "responses": {
            "200": describe.answer("The run", "Run"),
            "404": describe.problem("No such run on record"),
        },
    },
)
