"""A run's calls to others, counted and timed by peer; its summary line shows the totals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, Literal

Peer = Literal["partner_center", "entra", "blob", "key_vault", "postgres"]


@dataclass(slots=True)
class Call:
    """One call while it is made.

    Attributes:
        failed: set where an answer refuses without an exception.
    """

    failed: bool = False


@dataclass(slots=True)
class _Total:
    count: int = 0
    failed: int = 0
    duration_s: float = 0.0


@dataclass(slots=True)
class _Calls:
    """The totals of one run; its threads add to the same object."""

    lock: Lock = field(default_factory=Lock)
    by_peer: dict[Peer, _Total] = field(default_factory=dict)

    def add(self, peer: Peer, *, failed: bool, duration_s: float) -> None:
        with self.lock:
            total = self.by_peer.setdefault(peer, _Total())
            total.count += 1
            total.failed += failed
            total.duration_s += duration_s


_calls: ContextVar[_Calls | None] = ContextVar("pc_core_calls", default=None)


@contextmanager
def counting() -> Iterator[None]:
    """Count the calls made inside, also by threads that run in a copy of this context."""
    token = _calls.set(_Calls())
    try:
        yield
    finally:
        _calls.reset(token)


@contextmanager
def calling(peer: Peer) -> Iterator[Call]:
    """Count what is done inside as one call; it has failed if an exception leaves it."""
    call = Call()
    calls = _calls.get()
    if calls is None:
        yield call
        return
    began_s = monotonic()
    try:
        yield call
    except BaseException:
        call.failed = True
        raise
    finally:
        calls.add(peer, failed=call.failed, duration_s=monotonic() - began_s)


def totals() -> dict[str, dict[str, Any]]:
    """Per peer `count`, `failed` and `duration_s`, seconds; calls at the same time add up.

    Empty where nothing counts.
    """
    calls = _calls.get()
    if calls is None:
        return {}
    with calls.lock:
        return {
            peer: {
                "count": total.count,
                "failed": total.failed,
                "duration_s": round(total.duration_s, 3),
            }
            for peer, total in sorted(calls.by_peer.items())
        }
