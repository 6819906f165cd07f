"""Instants in ticks of 100 ns: Partner Center's dates have up to seven fraction digits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

TICKS_PER_S = 10_000_000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ticks(instant: datetime) -> int:
    """An aware instant in ticks."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 10


def from_ticks(ticks: int) -> datetime:
    """Ticks as an aware UTC instant, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ticks // 10)
