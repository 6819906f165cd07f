"""The OpenAPI description of the interface, put together from what stands beside the routes."""

from __future__ import annotations

from functools import cache
from typing import Any

from pc_core import __version__
from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import Query
from pc_core.web.routes import companies, health, quarantine, referrals, runs, sign_in, status, sync

_ROLE_NAMES = {Role.READER: "Referrals.Read", Role.OPERATOR: "Referrals.Operate"}


def routes() -> tuple[Route, ...]:
    """Every described route."""
    return (
        health.HEALTH,
        health.LIVE,
        health.READY,
        sync.SYNC,
        runs.RUNS,
        runs.RUN,
        status.STATUS,
        referrals.LIST,
        referrals.DETAIL,
        referrals.ATTENTION,
        referrals.STATISTICS,
        companies.LIST,
        companies.ONE,
        quarantine.LIST,
        quarantine.REPLAY,
        sign_in.START,
        sign_in.POLL,
        OPENAPI,
    )


@cache
def document() -> dict[str, Any]:
    """The whole description, plain JSON types."""
    from pc_core.web.schemas import SCHEMAS

    paths: dict[str, dict[str, Any]] = {}
    for route in routes():
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Partner Center sync",
            "version": __version__,
            "description": "Referrals from Microsoft Partner Center, kept in a database. Errors "
            "are problem documents (RFC 9457) with a stable `code`.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "entra": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An Entra ID token for this app, or the session of App "
                    "Service Authentication.",
                },
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "The operator's key, where App Service Authentication is off.",
                },
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    responses = dict(route.operation["responses"])
    if route.who is Role.NONE:
        return {**route.operation, "security": [], "responses": responses}
    usual = {
        "400": "A parameter or the Host header is wrong",
        "401": "Nobody is signed in, or the key is missing or wrong",
        "403": "The role is missing, or access is not set up",
        "421": "Not a name of this app",
        "500": "A setting is wrong, or an unforeseen error",
        "503": "Database, storage or vault is out of reach; Retry-After says when to try again",
    }
    if route.method == "POST":
        usual |= {"413": "The body is too large", "415": "The body is not JSON"}
    for code, words in usual.items():
        responses.setdefault(code, describe.problem(words))
    return {
        **route.operation,
        "description": f"Needs the role {_ROLE_NAMES[route.who]}.",
        "security": [{"entra": []}, {"key": []}],
        "responses": dict(sorted(responses.items())),
    }


def _show(visit: Visit) -> Answer:
    Query(visit.request.query).end()
    return respond.json_answer(document())


OPENAPI = Route(
    path="api/v1/openapi.json",
    method="GET",
    who=Role.NONE,
    handle=_show,
    operation={
        "operationId": "describe",
        "summary": "This description",
        "responses": {
            "200": {
                "description": "OpenAPI 3.1",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    },
)
