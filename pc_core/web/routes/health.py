"""Whether the process lives, and whether the app can do its work; for anyone, without internals."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pc_core import __version__
from pc_core.errors import FixSetting
from pc_core.observe import events
from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit

FLAG = "HUNTER_PARTNER_CENTER_ENABLED"

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


def is_enabled(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the feature is switched on; a value that is neither true nor false counts as off.

    Read without `config`, because loading pydantic is half of what starting the app costs; both
    read the flag by the same rule, and a test compares them.
    """
    return env.get(FLAG, "").strip().lower() in _TRUE


def _health(_: Visit) -> Answer:
    return respond.bare_json_answer(
        {
            "status": "ok",
            "partner_center_enabled": is_enabled(),
            "version": __version__,
        }
    )


def _live(_: Visit) -> Answer:
    return respond.bare_json_answer({"status": "ok"})


def _ready(visit: Visit) -> Answer:
    try:
        ready = visit.app.health()
    except FixSetting as error:
        events.emit("partner_center_not_ready", code=error.code, message=str(error))
        return respond.json_answer(
            {"status": "not_ready", "checks": {"settings": error.code}}, status=503
        )
    status = 503 if ready.state == "not_ready" else 200
    return respond.json_answer(ready.to_json(), status=status)


HEALTH = Route(
    path="healthz",
    method="GET",
    who=Role.NONE,
    handle=_health,
    operation={
        "operationId": "health",
        "summary": "The process lives",
        "responses": {"200": describe.answer("It lives", "Health")},
    },
)

LIVE = Route(
    path="healthz/live",
    method="GET",
    who=Role.NONE,
    handle=_live,
    operation={
        "operationId": "live",
        "summary": "The process lives, and nothing else",
        "responses": {"200": describe.answer("It lives", "Live")},
    },
)

READY = Route(
    path="healthz/ready",
    method="GET",
    who=Role.NONE,
    handle=_ready,
    operation={
        "operationId": "ready",
        "summary": "Everything is there that a run needs, and the last success is not too old",
        "description": "The answer may be a few seconds old.",
        "responses": {
            "200": describe.answer("Ready, or disabled by the feature flag", "Ready"),
            "503": describe.answer("Not ready; checks name the failing parts", "Ready"),
        },
    },
)
