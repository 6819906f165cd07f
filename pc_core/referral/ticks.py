"""Time in ticks of 100 ns: Partner Center's dates have up to seven fraction digits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_TICKS_PER_S: Final = 10_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ticks_of(duration: timedelta) -> int:
    """A duration in ticks."""
    return (duration.days * 86_400 + duration.seconds) * _TICKS_PER_S + duration.microseconds * 10


def to_ticks(instant: datetime) -> int:
    """An aware instant in ticks since 1970-01-01 UTC."""
    return ticks_of(instant - _EPOCH)


def from_ticks(ticks: int) -> datetime:
    """Ticks since 1970-01-01 UTC as an aware UTC instant, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ticks // 10)
