"""The control API: drives a simulator that runs in another process.

`POST /_simulator/{part}/{operation}` with the arguments as a JSON object answers
`{"result": ...}`, or 400 with `{"error": ...}`. `GET /_simulator/` describes the whole. It is
served to this machine only. `SimulatorClient` speaks it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from dev.simulator import behaviour as switches
from dev.simulator.entra import Account, UnknownUserCode
from dev.simulator.faults import Fault
from dev.simulator.message import Request, Response, answer_json
from dev.simulator.simulation import Simulation
from dev.simulator.world import UnknownReferral

type Operation = Callable[..., Any]

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def answer_control(simulation: Simulation, request: Request) -> Response:
    """Do what a control request asks."""
    if not _is_local(request):
        return answer_json(403, {"error": "the control API is for this machine only"})
    parts = request.path.strip("/").split("/")[1:]
    if request.method == "GET" and not parts:
        return answer_json(200, {"result": describe(simulation)})
    if request.method != "POST" or len(parts) != 2:
        return answer_json(404, {"error": "POST /_simulator/{part}/{operation}"})
    operation = _operations(simulation).get("/".join(parts))
    if operation is None:
        return answer_json(404, {"error": f"there is no operation {'/'.join(parts)}"})
    try:
        arguments = json.loads(request.body or b"{}")
        result = operation(**arguments)
    except UnknownReferral as error:
        return answer_json(404, {"error": str(error), "kind": "UnknownReferral"})
    except UnknownUserCode as error:
        return answer_json(404, {"error": str(error), "kind": "UnknownUserCode"})
    except (ValueError, TypeError, KeyError) as error:
        return answer_json(400, {"error": str(error), "kind": "ValueError"})
    return answer_json(200, {"result": result})


def describe(simulation: Simulation) -> dict[str, Any]:
    """What someone who connects needs to know."""
    return {
        "base_url": simulation.entra.base_url,
        "authority": simulation.entra.base_url,
        "device_url": simulation.entra.verification_uri,
        "tenant_id": simulation.tenant_id,
        "client_id": simulation.client_id,
        "account": asdict(simulation.entra.account),
        "visible_referrals": len(simulation.state),
        "now": simulation.state.now.isoformat(),
        "behaviour": switches.describe(simulation.behaviour),
        "entra_behaviour": switches.describe(simulation.entra.behaviour),
        "faults": [fault.describe() for fault in simulation.faults.pending()],
        "user_codes": simulation.entra.pending_user_codes(),
    }


def _operations(simulation: Simulation) -> dict[str, Operation]:
    state, entra, faults = simulation.state, simulation.entra, simulation.faults
    return {
        "simulator/reset": lambda referrals=400, seed=1, now=None: simulation.reset(
            referrals, seed=seed, now=_read_time(now)
        ),
        "simulator/process": _measure_process,
        "requests/list": lambda: [
            asdict(recorded) | {"at": recorded.at.isoformat()} for recorded in simulation.requests
        ],
        "requests/clear": simulation.clear_requests,
        "behaviour/get": lambda: switches.describe(simulation.behaviour),
        "behaviour/set": lambda **changes: switches.apply_changes(simulation.behaviour, changes),
        "behaviour/reset": lambda: switches.reset(simulation.behaviour),
        "faults/add": lambda faults_to_add: faults.add(
            *(Fault(**fault) for fault in faults_to_add)
        ),
        "faults/clear": faults.clear,
        "faults/pending": lambda: [fault.describe() for fault in faults.pending()],
        "state/add": lambda referral=None, fields=None: state.add(referral, **(fields or {})),
        "state/add_raw": lambda referral_id, raw, created_at=None, updated_at=None: state.add_raw(
            referral_id,
            # Latin-1 carries every byte there and back.
            raw.encode("latin-1"),
            created_at=_read_time(created_at),
            updated_at=_read_time(updated_at),
        ),
        "state/change": lambda referral_id, silent=False, keep_etag=False, fields=None: (
            state.change(referral_id, silent=silent, keep_etag=keep_etag, **(fields or {}))
        ),
        "state/change_some": state.change_some,
        "state/close": state.close,
        "state/remove": state.remove,
        "state/restore": state.restore,
        "state/set_visible": state.set_visible,
        "state/after_request": lambda n, planned: state.after_request(
            n, _plan(simulation, planned["operation"], planned["arguments"])
        ),
        "state/get": state.get,
        "state/ids": state.ids,
        "state/truth": state.truth,
        "state/count": lambda: len(state),
        "state/now": lambda: state.now.isoformat(),
        "state/set_now": lambda now: setattr(state, "now", _read_time(now)),
        "state/advance": lambda seconds: state.advance(seconds).isoformat(),
        "state/render_all": state.render_all,
        "entra/approve": lambda user_code=None, account=None: entra.approve(
            user_code, None if account is None else Account(**account)
        ),
        "entra/decline": entra.decline,
        "entra/pending_user_codes": entra.pending_user_codes,
        "entra/expire_device_codes": entra.expire_device_codes,
        "entra/expire_refresh_tokens": entra.expire_refresh_tokens,
        "entra/revoke": entra.revoke,
        "entra/fail_with": entra.fail_with,
        "entra/reset": entra.reset,
        "entra/token_requests": lambda: entra.token_requests,
        "entra/claims_received": lambda: list(entra.claims_received),
        "entra/issue_access_token": lambda account=None, **how: entra.issue_access_token(
            None if account is None else Account(**account), **how
        ),
        "entra/account": lambda: asdict(entra.account),
        "entra/set_account": lambda **account: setattr(entra, "account", Account(**account)),
        "entra/get_behaviour": lambda: switches.describe(entra.behaviour),
        "entra/set_behaviour": lambda **changes: switches.apply_changes(entra.behaviour, changes),
    }


def _plan(
    simulation: Simulation, operation: str, arguments: dict[str, Any]
) -> Callable[[], object]:
    planned = _operations(simulation).get(operation)
    if planned is None:
        raise ValueError(f"there is no operation {operation}")
    return lambda: planned(**arguments)


def _measure_process() -> dict[str, float | None]:
    """CPU seconds so far and peak memory in bytes, None where the system does not tell."""
    peak: float | None = None
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1_024
        peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
    return {"cpu_s": time.process_time(), "peak_bytes": peak}


def _read_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant needs its offset from UTC")
    return at


def _is_local(request: Request) -> bool:
    """Whether the client meant this machine: a web page elsewhere must not drive it."""
    host = request.headers.get("host", "").rsplit(":", 1)[0]
    if "origin" in request.headers:
        return False
    if host in _LOCAL_NAMES:
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
