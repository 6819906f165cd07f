"""A request, its answer and a route, as data; no framework in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from pc_core.web.access import Caller, Role

if TYPE_CHECKING:
    from pc_core.web.served import ServedApp


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request as the Functions host got it.

    Attributes:
        path: of the address, without the query.
        headers: by lower-case name.
        query: the address's parameters.
        placeholders: the parts of the path that the route names in braces.
        invocation_id: the Functions host's id of this invocation.
        elapsed_s: gives the seconds since the invocation began.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    placeholders: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    invocation_id: str | None = None
    elapsed_s: Callable[[], float] = lambda: 0.0


class HttpAnswer(Struct, frozen=True, kw_only=True):
    """The answer to send; header names are written as they are sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Visit(Struct, frozen=True):
    """A request that passed the access checks, with its caller.

    Attributes:
        open_app: gives the app; called only by routes that need more than the request, so that
            health and the static page load nothing.
    """

    request: HttpRequest
    caller: Caller
    open_app: Callable[[], ServedApp]

    @property
    def app(self) -> ServedApp:
        """The app with its database, storage and settings."""
        return self.open_app()


class Parameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters. A route's parameters are the fields of a subclass.

    They come from the query, or from the path where it names them in braces. Defaults, limits and
    closed lists are those of the types.
    """


class Body(Parameters, frozen=True, kw_only=True):
    """No members. The members of a route's JSON body are the fields of a subclass."""


class Unread(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Parameters that the route ignores."""


class Route[Given: Parameters](Struct, frozen=True, kw_only=True):
    """One operation of the HTTP interface.

    Attributes:
        path: as the Functions host writes it, without a leading slash (but for the root).
        who: the least role; NONE: anyone, at any host name.
        handle: answers a visit.
        given: what it takes as parameters.
        operation_id, summary: for the OpenAPI description.
        answers: the type of the body for each status; the usual problems are added.
        exports: the answer may also be a CSV table, in parts.
    """

    path: str
    method: Literal["GET", "POST"]
    who: Role
    handle: Callable[[Visit, Given], HttpAnswer]
    given: type[Given]
    operation_id: str = ""
    summary: str = ""
    answers: Mapping[int, type[Any]] = field(default_factory=dict)
    exports: bool = False
