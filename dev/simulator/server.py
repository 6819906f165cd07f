"""The simulator as a server: TLS, routing, faults on the wire, and a record of what arrived."""

from __future__ import annotations

import base64
import logging
import re
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

import trustme

from dev.simulator import behaviour as switches
from dev.simulator.behaviour import Behaviour
from dev.simulator.control import answer_control
from dev.simulator.entra import Entra, grant_name
from dev.simulator.faults import CONTENT_KINDS, Fault, FaultQueue
from dev.simulator.message import (
    RecordedRequest,
    Request,
    Response,
    answer_html,
    answer_json,
)
from dev.simulator.partner_center import LIST_PATH, PartnerCenter
from dev.simulator.world import World

CONTROL_PATH = "/_simulator/"

_HOST = "127.0.0.1"
_TENANT_PATHS = {
    "/v2.0/.well-known/openid-configuration": "discovery",
    "/oauth2/v2.0/devicecode": "device",
    "/oauth2/v2.0/token": "token",
}
_IDLE_TIMEOUT_S = 300.0
_MAX_BODY_BYTES = 64 * 1024 * 1024
_DRIP_CHUNKS = 10
# Far beyond any test; a simulator that runs for weeks must not grow.
_MOST_RECORDED = 100_000

_log = logging.getLogger(__name__)


