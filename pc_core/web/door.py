"""The door: from the Functions host's request to a route's answer.

Checked in this order: the host name, the caller's role, the origin, the body, the parameters. Then
the route answers. Every error becomes a problem document.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pc_core.errors import PartnerCenterSyncError
from pc_core.observe import events
from pc_core.web import access, respond
from pc_core.web.access import Caller, Role
from pc_core.web.exchange import HttpAnswer, HttpRequest, Route, Visit
from pc_core.web.query import BadParameter, read

if TYPE_CHECKING:
    import azure.functions as func

    from pc_core.web.served import ServedApp

_ANYONE = Caller(role=Role.NONE, standing="closed")


def serve(
    req: func.HttpRequest,
    route: Route[Any],
    open_app: Callable[[], ServedApp],
    context: func.Context | None = None,
) -> func.HttpResponse:
    """Answer one invocation of the Functions host.

    Args:
        open_app: gives the app; called only where the route needs it.
        context: of the invocation, where the host gave one.
    """
    import azure.functions as func

    began_s = monotonic()
    request = HttpRequest(
        method=req.method,
        path=_path(req.url),
        headers={name.lower(): value for name, value in req.headers.items()},
        query=dict(req.params),
        placeholders=dict(req.route_params),
        body=req.get_body() or b"",
        invocation_id=context.invocation_id if context else None,
        elapsed_s=lambda: monotonic() - began_s,
    )
    answer = answer_request(request, route, open_app)
    return func.HttpResponse(answer.body, status_code=answer.status, headers=dict(answer.headers))


def _path(url: str) -> str:
    """The path of the address; empty if the host name, which the caller writes, is malformed."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def answer_request(
    request: HttpRequest, route: Route[Any], open_app: Callable[[], ServedApp]
) -> HttpAnswer:
    """Check a request and let its route answer it; never raises."""
    caller = _ANYONE
    try:
        if route.who is not Role.NONE:
            app = open_app()
            refusal = _refuse_host(request, app)
            if refusal is None:
                caller = _caller(request, app)
                refusal = access.refuse_role(caller, route.who)
            if refusal is None and route.method == "POST":
                refusal = access.refuse_cross_site(request.headers)
                refusal = refusal or access.refuse_body(request.headers, request.body)
            if refusal is not None:
                return respond.refused(refusal)
        return route.handle(Visit(request, caller, open_app), read(route.given, request))
    except BadParameter as wrong:
        return respond.bad_request(wrong.parameter, wrong.detail)
    except PartnerCenterSyncError as error:
        events.emit(
            "partner_center_route_failed",
            route=route.path,
            code=error.code,
            message=str(error),
            invocation_id=request.invocation_id,
        )
        if caller.role is Role.NONE and route.who is not Role.NONE:
            return respond.not_ready(error)
        return respond.from_error(error)
    except Exception:  # noqa: BLE001 - the traceback goes to the log, not to the caller
        events.emit(
            "partner_center_route_bug",
            level=logging.ERROR,
            exc_info=True,
            route=route.path,
            invocation_id=request.invocation_id,
        )
        return respond.from_bug()


def _caller(request: HttpRequest, app: ServedApp) -> Caller:
    auth_enabled = app.settings.auth_enabled
    return access.decide(
        request.headers,
        auth_enabled=auth_enabled,
        key=None if auth_enabled else app.operator_key(),
    )


def _refuse_host(request: HttpRequest, app: ServedApp) -> access.AccessRefusal | None:
    settings = app.settings
    known = settings.public_hosts | ({settings.site_host} if settings.site_host else set())
    return access.refuse_host(request.headers, known_hosts=known)
