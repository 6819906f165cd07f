"""The control API: drives a simulator that runs in another process.

`POST /_simulator/{part}/{name}` uses an attribute of a part: `state`, `behaviour`, `entra`,
`entra.behaviour`, `faults`, or `simulator` for the whole. The body is JSON: `{"value": ...}` sets
the attribute, `{"arguments": [], "named": {}}` calls a method, `{}` reads or calls. The answer is
`{"result": ...}`, or status 400 with `{"error": ..., "kind": ...}`. What JSON does not know is an
object with one member, such as `{"$datetime": "..."}`. The API serves this machine only;
`dev.simulator.client` is its client.
"""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from datetime import datetime
from ipaddress import ip_address
from operator import attrgetter
from pathlib import Path
from typing import Any

from dev.simulator.entra import Account
from dev.simulator.faults import Fault
from dev.simulator.message import RecordedRequest, Request, Response, answer_json
from dev.simulator.simulation import Simulation

_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_KINDS = {kind.__name__: kind for kind in (Account, Fault, RecordedRequest)}


def answer_control(simulation: Simulation, request: Request) -> Response:
    """Do what a control request asks."""
    if not _is_local(request):
        return answer_json(403, {"error": "the control API is for this machine only"})
    parts = request.path.strip("/").split("/")[1:]
    if request.method != "POST" or len(parts) != 2:
        return answer_json(404, {"error": "POST /_simulator/{part}/{name}"})
    try:
        result = _use(simulation, parts[0], parts[1], decode(request.body))
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        return answer_json(400, {"error": str(error), "kind": type(error).__name__})
    return Response(status=200, body=encode({"result": result}))


def _use(simulation: Simulation, part: str, name: str, asked: dict[str, Any]) -> Any:
    if name != "__len__" and any(word.startswith("_") for word in (*part.split("."), name)):
        raise AttributeError(f"{name} is not for use from outside")
    target = simulation if part == "simulator" else attrgetter(part)(simulation)
    if "value" in asked:
        return setattr(target, name, asked["value"])
    found = getattr(target, name)
    if not callable(found):
        return found
    return found(*asked.get("arguments", []), **asked.get("named", {}))


def encode(value: object) -> bytes:
    """A value as JSON.

    Raises:
        TypeError: it holds something that cannot be sent, such as a callable.
    """
    return json.dumps(value, default=_tag).encode()


def decode(body: bytes) -> Any:
    """What `encode` was given; a set or tuple comes back as a list."""
    return json.loads(body, object_hook=_untag)


def _tag(value: object) -> Any:
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, bytes):
        # Latin-1 carries every byte there and back.
        return {"$bytes": value.decode("latin-1")}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if is_dataclass(value) and type(value).__name__ in _KINDS:
        return {f"${type(value).__name__}": asdict(value)}  # type: ignore[arg-type]
    raise TypeError(f"{type(value).__name__} cannot be sent to another process")


def _untag(found: dict[str, Any]) -> Any:
    [name, *more] = found or [""]
    if more or not name.startswith("$"):
        return found
    value = found[name]
    if name == "$datetime":
        return datetime.fromisoformat(value)
    if name == "$path":
        return Path(value)
    if name == "$bytes":
        return value.encode("latin-1")
    kind = _KINDS.get(name[1:])
    return found if kind is None else kind(**value)


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