class Simulator:
    """Partner Center and Entra ID on a free port of this machine.

    Use it as a context manager, or call `start` and `stop`.

    Args:
        referrals: how many are invented to begin with.
        seed, now: see `World`.
        port: 0 picks a free one.
        state_dir: where the CA's key is kept over a restart; None: a new CA each time.

    Attributes:
        base_url: `https://localhost:PORT`, for the API's address.
        authority: the same, for Entra's; MSAL gets `{authority}/{tenant_id}`.
        ca_path: PEM file with the CA that the server's certificate comes from.
        device_url: the page for user codes, over plain HTTP because browsers do not know
            the CA.
        state: the world.
        behaviour, entra, faults: what can be switched.
    """

    def __init__(
        self,
        referrals: int = 400,
        *,
        seed: int = 1,
        now: datetime | None = None,
        port: int = 0,
        ca_path: Path | None = None,
        state_dir: Path | None = None,
        world: World | None = None,
    ) -> None:
        self.state = world if world is not None else World(referrals, seed=seed, now=now)
        self.behaviour = Behaviour()
        self.entra = Entra()
        self.faults = FaultQueue()
        self.partner_center = PartnerCenter(self.state, self.behaviour, self.entra)
        self._recorded: deque[RecordedRequest] = deque(maxlen=_MOST_RECORDED)
        self._recording = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if ca_path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="simulator-")
            ca_path = Path(self._folder.name) / "ca.pem"
        self.ca_path = ca_path
        ca = _make_ca(state_dir)
        ca.cert_pem.write_to_path(str(ca_path))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        self._server = _Server((_HOST, port), self._serve, context)
        self._device_server = _Server((_HOST, 0), self._serve_device_page, None)
        self._threads: list[threading.Thread] = []
        self.base_url = f"https://localhost:{self._server.server_port}"
        self.authority = self.base_url
        self.device_url = f"http://localhost:{self._device_server.server_port}/device"
        self.entra.base_url = self.base_url
        self.entra.verification_uri = self.device_url

    @property
    def port(self) -> int:
        """The TLS port."""
        return self._server.server_port

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

    def start(self) -> Self:
        """Begin to listen; returns at once."""
        for server in (self._server, self._device_server):
            thread = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            )
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Close the port and all connections."""
        for server in (self._server, self._device_server):
            server.shutdown()
            server.server_close()
            server.close_connections()
        for thread in self._threads:
            thread.join()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # One request

    def _serve(self, request: Request) -> Response:
        if request.path.startswith(CONTROL_PATH) or request.path == CONTROL_PATH.rstrip("/"):
            return answer_control(self, request)
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
            return _dated(self.entra.answer_token(tenant_or_id, request))
        if target == "device":
            return _dated(self.entra.answer_device_code(tenant_or_id, request))
        if target == "discovery":
            return _dated(self.entra.answer_discovery(tenant_or_id, request))
        if request.path == "/device":
            return _dated(self.entra.answer_device_page(request))
        return self.partner_center.answer_not_found(request)

    def _answer_fault(self, request: Request, target: str, fault: Fault) -> Response | None:
        """The answer that takes the service's place, None if the service is to answer."""
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
                f'Bearer realm="", authorization_uri="{self.base_url}/common/oauth2/authorize", '
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
        return _dated(response)

    def _serve_device_page(self, request: Request) -> Response:
        if request.path not in ("/", "/device"):
            return _dated(answer_html(404, "<p>Not found.</p>"))
        return _dated(self.entra.answer_device_page(request))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        serve: Callable[[Request], Response],
        context: ssl.SSLContext | None,
    ) -> None:
        self.serve = serve
        self._context = context
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without looking up this machine's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name = "localhost"
        self.server_port = self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle one connection; runs in its own thread, the TLS handshake too."""
        connection: socket.socket = request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_IDLE_TIMEOUT_S)
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with self._connections_lock:
                self._connections.add(connection)
            _Handler(connection, client_address, self)
        except (OSError, ssl.SSLError):
            # The client went away, or does not know the CA: its business.
            _log.debug("a connection ended early", exc_info=True)
        finally:
            with self._connections_lock:
                self._connections.discard(connection)
            with suppress(OSError):
                connection.close()

    def close_connections(self) -> None:
        """Cut the connections that are still open."""
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one(self) -> None:
        """Read one request, have it served, send the answer."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MAX_BODY_BYTES:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
        )
        self._send(self.server.serve(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 (its API)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its API)
        """Keep quiet: what arrived is recorded elsewhere."""

    def _send(self, response: Response) -> None:
        if response.delivery == "reset":
            self._reset()
            return
        body = response.body
        head = [f"HTTP/1.1 {response.status} {self._reason(response.status)}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        if response.delivery == "truncated_chunked":
            head.append("Transfer-Encoding: chunked")
            half = body[: len(body) // 2]
            self._write(head, f"{len(half):x}\r\n".encode() + half + b"\r\n")
            self.close_connection = True
        elif response.delivery == "truncated":
            head.append(f"Content-Length: {len(body)}")
            self._write(head, body[: len(body) // 2])
            self.close_connection = True
        elif response.delivery == "slow_drip":
            head.append(f"Content-Length: {len(body)}")
            self._write(head, b"")
            self._drip(body, response.drip_s)
        else:
            head.append(f"Content-Length: {len(body)}")
            self._write(head, body)

    def _reason(self, status: int) -> str:
        known = self.responses.get(status)
        return known[0] if known else "Unknown"

    def _write(self, head: list[str], body: bytes) -> None:
        self.connection.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def _drip(self, body: bytes, seconds: float) -> None:
        size = len(body) // _DRIP_CHUNKS + 1
        for start in range(0, len(body), size):
            time.sleep(seconds / _DRIP_CHUNKS)
            self.connection.sendall(body[start : start + size])

    def _reset(self) -> None:
        self.close_connection = True
        # Lingering for zero seconds makes the close send a reset instead of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Closing needs every file of the socket closed.
        self.rfile.close()
        self.connection.close()


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


def _dated(response: Response) -> Response:
    response.headers.append(("Date", formatdate(usegmt=True)))
    return response


def _make_ca(state_dir: Path | None) -> trustme.CA:
    if state_dir is None:
        return trustme.CA(organization_name="Simulated Partner Center")
    certificate = state_dir / "ca.pem"
    key = state_dir / "ca.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    ca = trustme.CA(organization_name="Simulated Partner Center")
    state_dir.mkdir(parents=True, exist_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(ca.private_key_pem.bytes())
    ca.cert_pem.write_to_path(str(certificate))
    return ca
