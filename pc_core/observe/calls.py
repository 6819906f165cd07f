"""What a run asks of others (Partner Center, Entra ID, database, storage, vault), call by call.

A trigger names the operation that the Functions host has opened; a run that is recorded notes its
calls under it. Where nothing records, a call costs one look. Names are templates: no value, no
query and no person ever stands in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Literal

MOST_CALLS = 1000
"""Of one run; a first load of 100,000 referrals makes about as many. Of what comes later, only
what failed is kept, and no more than as many again."""

_TRACE_PARENT = re.compile(
    r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}"
)
"""W3C Trace Context, section 3.2; an id of zeros is none."""

Kind = Literal["HTTP", "SQL", "Azure blob", "Azure Key Vault"]
"""Application Insights draws each of these with its own sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An invocation, as the Functions host has put it into Application Insights.

    Attributes:
        id: of the operation, which lines, invocation and calls share; 32 hex digits.
        parent_id: of the invocation itself; 16 hex digits.
        name: of the function.
    """

    id: str
    parent_id: str
    name: str


@dataclass(slots=True, kw_only=True)
class Call:
    """One call; whoever makes it may say more about its outcome.

    Attributes:
        kind: what sort of thing was called.
        target: its host, or what it is.
        name: what was asked, as a template.
        result: a status or an error's code.
        request_id: sent as `client-request-id`, for Microsoft's support.
    """

    kind: Kind
    target: str
    name: str
    began_at: datetime
    duration_s: float = 0.0
    is_success: bool = True
    result: str = ""
    request_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Calls:
    """The calls of one run.

    Attributes:
        left_out: how many more there were.
    """

    kept: list[Call] = field(default_factory=list)
    left_out: int = 0

    def add(self, call: Call) -> None:
        """Keep a call that has ended, unless there are too many."""
        room = MOST_CALLS if call.is_success else 2 * MOST_CALLS
        if len(self.kept) < room:
            self.kept.append(call)
        else:
            self.left_out += 1


_operation: ContextVar[Operation | None] = ContextVar("pc_core_operation", default=None)
_calls: ContextVar[Calls | None] = ContextVar("pc_core_calls", default=None)


@contextmanager
def operation(trace_parent: str | None, *, name: str) -> Iterator[None]:
    """What is done inside belongs to the invocation that this W3C trace parent names."""
    found = _TRACE_PARENT.fullmatch(trace_parent or "")
    token = _operation.set(Operation(id=found[1], parent_id=found[2], name=name) if found else None)
    try:
        yield
    finally:
        _operation.reset(token)


def invocation(context: object, *, name: str) -> AbstractContextManager[None]:
    """As `operation`, for the context that the Functions worker hands to a function."""
    trace = getattr(context, "trace_context", None)
    return operation(getattr(trace, "trace_parent", None), name=name)


def current_operation() -> Operation | None:
    """The operation of this invocation; None where the host has named none."""
    return _operation.get()


@contextmanager
def recording(calls: Calls) -> Iterator[None]:
    """Note the calls made inside."""
    token = _calls.set(calls)
    try:
        yield
    finally:
        _calls.reset(token)


@contextmanager
def calling(kind: Kind, target: str, name: str) -> Iterator[Call]:
    """Note what is done inside as one call, failed if an exception leaves it."""
    call = Call(kind=kind, target=target, name=name, began_at=datetime.now(UTC))
    calls = _calls.get()
    if calls is None:
        yield call
        return
    began_s = monotonic()
    try:
        yield call
    except BaseException as error:
        call.is_success = False
        call.result = call.result or str(getattr(error, "code", "") or type(error).__name__)
        raise
    finally:
        call.duration_s = monotonic() - began_s
        calls.add(call)
