"""One request and its answer, as data, and what a route is; no framework in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pc_core.web.access import Caller, Role

if TYPE_CHECKING:
    from pc_core.web.served import App


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked.

    Attributes:
        path: of the address, without the query.
        headers: by lower-case name.
        query: the address's parameters.
        placeholders: what stood where the route has names in braces.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered; header names are written as they are sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that was let in: who asks what, of which app.

    Attributes:
        open_app: gives the app; called only by routes that need more than the request, so that
            health and the static page load nothing.
    """

    request: Request
    caller: Caller
    open_app: Callable[[], App]

    @property
    def app(self) -> App:
        """The app with its database, storage and settings."""
        return self.open_app()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the HTTP interface.

    Attributes:
        path: as the Functions host writes it, without a leading slash (but for the root).
        who: the least role; NONE: anyone, at any host name.
        handle: answers a visit.
        operation: its OpenAPI operation object; empty: not part of the described interface.
    """

    path: str
    method: str
    who: Role
    handle: Callable[[Visit], Answer]
    operation: Mapping[str, Any] = field(default_factory=dict)
