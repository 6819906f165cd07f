"""The host's HTTP side: routes to functions, keys, admin routes, headers."""

import hmac
import json
import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dev.host import routes
from dev.host.errors import HostError
from dev.host.messages import Message, TypedData
from dev.host.timers import Timer
from dev.host.worker import Function, Worker

log = logging.getLogger("host")

LARGEST_BODY_BYTES = 210_000_000  # Azure's limit for a request
IDLE_TIMEOUT_S = 130
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
HOME_PAGE = b"<!DOCTYPE html><title>Functions</title><p>The function app is up and running.</p>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The host's access keys: one for functions, one for everything."""

    function: str
    master: str

    def admit(self, level: str, given: str) -> bool:
        """Whether a key opens a function of this auth level."""
        if level == "anonymous":
            return True
        opening = [self.master] if level == "admin" else [self.master, self.function]
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in opening)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An HTTP function, where it answers and to whom."""

    function: Function
    route: routes.Route
    methods: frozenset[str]
    auth_level: str

    @classmethod
    def of(cls, function: Function, prefix: str) -> "Endpoint":
        """Read the trigger of an HTTP function.

        Raises:
            HostError: its route is malformed.
        """
        route = function.trigger.get("route") or function.name
        return cls(
            function=function,
            route=routes.parse(f"{prefix}/{route.strip('/')}"),
            methods=frozenset(method.upper() for method in function.trigger.get("methods") or ()),
            auth_level=str(function.trigger.get("authLevel", "function")).lower(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the caller."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    @classmethod
    def as_json(cls, content: object) -> "Answer":
        """A 200 with JSON."""
        return cls(
            status=HTTPStatus.OK,
            headers=[("Content-Type", "application/json; charset=utf-8")],
            body=json.dumps(content).encode(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came in."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The percent-encoded path."""
        return urlsplit(self.target).path or "/"

    @property
    def query(self) -> str:
        """The query without its question mark."""
        return urlsplit(self.target).query

    def header(self, name: str) -> str | None:
        """A header's value, several of one name joined by commas; None without it."""
        return self.joined_headers().get(name.lower())

    def joined_headers(self) -> dict[str, str]:
        """The headers by lower-case name, as the host hands them on."""
        joined: dict[str, str] = {}
        for name, value in self.headers:
            key = name.lower()
            joined[key] = f"{joined[key]},{value}" if key in joined else value
        return joined

    def joined_query(self) -> dict[str, str]:
        """The query as the host hands it on: repeated values joined, empty ones left out."""
        joined: dict[str, str] = {}
        spelling: dict[str, str] = {}
        for name, value in parse_qsl(self.query, keep_blank_values=True):
            key = spelling.setdefault(name.lower(), name)
            joined[key] = f"{joined[key]},{value}" if key in joined else value
        return {name: value for name, value in joined.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Answers requests; everything but the socket."""

    worker: Worker
    endpoints: Sequence[Endpoint]
    timers: Mapping[str, Timer]
    keys: Keys
    custom_headers: Mapping[str, str]
    added_headers: Mapping[str, str]
    has_home_page: bool
    port: int
    started_s: float = field(default_factory=time.monotonic)

    def answer(self, request: Request) -> Answer:
        """Answer a request, with the headers that host.json adds to each."""
        answer = self._answer(request)
        present = {name.lower() for name, _ in answer.headers}
        added = [pair for pair in self.custom_headers.items() if pair[0].lower() not in present]
        return Answer(status=answer.status, headers=[*answer.headers, *added], body=answer.body)

    def _answer(self, request: Request) -> Answer:
        if request.path.lower().startswith("/admin/"):
            return self._administer(request)
        for endpoint in self.endpoints:
            if endpoint.methods and request.method not in endpoint.methods:
                continue
            parameters = endpoint.route.match(request.path)
            if parameters is not None:
                return self._call(endpoint, parameters, request)
        if request.path == "/":
            if not self.has_home_page:
                return Answer(status=HTTPStatus.NO_CONTENT)
            return Answer(
                status=HTTPStatus.OK, headers=[("Content-Type", "text/html")], body=HOME_PAGE
            )
        return Answer(status=HTTPStatus.NOT_FOUND)

    def _call(self, endpoint: Endpoint, parameters: dict[str, str], request: Request) -> Answer:
        key = request.header("x-functions-key") or request.joined_query().get("code", "")
        if not self.keys.admit(endpoint.auth_level, key):
            return Answer(status=HTTPStatus.UNAUTHORIZED)
        headers = request.joined_headers()
        if self._comes_from_here(request):
            for name, value in self.added_headers.items():
                headers.setdefault(name.lower(), value)
        http = Message(
            method=request.method,
            url=f"http://{request.header('host') or ''}{request.target}",
            headers=headers,
            body=TypedData(bytes=request.body) if request.body else TypedData(),
            params=parameters,
            query=request.joined_query(),
        )
        reason = "This function was programmatically called via the host APIs."
        outcome = self.worker.invoke(endpoint.function, TypedData(http=http), reason)
        if outcome.failure is not None or outcome.value is None:
            return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
        return _from_worker(outcome.value)

    def _comes_from_here(self, request: Request) -> bool:
        host = (request.header("host") or "").lower()
        name, _, port = host.rpartition(":")
        if name not in LOOPBACK_NAMES or port != str(self.port):
            return False
        origin = request.header("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            return False
        return request.header("sec-fetch-site") in (None, "none", "same-origin")

    def _administer(self, request: Request) -> Answer:
        if not self._comes_from_here(request):
            return Answer(status=HTTPStatus.UNAUTHORIZED)
        parts = request.path.strip("/").split("/")[1:]
        lowered = [part.lower() for part in parts]
        if request.method == "GET" and lowered == ["host", "status"]:
            return Answer.as_json(
                {
                    "id": f"localhost-{self.port}",
                    "state": "Running",
                    "version": "4.0 (local stand-in)",
                    "processUptime": round((time.monotonic() - self.started_s) * 1000),
                }
            )
        if request.method == "GET" and lowered == ["functions"]:
            names = [endpoint.function.name for endpoint in self.endpoints]
            return Answer.as_json([{"name": name} for name in sorted([*names, *self.timers])])
        if request.method == "POST" and len(parts) == 2 and lowered[0] == "functions":
            for name, timer in self.timers.items():
                if name.lower() == lowered[1]:
                    threading.Thread(target=timer.run_by_hand, name=name, daemon=True).start()
                    return Answer(status=HTTPStatus.ACCEPTED)
        return Answer(status=HTTPStatus.NOT_FOUND)


def _from_worker(value: TypedData) -> Answer:
    kind = value.WhichOneof("data")
    if kind != "http":
        content = getattr(value, kind) if kind else ""
        return Answer(
            status=HTTPStatus.OK,
            headers=[("Content-Type", "text/plain; charset=utf-8")],
            body=content if isinstance(content, bytes) else str(content).encode(),
        )
    http = value.http
    headers = [(str(name), str(text)) for name, text in http.headers.items()]
    headers += [("Set-Cookie", _cookie(cookie)) for cookie in http.cookies or ()]
    body_kind = http.body.WhichOneof("data")
    body = getattr(http.body, body_kind) if body_kind else b""
    for name, text in headers:
        if not text.isascii() or not text.isprintable():
            log.error("The answer's header %s has characters that HTTP does not allow.", name)
            return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return Answer(
        status=int(http.status_code),
        headers=headers,
        body=body if isinstance(body, bytes) else str(body).encode(),
    )


def _cookie(cookie: Any) -> str:
    parts = [f"{cookie.name}={cookie.value}"]
    if cookie.expires is not None:
        parts.append(f"expires={formatdate(cookie.expires.value.seconds, usegmt=True)}")
    if cookie.max_age is not None:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    if cookie.domain is not None and cookie.domain.value:
        parts.append(f"domain={cookie.domain.value}")
    if cookie.path is not None and cookie.path.value:
        parts.append(f"path={cookie.path.value}")
    if cookie.secure is not None and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site:
        parts.append(f"samesite={cookie.same_site.lower()}")
    if cookie.http_only is not None and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)


class Server(ThreadingHTTPServer):
    """The socket on 127.0.0.1, bound at once; requests wait until `site` is set and it serves."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        self.site: Site | None = None
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as error:
            raise HostError(f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}") from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """A caller that goes away is no failure of the host; anything else is logged."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            log.error("A request could not be handled.", exc_info=error)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, writes answers exactly."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT_S
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def _handle(self) -> None:
        body = self._read_body()
        if body is None:
            self.close_connection = True
            self._write(Answer(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
            return
        assert self.server.site is not None  # noqa: S101 - set before it serves
        answer = self.server.site.answer(
            Request(
                method=self.command.upper(),
                target=self.path,
                headers=list(self.headers.items()),
                body=body,
            )
        )
        self._write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _handle  # noqa: N815

    def _read_body(self) -> bytes | None:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            self._skip_chunks()
            log.warning(
                "The body of a chunked request was dropped, as in Azure: send a Content-Length."
            )
            return b""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            return None
        if not 0 <= length <= LARGEST_BODY_BYTES:
            return None
        return self.rfile.read(length)

    def _skip_chunks(self) -> None:
        while size := int(self.rfile.readline(64).split(b";")[0].strip() or b"0", 16):
            self.rfile.read(size + 2)
        while self.rfile.readline(65536).strip():
            continue

    def _write(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        names = set()
        for name, value in answer.headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
                names.add(name.lower())
        if "date" not in names:
            self.send_header("Date", formatdate(usegmt=True))
        without_body = answer.status in WITHOUT_BODY or answer.status < HTTPStatus.OK
        if not without_body:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not without_body and self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited name
        """The host logs invocations, not requests."""
        log.debug(format, *arguments)
