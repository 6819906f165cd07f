"""The simulator as a server: TLS, connections, and answers that break off on the wire."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

import trustme

from dev.simulator.control import answer_control
from dev.simulator.message import Request, Response, answer_html
from dev.simulator.simulation import Simulation, dated
from dev.simulator.world import World

CONTROL_PATH = "/_simulator/"

_HOST = "127.0.0.1"
_IDLE_TIMEOUT_S = 300.0
_MAX_BODY_BYTES = 64 * 1024 * 1024
_DRIP_CHUNKS = 10

_log = logging.getLogger(__name__)


class Simulator(Simulation):
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
        super().__init__(World(referrals, seed=seed, now=now) if world is None else world)
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

    def _serve(self, request: Request) -> Response:
        if request.path.startswith(CONTROL_PATH) or request.path == CONTROL_PATH.rstrip("/"):
            return answer_control(self, request)
        return self.answer(request)

    def _serve_device_page(self, request: Request) -> Response:
        if request.path not in ("/", "/device"):
            return dated(answer_html(404, "<p>Not found.</p>"))
        return dated(self.entra.answer_device_page(request))


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
            # The client went away, or does not trust the CA. The server goes on.
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
        """Print nothing: the simulation records the requests."""

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
        # With a linger time of zero, close sends a reset (RST) instead of an orderly end (FIN).
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The socket only closes once every file made from it is closed.
        self.rfile.close()
        self.connection.close()


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
