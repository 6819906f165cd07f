"""Ask an HTTP API and read its JSON, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """The status, 0 for no answer at all, and the JSON object; empty where there is none."""

    status: int
    content: dict[str, Any]


def ask(method: str, url: str, *, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """Send a request, a POST with an empty JSON object; this machine is asked without a proxy."""
    body = b"{}" if method == "POST" else None
    sent = {**headers, "Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 - the app's own address
        url, data=body, headers=sent, method=method
    )
    is_here = urlsplit(url).hostname in ("localhost", "127.0.0.1")
    handlers = [urllib.request.ProxyHandler({})] if is_here else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as answer:
            return Answer(answer.status, _object(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _object(error.read()))
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return Answer(0, {"code": type(reason).__name__})


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
