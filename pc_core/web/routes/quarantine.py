"""The quarantine and its replay; for operators, because the entries hold personal data."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from pc_core.reading import QuarantineItem, QuarantineState
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import Body, HttpAnswer, Parameters, Route, Visit
from pc_core.web.query import own_cursor
from pc_core.web.routes import sync


class QuarantineQuery(Parameters, frozen=True, kw_only=True):
    """Which entries.

    Attributes:
        state: of the entries.
        include_raw: with what Partner Center sent, unchanged.
        limit: how many.
        cursor: `next_cursor` of the page before.
    """

    state: QuarantineState | None = "open"
    include_raw: bool = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=500)] | None = None


class Quarantine(Struct, frozen=True, kw_only=True):
    """A page of entries, newest first."""

    entries: list[QuarantineItem]
    next_cursor: str | None


def _list(visit: Visit, query: QuarantineQuery) -> HttpAnswer:
    with own_cursor():
        page = visit.app.reader.list_quarantine(
            state=query.state, cursor=query.cursor, limit=query.limit
        )
    entries = page.entries
    if not query.include_raw:
        entries = [replace(entry, raw_text=UNSET) for entry in entries]
    return respond.json_answer(Quarantine(entries=entries, next_cursor=page.next_cursor))


def _replay(visit: Visit, _: Body) -> HttpAnswer:
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
    given=QuarantineQuery,
    handle=_list,
    operation_id="listQuarantine",
    summary="List the quarantine",
    answers={200: Quarantine},
)

REPLAY = Route(
    path="api/v1/partner-center/quarantine/replay",
    method="POST",
    who=Role.OPERATOR,
    given=Body,
    handle=_replay,
    operation_id="replayQuarantine",
    summary="Read the quarantine again with the rules of this release, as a run",
    answers=sync.RUN_ANSWERS,
)
