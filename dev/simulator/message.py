"""Requests and answers as the services see them, without sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

type Delivery = Literal["whole", "truncated", "truncated_chunked", "slow_drip", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `query` is the raw query string, header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    def form(self) -> dict[str, str]:
        """The fields of a form body, the last one of each name."""
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))


@dataclass(slots=True, kw_only=True)
class Response:
    """One answer; headers in the order they are sent, without lengths."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    delivery: Delivery = "whole"
    drip_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """What arrived, for tests to look at.

    Attributes:
        target: `list`, `item`, `token`, `device`, `discovery` or `other`.
        query: the raw query string, not decoded.
        headers: lower-case names; the credential in `authorization` is blotted out.
        grant: for `token`, the grant type's last word: `device_code`, `refresh_token`.
        status: what was answered; 0 if the connection was reset.
        fault: the kind of fault it met.
        at: aware UTC, by the real clock, when it had arrived.
        took_s: seconds until the answer had been handed to the network.
    """

    target: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    grant: str | None
    status: int
    fault: str | None
    at: datetime
    took_s: float


def answer_json(status: int, value: Any, headers: list[tuple[str, str]] | None = None) -> Response:
    """An answer with a JSON body."""
    return Response(
        status=status,
        headers=[("Content-Type", "application/json; charset=utf-8"), *(headers or [])],
        body=json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def answer_html(status: int, page: str) -> Response:
    """An answer with a web page."""
    return Response(
        status=status, headers=[("Content-Type", "text/html; charset=utf-8")], body=page.encode()
    )
