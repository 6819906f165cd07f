"""Liveness and readiness, for anyone, without internals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from pc_core import __version__
from pc_core.errors import FixSetting
from pc_core.observe import events
from pc_core.reading import Instant
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Route, Unread, Visit

FLAG = "HUNTER_PARTNER_CENTER_ENABLED"

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


class Live(Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Health(Live, frozen=True, kw_only=True):
    """The process runs, and in which version."""

    partner_center_enabled: bool
    version: str


class Revisions(Struct, frozen=True, kw_only=True):
    """Revisions of the database: the one it has, and the one that this release needs."""

    current: str | None
    expected: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether the app can do its work.

    Attributes:
        checks: each part with `ok`, or a code that says what is wrong.
    """

    status: Literal["ready", "not_ready", "disabled"]
    checks: Mapping[str, str]
    checked_at: Instant | UnsetType = UNSET
    schema: Revisions | UnsetType | None = UNSET


def is_enabled(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the feature is switched on; a value that is neither true nor false counts as off.

    Read without `config`, because loading pydantic is half of what starting the app costs; both
    read the flag by the same rule, and a test compares them.
    """
    return env.get(FLAG, "").strip().lower() in _TRUE


def _health(_: Visit, __: Unread) -> HttpAnswer:
    return respond.json_answer(Health(partner_center_enabled=is_enabled(), version=__version__))


def _live(_: Visit, __: Unread) -> HttpAnswer:
    return respond.json_answer(Live())


def _ready(visit: Visit, _: Unread) -> HttpAnswer:
    try:
        ready = visit.app.health()
    except FixSetting as error:
        events.emit("partner_center_not_ready", code=error.code, message=str(error))
        return respond.json_answer(
            Readiness(status="not_ready", checks={"settings": error.code}), status=503
        )
    schema = ready.schema
    return respond.json_answer(
        Readiness(
            status=ready.state,
            checks=ready.checks,
            checked_at=ready.checked_at,
            schema=Revisions(current=schema.current, expected=schema.expected) if schema else None,
        ),
        status=503 if ready.state == "not_ready" else 200,
    )


HEALTH = Route(
    path="healthz",
    method="GET",
    who=Role.NONE,
    given=Unread,
    handle=_health,
    operation_id="health",
    summary="Health",
    answers={200: Health},
)

LIVE = Route(
    path="healthz/live",
    method="GET",
    who=Role.NONE,
    given=Unread,
    handle=_live,
    operation_id="live",
    summary="Liveness",
    answers={200: Live},
)

READY = Route(
    path="healthz/ready",
    method="GET",
    who=Role.NONE,
    given=Unread,
    handle=_ready,
    operation_id="ready",
    summary="Readiness; the answer may be a few seconds old",
    answers={200: Readiness, 503: Readiness},
)
