"""The app's triggers; each hands over at once.

`pc_core` does the work; `pc_core.web` decides who has access and what is answered. Nothing else is
loaded before it is needed.
"""

import logging
from typing import TYPE_CHECKING, Any

import azure.functions as func

from pc_core.web import openapi
from pc_core.web.door import serve
from pc_core.web.exchange import Route
from pc_core.web.routes import (
    companies,
    health,
    mini_ui,
    quarantine,
    referrals,
    runs,
    sign_in,
    status,
    sync,
)
from pc_core.wiring.timer import run_on_schedule

if TYPE_CHECKING:
    from pc_core.wiring.app import App

logging.getLogger("azure").setLevel(logging.WARNING)

# Access is decided by pc_core.web.access, for every route, by the role that the route names.
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def open_app() -> "App":
    """The worker's app, built from its settings when it is first needed."""
    from pc_core.wiring.app import worker_app

    return worker_app()


@app.timer_trigger(
    "timer", "%HUNTER_PARTNER_CENTER_SYNC_SCHEDULE%", run_on_startup=False, use_monitor=True
)
def scheduled_sync(timer: func.TimerRequest, context: func.Context) -> None:
    """Pull what changed; a failed run raises, so that the host records a failed invocation."""
    run_on_schedule(open_app, is_late=timer.past_due, invocation_id=context.invocation_id)


def _http(name: str, route: Route[Any]) -> None:
    @app.function_name(name)
    @app.route(route.path, methods=[route.method])
    def answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return serve(req, route, open_app, context)


_http("health", health.HEALTH)  # GET /healthz
_http("health_live", health.LIVE)  # GET /healthz/live
_http("health_ready", health.READY)  # GET /healthz/ready
_http("sync", sync.SYNC)  # POST /api/v1/partner-center/referrals/sync
_http("runs", runs.RUNS)  # GET /api/v1/partner-center/sync-runs
_http("run", runs.RUN)  # GET /api/v1/partner-center/sync-runs/{task_id}
_http("status", status.STATUS)  # GET /api/v1/partner-center/status
_http("referrals", referrals.LIST)  # GET /api/v1/partner-center/referrals
_http("referral", referrals.DETAIL)  # GET /api/v1/partner-center/referrals/{referral_id}
_http("attention", referrals.NEEDS_ATTENTION)  # GET /api/v1/partner-center/attention
_http("statistics", referrals.STATISTICS)  # GET /api/v1/partner-center/statistics
_http("companies", companies.LIST)  # GET /api/v1/partner-center/companies
_http("company", companies.ONE)  # GET /api/v1/partner-center/companies/{domain}
_http("quarantine", quarantine.LIST)  # GET /api/v1/partner-center/quarantine
_http("quarantine_replay", quarantine.REPLAY)  # POST …/quarantine/replay
_http("sign_in", sign_in.START)  # POST /api/v1/partner-center/sign-in
_http("sign_in_poll", sign_in.POLL)  # GET /api/v1/partner-center/sign-in/{id}
_http("describe", openapi.OPENAPI)  # GET /api/v1/openapi.json
_http("mini_ui", mini_ui.MINI_UI)  # GET /mini-ui/ and its files
_http("home", mini_ui.HOME)  # GET / leads to /mini-ui/
