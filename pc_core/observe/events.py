"""Structured logging: one JSON line per event, with a fixed name.

The Functions worker forwards only a record's formatted message, so the line contains everything.
An event must not contain personal data or tokens.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

logger = logging.getLogger("pc_core")

_context: ContextVar[dict[str, Any]] = ContextVar("pc_core_event_context", default={})  # noqa: B039 - replaced, never changed


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Add fields, such as `task_id`, to every event inside."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def emit(event: str, *, level: int = logging.INFO, exc_info: bool = False, **fields: Any) -> None:
    """Write one event as a JSON line.

    Args:
        event: its fixed name, e.g. `partner_center_page_saved`.
        level: of the logging module.
        exc_info: append the traceback of the exception being handled (only for our own bugs).
        fields: plain values; datetimes become ISO 8601.
    """
    if logger.isEnabledFor(level):
        line = {"event": event, **_context.get(), **fields}
        logger.log(level, "%s", json.dumps(line, default=_plain), exc_info=exc_info)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
