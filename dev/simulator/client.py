"""Drives a simulator in another process as if it were in this one."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from dev.simulator.behaviour import Behaviour, EntraBehaviour
from dev.simulator.control import decode, encode
from dev.simulator.entra import Entra, UnknownUserCode
from dev.simulator.faults import FaultQueue
from dev.simulator.server import Simulator
from dev.simulator.world import UnknownReferral, World

_PARTS: dict[str, type] = {
    "simulator": Simulator,
    "state": World,
    "behaviour": Behaviour,
    "entra": Entra,
    "entra.behaviour": EntraBehaviour,
    "faults": FaultQueue,
}
_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (UnknownReferral, UnknownUserCode, AttributeError, KeyError, TypeError, ValueError)
}


def connect(base_url: str, ca_path: Path, *, timeout_s: float = 120.0) -> Simulator:
    """A simulator that runs in another process; each use of an attribute is a request.

    Methods that take a callable cannot be used from here. Errors are raised as in one process.

    Args:
        base_url: `https://localhost:PORT`.
        ca_path: PEM file of its CA.
        timeout_s: how long one request may take; a big world takes long to reset.

    Raises:
        OSError: at any use, if the simulator does not answer.
    """
    context = ssl.create_default_context(cafile=str(ca_path))
    connection = (urlsplit(base_url).netloc, context, timeout_s)
    return cast("Simulator", _Remote(connection, "simulator"))


class _Remote:
    def __init__(self, connection: tuple[str, ssl.SSLContext, float], part: str) -> None:
        self.__dict__.update(connection=connection, part=part)

    def __getattr__(self, name: str) -> Any:
        inner = name if self.part == "simulator" else f"{self.part}.{name}"
        if inner in _PARTS:
            return _Remote(self.connection, inner)
        if callable(getattr(_PARTS[self.part], name, None)):
            return lambda *arguments, **named: self._send(
                name, {"arguments": arguments, "named": named}
            )
        return self._send(name, {})

    def __setattr__(self, name: str, value: object) -> None:
        self._send(name, {"value": value})

    def __len__(self) -> int:
        return int(self._send("__len__", {}))

    def _send(self, name: str, asked: dict[str, Any]) -> Any:
        address, context, timeout_s = self.connection
        connection = http.client.HTTPSConnection(address, timeout=timeout_s, context=context)
        try:
            connection.request("POST", f"/_simulator/{self.part}/{name}", encode(asked))
            answer = decode(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise _ERRORS.get(answer.get("kind"), ValueError)(answer["error"])
        return answer["result"]
