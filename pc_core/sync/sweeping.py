"""When a sweep begins, and what rows that it has not seen mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from pc_core.sync.state import Fingerprint, Sweep, SweepReason, SyncState

ASK_ORDER_AGAIN_AFTER = timedelta(days=1)
"""A broken order is a property of the server: asking once a day notices when it is mended."""


RESTARTS_BEFORE_FULL_TIME = 2


RESTARTS_BEFORE_FAILURE = 3


BY_ID_PER_RUN = 50
"""At most so many unseen rows are asked for by id in one run; the rest wait for the next."""


def head_is_worth_asking(state: SyncState, now: datetime) -> bool:
    """Whether newest-change-first may be tried: not while it is known to be broken."""
    return state.order_verdict != "refuted" or not is_recent(state.order_checked_at, now)


def is_recent(seen_at: datetime | None, now: datetime) -> bool:
    """Whether a verdict about the server still stands.

    One of a clock that was ahead does not: waiting for its moment could take years.
    """
    return seen_at is not None and abs(now - seen_at) < ASK_ORDER_AGAIN_AFTER


def first_sweep_is_to_come(state: SyncState) -> bool:
    """Whether everything will be read by a sweep that has not begun."""
    return state.last_sweep_at is None and state.shrank_at is None and state.sweep is None


def sweep_reason(
    state: SyncState, *, asked: bool, now: datetime, every: timedelta
) -> SweepReason | None:
    """Why a sweep has to begin now; None: it has not.

    Fingerprint changes and doubts about the order are the caller's to add: they are known only
    after the head.
    """
    if state.last_sweep_at is None and state.shrank_at is None:
        return "first"
    if asked:
        return "asked"
    ended_at = max(
        instant for instant in (state.last_sweep_at, state.shrank_at) if instant is not None
    )
    # An end that lies far ahead was noted by a wrong clock.
    return "due" if abs(now - ended_at) >= every else None


_EXPECTS_MUCH: frozenset[SweepReason] = frozenset({"first", "settings_changed", "clock"})


_MUST_BEGIN_LATER: frozenset[SweepReason] = frozenset({"order_unproven", "clock"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A state with a sweep in it.

    Attributes:
        begins: whether it is a new one, so that what an earlier one saw has to be forgotten.
    """

    state: SyncState
    begins: bool


def open_sweep(
    state: SyncState,
    reason: SweepReason,
    *,
    task_id: str,
    now: datetime,
    overlap: timedelta,
    accepted: bool = False,
) -> Opened:
    """Begin a sweep, or go on with the open one where that serves the reason.

    A doubt about the head is only settled by reading everything after the doubt: an open sweep is
    then followed by another. Changed settings make an open one worthless.
    """
    is_open = state.sweep is not None and state.sweep.phase != "shrank"
    if state.sweep is not None and is_open and reason != "settings_changed":
        again = state.sweep.again or reason in _MUST_BEGIN_LATER
        accepted = state.sweep.accepted or accepted
        sweep = replace(state.sweep, again=again, accepted=accepted)
        return Opened(state=replace(state, sweep=sweep), begins=False)
    watermark = state.watermark_ticks
    sweep = Sweep(
        task_id=task_id,
        started_at=now,
        reason=reason,
        ordered=not is_recent(state.order_refuted_at, now),
        drift_ticks=(
            None
            if watermark is None or reason in _EXPECTS_MUCH
            else watermark - overlap // timedelta(microseconds=1) * 10
        ),
        accepted=accepted,
    )
    return Opened(state=replace(state, sweep=sweep), begins=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a changed fingerprint asks for."""

    sweep: bool
    recompute: bool


def fingerprint_change(before: Fingerprint | None, now: Fingerprint) -> Change:
    """Compare what the stored rows were made with to what holds now."""
    if before is None:
        return Change(sweep=False, recompute=False)
    return Change(
        sweep=(before.filters, before.account) != (now.filters, now.account),
        recompute=before.rules != now.rules,
    )


class Missing(Enum):
    """What to do about rows that an ended sweep has not seen."""

    CHECK = "check"
    MARK = "mark"
    SHRANK = "shrank"


def judge_missing(*, present: int, open_: int, gone: int, accepted: bool) -> Missing:
    """Decide about unseen rows.

    A few rows gone are news about these rows. Many rows gone are news about the account's role,
    and marking them would be a lie: more than max(10, 10 %) of the present rows wait for an
    operator, as soon as one of them was confirmed gone by id.

    Args:
        present: stored rows that count as present.
        open_: unseen rows that have not been asked for by id.
        gone: unseen rows that answered 404 by id.
        accepted: an operator has said that they may be marked.
    """
    if not accepted and gone and gone + open_ > max(10, present // 10):
        return Missing.SHRANK
    return Missing.CHECK if open_ else Missing.MARK


def restarts(state: SyncState) -> int:
    """How often the walk in progress had to begin again."""
    return max(state.head.restarts if state.head else 0, state.sweep.restarts if state.sweep else 0)
