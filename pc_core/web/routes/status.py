"""The status of the sync, for the page's indicator."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, Struct, UnsetType

from pc_core import __version__
from pc_core.errors import SignInState
from pc_core.reading import Instant
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Parameters, Route, Visit
from pc_core.web.routes.health import Revisions

if TYPE_CHECKING:
    from pc_core.config import Settings


class ShownAlarm(Struct, frozen=True, kw_only=True):
    """Something that a person should know or do, with what its words need."""

    code: str
    level: Literal["attention", "failing", "disabled"]
    at: Instant | UnsetType | None = UNSET
    count: int | UnsetType = UNSET
    days: int | UnsetType = UNSET
    message: str | UnsetType | None = UNSET
    reason_code: str | UnsetType | None = UNSET
    correlation_id: str | UnsetType | None = UNSET
    task_id: str | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET
    present: int | UnsetType | None = UNSET


class SweepProgress(Struct, frozen=True, kw_only=True):
    """The full sync under way; `expected`: rows that the last one received."""

    phase: Literal["reading", "checking", "shrank"]
    received: int
    expected: int | None


class ShownSignIn(Struct, frozen=True, kw_only=True):
    """The sign-in to Partner Center."""

    state: SignInState
    reason_code: str | None
    message: str | None
    since_at: Instant | None
    checked_at: Instant | None
    renewed_at: Instant | None
    refresh_token_age_s: int | None
    renewal_due: bool
    correlation_id: str | None


class ReferralCounts(Struct, frozen=True, kw_only=True):
    """How many referrals are stored; the empty name counts those without a value."""

    referrals: int
    open: int
    missing: int
    by_type: Mapping[str, int]
    by_status: Mapping[str, int]


class OpenEntries(Struct, frozen=True, kw_only=True):
    """How many entries of the quarantine are open."""

    open: int


class Shrinking(Struct, frozen=True, kw_only=True):
    """A full sync that found far fewer referrals than are stored."""

    at: Instant
    unseen: int | None
    present: int | None


class Status(Struct, frozen=True, kw_only=True):
    """The status of the sync."""

    version: str
    role: Literal["reader", "operator"]
    name: str | None
    now: Instant
    enabled: bool
    level: Literal["ok", "attention", "failing", "disabled"]
    alarms: list[ShownAlarm]
    last_success_at: Instant | None
    lag_s: int | None
    next_due_at: Instant
    missed: bool
    last_sweep_at: Instant | None
    sweep_overdue: bool
    sweep_under_way: bool
    sweep: SweepProgress | None
    running: respond.ShownRun | None
    last_run: respond.ShownRun | None
    sign_in: ShownSignIn
    counts: ReferralCounts
    drift: int
    quarantine: OpenEntries
    visibility_shrank: Shrinking | None
    order_verdict: str
    schema: Revisions
    settings: dict[str, Any]


def _status(visit: Visit, _: Parameters) -> HttpAnswer:
    app, caller = visit.app, visit.caller
    return respond.json_answer(
        Status(
            version=__version__,
            role="operator" if caller.role is Role.OPERATOR else "reader",
            name=caller.name,
            settings=settings_in_force(app.settings),
            **app.status(),
        )
    )


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
    given=Parameters,
    handle=_status,
    operation_id="status",
    summary="Status of the sync",
    answers={200: Status},
)
