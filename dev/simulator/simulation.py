"""Both services behind one address, without sockets: routing, faults, the record of requests."""

from __future__ import annotations

import base64
import re
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from email.utils import formatdate

from dev.simulator import behaviour as switches
from dev.simulator.behaviour import Behaviour
from dev.simulator.entra import Entra, grant_name
from dev.simulator.faults import CONTENT_KINDS, Fault, FaultQueue
from dev.simulator.message import RecordedRequest, Request, Response, answer_html, answer_json
from dev.simulator.partner_center import LIST_PATH, PartnerCenter
from dev.simulator.world import World

_TENANT_PATHS = {
    "/v2.0/.well-known/openid-configuration": "discovery",
    "/oauth2/v2.0/devicecode": "device",
    "/oauth2/v2.0/token": "token",
}
# Far beyond any test; a simulator that runs for weeks must not grow.
_MOST_RECORDED = 100_000


class Simulation:
    """Partner Center and Entra ID with one world behind them.

    Attributes:
        state: the world.
        behaviour, entra, faults: what can be switched.
    """

    def __init__(self, world: World) -> None:
        self.state = world
        self.behaviour = Behaviour()
        self.entra = Entra()
        self.faults = FaultQueue()
        self.partner_center = PartnerCenter(self.state, self.behaviour, self.entra)
        self._recorded: deque[RecordedRequest] = deque(maxlen=_MOST_RECORDED)
        self._recording = threading.Lock()

    @property
    def tenant_id(self) -> str:
        """The tenant that the referrals belong to."""
        return self.entra.tenant_id

    @property
    def client_id(self) -> str:
        """The one app registration."""
        return self.entra.client_id

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, in the order they were answered; the control API's are not."""
        with self._recording:
            return list(self._recorded)

    def clear_requests(self) -> None:
        """Forget the recorded requests and the counts of token requests."""
        with self._recording:
            self._recorded.clear()
        self.entra.clear_token_requests()

    def reset(self, referrals: int = 400, *, seed: int = 1, now: datetime | None = None) -> None:
        """Begin anew with a fresh world, default behaviour, no faults, no tokens, no record."""
        self.state.reset(referrals, seed=seed, now=now)
        switches.reset(self.behaviour)
        switches.reset(self.entra.behaviour)
        self.faults.clear()
        self.entra.reset()
        self.clear_requests()

    def measure_process(self) -> dict[str, float | None]:
        """CPU seconds so far and peak memory in bytes, None where the system does not tell."""
        peak: float | None = None
        if sys.platform != "win32":
            import resource

            unit = 1 if sys.platform == "darwin" else 1_024
            peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
        return {"cpu_s": time.process_time(), "peak_bytes": peak}

    def answer(self, request: Request) -> Response:
        """Answer one request to Partner Center or Entra ID, and record it."""
        at = datetime.now(UTC)
        started_s = time.monotonic()
        target, tenant_or_id = _classify(request.path)
        delay_s, fault = self.faults.take(target) if target != "other" else (0.0, None)
        if target in ("list", "item"):
            delay_s += self.behaviour.latency_s
        if delay_s > 0:
            time.sleep(delay_s)
        response = self._answer(request, target, tenant_or_id, fault)
        recorded = RecordedRequest(
            target=target,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=_blot_out(request.headers),
            grant=grant_name(request.form()) if target == "token" else None,
            status=0 if response.delivery == "reset" else response.status,
            fault=None if fault is None else fault.kind,
            at=at,
            took_s=time.monotonic() - started_s,
        )
        with self._recording:
            self._recorded.append(recorded)
        return response

    def _answer(
        self, request: Request, target: str, tenant_or_id: str, fault: Fault | None
    ) -> Response:
        if fault is not None:
            instead = self._answer_fault(request, target, fault)
            if instead is not None:
                return instead
        response = self._answer_plainly(request, target, tenant_or_id, fault)
        return response if fault is None else _spoil_delivery(response, fault)

    def _answer_plainly(
        self, request: Request, target: str, tenant_or_id: str, fault: Fault | None
    ) -> Response:
        content = fault if fault is not None and fault.kind in CONTENT_KINDS else None
        allowed = {
            "list": ("GET",),
            "item": ("GET",),
            "token": ("POST",),
            "device": ("POST",),
            "discovery": ("GET",),
            "other": ("GET", "POST"),
        }[target]
        if request.method not in allowed:
            return Response(status=405, headers=[("Allow", ", ".join(allowed))])
        if target == "list":
            return self.partner_center.answer_list(request, content)
        if target == "item":
            return self.partner_center.answer_item(request, tenant_or_id, content)
        if target == "token":
            return dated(self.entra.answer_token(tenant_or_id, request))
        if target == "device":
            return dated(self.entra.answer_device_code(tenant_or_id, request))
        if target == "discovery":
            return dated(self.entra.answer_discovery(tenant_or_id, request))
        if request.path == "/device":
            return dated(self.entra.answer_device_page(request))
        return self.partner_center.answer_not_found(request)

    def _answer_fault(self, request: Request, target: str, fault: Fault) -> Response | None:
        """The fault's own answer; None if the service answers and the fault changes that."""
        response: Response | None = None
        if fault.kind == "status":
            message = f"Simulated status {fault.status}."
            response = answer_json(
                fault.status, {"error": {"code": "serviceNotAvailable", "message": message}}
            )
            if fault.retry_after_s is not None:
                response.headers.append(("Retry-After", _retry_after(fault, self.state)))
        elif fault.kind == "reset":
            return Response(status=0, delivery="reset")
        elif fault.kind == "html":
            response = answer_html(200, "<!doctype html><title>Sign in</title><p>Hello.</p>")
        elif fault.kind == "empty_401":
            response = Response(status=401)
        elif fault.kind == "claims_challenge":
            word = "insufficent_claims" if fault.misspelled else "insufficient_claims"
            encoded = base64.b64encode(fault.claims.encode()).decode()
            challenge = (
                'Bearer realm="", '
                f'authorization_uri="{self.entra.base_url}/common/oauth2/authorize", '
                f'error="{word}", claims="{encoded}"'
            )
            response = Response(
                status=403 if fault.misspelled else 401,
                headers=[("WWW-Authenticate", challenge)],
            )
        elif fault.kind == "access_denied":
            return self.partner_center.answer_error(
                request, 403, "accessDenied", "The user has no role that may read referrals."
            )
        elif fault.kind == "bad_request":
            return self.partner_center.answer_error(
                request, 400, "invalidRequest", "The request is not valid."
            )
        elif fault.kind == "redirect":
            response = Response(status=302, headers=[("Location", fault.location)])
        if response is None:
            return None
        if target in ("list", "item"):
            return self.partner_center.finish(request, response)
        return dated(response)


