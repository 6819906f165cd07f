"""The host's HTTP side as an ASGI application: routes to functions, and timers fired by hand."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from dev.host.messages import Message, TypedData
from dev.host.routes import Route, read_path, read_query, write_path
from dev.host.timers import Timer
from dev.host.worker import Function, Outcome, Worker

log = logging.getLogger("host")

LARGEST_BODY_BYTES = 210_000_000  # Azure's limit for a request
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
SET_BY_THE_SERVER = frozenset(
    {"content-length", "transfer-encoding", "connection", "date", "server"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An HTTP function and where it answers."""

    function: Function
    route: Route
    methods: frozenset[str]

    @classmethod
    def of(cls, function: Function, prefix: str) -> "Endpoint":
        """Read the trigger of an HTTP function.

        Raises:
            HostError: its route is one that this host cannot read.
        """
        return cls(
            function=function,
            route=Route.parse(f"{prefix}/{function.trigger.get('route') or function.name}"),
            methods=frozenset(function.trigger["methods"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the caller."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came in; its headers by lower-case name, its path as it is matched."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def url(self) -> str:
        """The address that a function sees."""
        query = "?" + self.query.replace("#", "%23") if self.query else ""
        return f"http://{self.headers.get('host', '')}{write_path(self.path)}{query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Answers requests; everything but the socket."""

    worker: Worker
    endpoints: Sequence[Endpoint]
    timers: Mapping[str, Timer]
    added_headers: Mapping[str, str]
    port: int
    _fired: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request of the ASGI server."""
        headers = _joined(scope["headers"])
        if int(headers.get("content-length", 0)) > LARGEST_BODY_BYTES:
            await _send(send, Answer(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE), is_last=True)
            return
        body = await _read_body(receive)
        if body is None:
            return
        request = Request(
            method=scope["method"],
            path=read_path(scope["raw_path"].decode("ascii")),
            query=scope["query_string"].decode("ascii"),
            headers=headers,
            # Azure's host gives a function no body whose length was not told.
            body=b"" if "transfer-encoding" in headers else body,
        )
        await _send(send, await self._answer(request))

    async def _answer(self, request: Request) -> Answer:
        if request.path.lower().startswith("/admin/"):
            return self._administer(request)
        for endpoint in self.endpoints:
            parameters = endpoint.route.match(request.path)
            if parameters is not None and request.method in endpoint.methods:
                return await self._call(endpoint.function, parameters, request)
        return Answer(status=HTTPStatus.NOT_FOUND)

    async def _call(
        self, function: Function, parameters: dict[str, str], request: Request
    ) -> Answer:
        added = self.added_headers if self._comes_from_here(request) else {}
        http = Message(
            method=request.method,
            url=request.url,
            headers={**{name.lower(): value for name, value in added.items()}, **request.headers},
            body=TypedData(bytes=request.body) if request.body else TypedData(),
            params=parameters,
            query=read_query(request.query),
        )
        reason = "This function was programmatically called via the host APIs."
        return _from_worker(await self.worker.invoke(function, TypedData(http=http), reason))

    def _comes_from_here(self, request: Request) -> bool:
        host = request.headers.get("host", "").lower()
        name, _, port = host.rpartition(":")
        return (
            name in LOOPBACK_NAMES
            and port == str(self.port)
            and request.headers.get("origin", f"http://{host}").lower() == f"http://{host}"
            and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        )

    def _administer(self, request: Request) -> Answer:
        if not self._comes_from_here(request):
            return Answer(status=HTTPStatus.UNAUTHORIZED)
        asked = (request.method, request.path.lower())
        for name, timer in self.timers.items():
            if asked == ("POST", f"/admin/functions/{name.lower()}"):
                fired = asyncio.create_task(timer.run_by_hand())
                self._fired.add(fired)
                fired.add_done_callback(self._fired.discard)
                return Answer(status=HTTPStatus.ACCEPTED)
        return Answer(status=HTTPStatus.NOT_FOUND)


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


async def _read_body(receive: Any) -> bytes | None:
    """The body to its end; None when the caller has gone away."""
    body, is_complete = bytearray(), False
    while not is_complete:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += event["body"]
        is_complete = not event["more_body"]
    return bytes(body)


def _from_worker(outcome: Outcome) -> Answer:
    if outcome.value is None or outcome.value.WhichOneof("data") != "http":
        return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    http = outcome.value.http
    headers = [(str(name), str(text).strip()) for name, text in http.headers.items()]
    for name, text in headers:
        if not text.isascii() or not text.isprintable():
            log.error("The answer's header %s has characters that HTTP does not allow.", name)
            return Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    kind = http.body.WhichOneof("data")
    body = getattr(http.body, kind) if kind else b""
    return Answer(
        status=int(http.status_code),
        headers=headers,
        body=body if isinstance(body, bytes) else str(body).encode(),
    )


async def _send(send: Any, answer: Answer, *, is_last: bool = False) -> None:
    headers = [
        (name.lower().encode(), value.encode())
        for name, value in answer.headers
        if name.lower() not in SET_BY_THE_SERVER
    ]
    body = b"" if answer.status in WITHOUT_BODY else answer.body
    if answer.status not in WITHOUT_BODY:
        headers.append((b"content-length", str(len(body)).encode()))
    if is_last:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
