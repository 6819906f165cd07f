"""Faults on demand: each one spoils a chosen request in one way.

A fault waits in a queue until a request of its target comes. The first fault in the queue that
is due takes the request; `latency` only delays it and leaves it to the next fault.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

type Target = Literal["list", "item", "token", "device", "discovery", "any"]

# Kinds that need no answer from the service: they take its place.
type WireKind = Literal[
    "latency",
    "status",
    "reset",
    "html",
    "empty_401",
    "claims_challenge",
    "access_denied",
    "bad_request",
    "redirect",
]
# Kinds that spoil the service's own answer while it is sent.
type DeliveryKind = Literal["truncated", "truncated_chunked", "slow_drip", "invalid_json"]
# Kinds that change what a list or item answer holds.
type ContentKind = Literal["items_key", "empty_value", "no_value", "lone_surrogate", "nul"]
type Kind = WireKind | DeliveryKind | ContentKind

WIRE_KINDS: frozenset[str] = frozenset(get_args(WireKind.__value__))
DELIVERY_KINDS: frozenset[str] = frozenset(get_args(DeliveryKind.__value__))
CONTENT_KINDS: frozenset[str] = frozenset(get_args(ContentKind.__value__))
TARGETS: frozenset[str] = frozenset(get_args(Target.__value__))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail.

    Attributes:
        kind: what happens.
            `latency`: the answer comes `seconds` later. `status`: an answer with `status`
            (429, 500, 502, 503, 504, 408 ...) and Retry-After as `retry_after_form` says.
            `reset`: the connection is reset unanswered. `html`: 200 with a web page.
            `empty_401`: 401 without a body. `claims_challenge`: 401 that demands `claims`.
            `access_denied`: 403. `bad_request`: 400. `redirect`: 302 to `location`.
            `truncated`: Content-Length promises more than comes. `truncated_chunked`: the
            last chunk never comes. `slow_drip`: the body takes `seconds`. `invalid_json`:
            the body ends too early although its length is right. `items_key`: `items` in
            place of `value`. `empty_value`: no rows. `no_value`: the key is missing.
            `lone_surrogate`, `nul`: an escaped half pair or NUL in the name of row `row`.
        target: which requests it waits for.
        at: 1 for the next such request after it was added, 2 for the one after it, ...
        times: how many requests it spoils from there on; None: all.
        claims: JSON text of the challenge.
        misspelled: write `insufficent_claims`, as an older page of the documentation does.
    """

    kind: Kind
    target: Target = "any"
    at: int = 1
    times: int | None = 1
    status: int = 503
    retry_after_s: float | None = None
    retry_after_form: Literal["seconds", "http_date"] = "seconds"
    seconds: float = 1.0
    location: str = "https://collector.example.net/v1.0/engagements/referrals"
    claims: str = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    misspelled: bool = False
    row: int = 0

    def __post_init__(self) -> None:
        """Refuse a kind or target that does not exist.

        Raises:
            ValueError: naming it.
        """
        if self.kind not in WIRE_KINDS | DELIVERY_KINDS | CONTENT_KINDS:
            raise ValueError(f"there is no fault {self.kind!r}")
        if self.target not in TARGETS:
            raise ValueError(f"there is no target {self.target!r}")
        if self.at < 1 or (self.times is not None and self.times < 1):
            raise ValueError("at and times begin with 1")

    def describe(self) -> dict[str, Any]:
        """As JSON values; `Fault(**these)` is the same fault."""
        return asdict(self)


@dataclass(slots=True)
class _Waiting:
    fault: Fault
    seen: int = 0
    done: int = 0

    def is_due(self) -> bool:
        fault = self.fault
        return self.seen >= fault.at and (fault.times is None or self.done < fault.times)

    def is_spent(self) -> bool:
        return self.fault.times is not None and self.done >= self.fault.times


class FaultQueue:
    """The faults that wait; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def add(self, *faults: Fault) -> None:
        """Queue faults behind those that wait already."""
        with self._lock:
            self._waiting.extend(_Waiting(fault) for fault in faults)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._waiting.clear()

    def pending(self) -> list[Fault]:
        """The faults that still wait, in order."""
        with self._lock:
            return [waiting.fault for waiting in self._waiting]

    def take(self, target: str) -> tuple[float, Fault | None]:
        """What a request of this target meets: seconds of delay, and a fault if any."""
        delay_s = 0.0
        taken: Fault | None = None
        with self._lock:
            for waiting in self._waiting:
                fault = waiting.fault
                if fault.target not in ("any", target):
                    continue
                waiting.seen += 1
                if not waiting.is_due():
                    continue
                if fault.kind == "latency":
                    delay_s += fault.seconds
                    waiting.done += 1
                elif taken is None:
                    taken = fault
                    waiting.done += 1
            self._waiting = [waiting for waiting in self._waiting if not waiting.is_spent()]
        return delay_s, taken