def _classify(path: str) -> tuple[str, str]:
    """(target, tenant or referral id) of a path."""
    if path == LIST_PATH:
        return "list", ""
    if path.startswith(f"{LIST_PATH}/"):
        return "item", path[len(LIST_PATH) + 1 :]
    match = re.match(r"/([^/]+)(/.+)\Z", path)
    if match is not None and match[2] in _TENANT_PATHS:
        return _TENANT_PATHS[match[2]], match[1]
    return "other", ""


def _blot_out(headers: dict[str, str]) -> dict[str, str]:
    kept = dict(headers)
    if "authorization" in kept:
        kept["authorization"] = f"{kept['authorization'].partition(' ')[0]} …"
    return kept


def _spoil_delivery(response: Response, fault: Fault) -> Response:
    if fault.kind == "truncated":
        response.delivery = "truncated"
    elif fault.kind == "truncated_chunked":
        response.delivery = "truncated_chunked"
    elif fault.kind == "slow_drip":
        response.delivery = "slow_drip"
        response.drip_s = fault.seconds
    elif fault.kind == "invalid_json":
        response.body = response.body[: len(response.body) // 2]
    return response


def _retry_after(fault: Fault, world: World) -> str:
    seconds = fault.retry_after_s or 0.0
    if fault.retry_after_form == "http_date":
        return formatdate(world.now.timestamp() + seconds, usegmt=True)
    return f"{seconds:g}"


def dated(response: Response) -> Response:
    """The answer with the Date header that Entra ID sends."""
    response.headers.append(("Date", formatdate(usegmt=True)))
    return response
