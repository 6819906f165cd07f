"""How the sync stands: all that the page's indicator needs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pc_core import __version__
from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import Query

if TYPE_CHECKING:
    from pc_core.config import Settings


def _status(visit: Visit) -> Answer:
    Query(visit.request.query).end()
    app, caller = visit.app, visit.caller
    answer = {
        "version": __version__,
        "role": caller.role.name.lower(),
        "name": caller.name,
        **app.status(),
        "settings": settings_in_force(app.settings),
    }
    return respond.json_answer(answer)


def settings_in_force(settings: Settings) -> dict[str, Any]:
    """The settings that explain what the sync does; no secret, address of a store or person."""

    def seconds(span: timedelta) -> float:
        return span.total_seconds()

    def words(chosen: frozenset[str] | None) -> list[str]:
        return ["*"] if chosen is None else sorted(chosen)

    return {
        "sync_schedule": settings.sync_schedule,
        "full_sync_every_s": seconds(settings.full_sync_every),
        "overlap_s": seconds(settings.overlap),
        "retention_days": settings.retention_days,
        "directions": words(settings.directions),
        "statuses": words(settings.statuses),
        "excluded_substatuses": words(settings.excluded_substatuses),
        "own_domains": words(settings.own_domains),
        "page_size": settings.page_size,
        "run_budget_s": seconds(settings.run_budget),
        "function_timeout_s": seconds(settings.function_timeout),
        "request_timeout_s": seconds(settings.request_timeout),
        "retry_budget_s": seconds(settings.retry_budget),
        "page_delay_s": seconds(settings.page_delay),
        "api_url": settings.api_url,
        "authority": settings.authority,
    }


STATUS = Route(
    path="api/v1/partner-center/status",
    method="GET",
    who=Role.READER,
    handle=_status,
    operation={
        "operationId": "status",
        "summary": "How the sync stands",
        "responses": {"200": describe.answer("Everything that an indicator needs", "Status")},
    },
)
