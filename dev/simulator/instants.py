"""Instants as Partner Center writes them, kept as whole ticks of 100 nanoseconds.

Partner Center prints up to seven fraction digits, one more than `datetime` holds, so the
simulated world counts ticks since 1970-01-01T00:00:00Z and formats them on the way out.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

TICKS_PER_S = 10_000_000
MAX_DIGITS = 7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIRE_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?(?:Z|\+00:00)\Z"
)


def now_ticks() -> int:
    """The machine's clock, in ticks."""
    return time.time_ns() // 100


def to_ticks(at: datetime) -> int:
    """Ticks of an aware datetime.

    Raises:
        ValueError: if `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("an aware datetime is needed")
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * TICKS_PER_S + delta.microseconds * 10


def to_datetime(ticks: int) -> datetime:
    """Aware UTC datetime of `ticks`, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


def to_wire(ticks: int, digits: int | None = None) -> str:
    """`ticks` in ISO 8601 with Z, with exactly `digits` fraction digits (0 to 7).

    With None the trailing zeros are trimmed, which is what Partner Center usually does.
    """
    seconds, fraction = divmod(ticks, TICKS_PER_S)
    t = time.gmtime(seconds)
    whole = (
        f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}"
        f"T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
    )
    text = f"{fraction:07d}"
    text = text.rstrip("0") if digits is None else text[:digits]
    return f"{whole}.{text}Z" if text else f"{whole}Z"


def from_wire(text: str) -> int:
    """Ticks of an instant in Partner Center's form.

    Raises:
        ValueError: if `text` is not such an instant.
    """
    match = _WIRE_INSTANT.match(text)
    if match is None:
        raise ValueError("not an instant in Partner Center's form")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return to_ticks(whole) + int((match[7] or "").ljust(MAX_DIGITS, "0"))
