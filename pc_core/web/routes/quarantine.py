"""What could not be understood, and trying it again; for operators: it holds people's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import Members, Query, own_cursor
from pc_core.web.routes import sync

if TYPE_CHECKING:
    from pc_core.reading import QuarantineState

LIMIT = 50
MOST = 200

_STATES: dict[str, QuarantineState | None] = {
    "open": "open",
    "replayed": "replayed",
    "superseded": "superseded",
    "closed": "closed",
    "any": None,
}


def _list(visit: Visit) -> Answer:
    query = Query(visit.request.query)
    limit = query.number("limit", low=1, high=MOST) or LIMIT
    cursor = query.text("cursor", longest=500)
    state = _STATES[query.choice("state", _STATES, default="open")]
    include_raw = query.flag("include_raw")
    query.end()
    with own_cursor():
        page = visit.app.reader.list_quarantine(state=state, cursor=cursor, limit=limit)
    entries = [entry.to_json(include_raw=include_raw) for entry in page.entries]
    return respond.json_answer({"entries": entries, "next_cursor": page.next_cursor})


def _replay(visit: Visit) -> Answer:
    Members(visit.request.body).end()
    return sync.answer_run(
        visit,
        lambda: visit.app.replay_quarantine(
            trigger="http",
            invocation_id=visit.request.invocation_id,
            budget_s=sync.budget_s(visit.request),
        ),
    )


LIST = Route(
    path="api/v1/partner-center/quarantine",
    method="GET",
    who=Role.OPERATOR,
    handle=_list,
    operation={
        "operationId": "listQuarantine",
        "summary": "What could not be understood, newest first",
        "parameters": [
            describe.parameter("state", "Of the entries.", {"enum": list(_STATES)}),
            describe.parameter(
                "include_raw", "With what Partner Center sent, as it is.", describe.FLAG
            ),
            describe.parameter("limit", "How many.", describe.whole(1, MOST, LIMIT)),
            describe.parameter("cursor", "next_cursor of the page before.", describe.TEXT),
        ],
        "responses": {"200": describe.answer("Entries", "Quarantine")},
    },
)

REPLAY = Route(
    path="api/v1/partner-center/quarantine/replay",
    method="POST",
    who=Role.OPERATOR,
    handle=_replay,
    operation={
        "operationId": "replayQuarantine",
        "summary": "Read the quarantine again with this release's rules, as a run",
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {"schema": {"type": "object", "additionalProperties": False}}
            },
        },
        "responses": sync.RUN_RESPONSES,
    },
)
