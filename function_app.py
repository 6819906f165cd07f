"""The app's triggers; each hands over at once.

What is done lies in `pc_core`, who may and what is answered in `pc_core.web`. Nothing else is
loaded before it is needed.
"""

import logging
from typing import TYPE_CHECKING

import azure.functions as func

from pc_core.web import (
    company_routes,
    health_routes,
    openapi,
    page,
    quarantine_routes,
    referral_routes,
    run_routes,
    sign_in_routes,
    status_routes,
    sync_routes,
)
from pc_core.web.door import serve
from pc_core.web.exchange import Route

if TYPE_CHECKING:
    from pc_core.wiring import App

logging.getLogger("azure").setLevel(logging.WARNING)

# Access is decided by pc_core.web.access, for every route, by the role that the route names.
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def open_app() -> "App":
    """The worker's app, built from its settings when it is first asked for."""
    from pc_core import wiring

    return wiring.app()


@app.timer_trigger(
    "timer", "%HUNTER_PARTNER_CENTER_SYNC_SCHEDULE%", run_on_startup=False, use_monitor=True
)
def scheduled_sync(timer: func.TimerRequest, context: func.Context) -> None:
    """Pull what changed; a failed run raises, so that the host records a failed invocation."""
    sync_routes.run_on_schedule(
        open_app, is_late=timer.past_due, invocation_id=context.invocation_id
    )


def _http(name: str, route: Route) -> None:
    @app.function_name(name)
    @app.route(route.path, methods=[route.method])
    def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return serve(req, route, open_app, context)


_http("health", health_routes.HEALTH)  # GET /healthz
_http("health_live", health_routes.LIVE)  # GET /healthz/live
_http("health_ready", health_routes.READY)  # GET /healthz/ready
_http("sync", sync_routes.SYNC)  # POST /api/v1/partner-center/referrals/sync
_http("runs", run_routes.RUNS)  # GET /api/v1/partner-center/sync-runs
_http("run", run_routes.RUN)  # GET /api/v1/partner-center/sync-runs/{task_id}
_http("status", status_routes.STATUS)  # GET /api/v1/partner-center/status
_http("referrals", referral_routes.LIST)  # GET /api/v1/partner-center/referrals
_http("referral", referral_routes.DETAIL)  # GET /api/v1/partner-center/referrals/{referral_id}
_http("attention", referral_routes.ATTENTION)  # GET /api/v1/partner-center/attention
_http("statistics", referral_routes.STATISTICS)  # GET /api/v1/partner-center/statistics
_http("companies", company_routes.LIST)  # GET /api/v1/partner-center/companies
_http("company", company_routes.ONE)  # GET /api/v1/partner-center/companies/{domain}
_http("quarantine", quarantine_routes.LIST)  # GET /api/v1/partner-center/quarantine
_http("quarantine_replay", quarantine_routes.REPLAY)  # POST …/quarantine/replay
_http("sign_in", sign_in_routes.START)  # POST /api/v1/partner-center/sign-in
_http("sign_in_poll", sign_in_routes.POLL)  # GET /api/v1/partner-center/sign-in/{id}
_http("describe", openapi.OPENAPI)  # GET /api/v1/openapi.json
_http("mini_ui", page.PAGE)  # GET /mini-ui/ and its files
_http("home", page.HOME)  # GET / leads to /mini-ui/
