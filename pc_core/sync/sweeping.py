"""Decides when a sweep begins, and what it means that a sweep has not seen a row. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from pc_core.referral.ticks import ticks_of
from pc_core.sync.state import Fingerprint, Sweep, SweepReason, SyncState

ASK_ORDER_AGAIN_AFTER = timedelta(days=1)
"""A broken order is a property of the server: asking once a day notices when it is mended."""

RESTARTS_BEFORE_FULL_TIME = 2
"""After so many restarts a timer's run may use all the time that the platform gives."""

LINK_FAILURES_BEFORE_RESTART = 2
"""A stored link at which so many runs in a row failed is given up, whatever it answers."""

RESTARTS_BEFORE_FAILURE = 3
"""After so many restarts the run fails as `walk_cannot_finish`."""

BY_ID_PER_RUN = 50
"""How many unseen rows a run asks for by id; the rest wait for the next."""


def head_is_worth_asking(state: SyncState, now: datetime) -> bool:
    """Whether to ask for newest change first: not while that order is known to be broken."""
    return state.order_verdict != "refuted" or not is_recent(state.order_checked_at, now)


def is_recent(seen_at: datetime | None, now: datetime) -> bool:
    """Whether a verdict about the server still stands.

    A date far in the future was written by a wrong clock and does not count: waiting for it could
    take years.
    """
    return seen_at is not None and abs(now - seen_at) < ASK_ORDER_AGAIN_AFTER


def first_sweep_is_to_come(state: SyncState) -> bool:
    """Whether the first sweep, which will read everything, has not begun yet."""
    return state.last_sweep_at is None and state.shrank_at is None and state.sweep is None


def sweep_reason(
    state: SyncState, *, asked: bool, now: datetime, every: timedelta
) -> SweepReason | None:
    """Why a sweep has to begin now; None: it need not.

    Changed settings and a broken order open a sweep elsewhere, where they are noticed.
    """
    if state.last_sweep_at is None and state.shrank_at is None:
        return "first"
    if asked:
        return "asked"
    ended_at = max(
        instant for instant in (state.last_sweep_at, state.shrank_at) if instant is not None
    )
    # A date far in the future was written by a wrong clock.
    return "due" if abs(now - ended_at) >= every else None


_EXPECTS_MUCH: frozenset[SweepReason] = frozenset({"first", "settings_changed", "clock"})
"""What these sweeps find is no drift."""

_MUST_BEGIN_LATER: frozenset[SweepReason] = frozenset({"order_unproven", "clock"})
"""An open sweep does not settle these: another has to begin after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithSweep:
    """A state with an open sweep.

    Attributes:
        begins: it is a new one, so that what an earlier one has seen must be forgotten.
    """

    state: SyncState
    begins: bool


def with_sweep(
    state: SyncState,
    reason: SweepReason,
    *,
    task_id: str,
    now: datetime,
    overlap: timedelta,
    top: int | None = None,
    accepted: bool = False,
) -> WithSweep:
    """Begin a sweep, or go on with the open one.

    A doubt about the head is settled only by a sweep that begins after it, so another sweep will
    follow the open one. Changed settings make the open one useless, so a new one begins.
    """
    is_open = state.sweep is not None and state.sweep.phase != "shrank"
    if state.sweep is not None and is_open and reason != "settings_changed":
        again = state.sweep.again or reason in _MUST_BEGIN_LATER
        accepted = state.sweep.accepted or accepted
        sweep = replace(state.sweep, again=again, accepted=accepted)
        return WithSweep(state=replace(state, sweep=sweep), begins=False)
    watermark = state.watermark_ticks
    sweep = Sweep(
        task_id=task_id,
        started_at=now,
        reason=reason,
        ordered=not is_recent(state.order_refuted_at, now),
        drift_ticks=(
            None if watermark is None or reason in _EXPECTS_MUCH else watermark - ticks_of(overlap)
        ),
        top=top,
        accepted=accepted,
    )
    return WithSweep(state=replace(state, sweep=sweep), begins=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """What a changed fingerprint asks for."""

    sweep: bool
    recompute: bool


def fingerprint_change(before: Fingerprint | None, now: Fingerprint) -> FollowUp:
    """Compare what the stored rows were made with to the settings of now."""
    if before is None:
        return FollowUp(sweep=False, recompute=False)
    return FollowUp(
        sweep=(before.filters, before.account) != (now.filters, now.account),
        recompute=before.rules != now.rules,
    )


class Missing(Enum):
    """What to do about rows that an ended sweep has not seen."""

    CHECK = "check"
    MARK = "mark"
    SHRANK = "shrank"


def judge_missing(
    *, present: int, open_: int, gone: int, unclear: int = 0, accepted: bool
) -> Missing:
    """Decide about unseen rows.

    A few missing rows are probably gone. Many at once mean that the account's role sees less, and
    then none may be marked: more than max(10, 10 %) of the present rows wait for an operator, as
    soon as the answer by id has confirmed one of them.

    Args:
        present: stored rows that count as present.
        open_: unseen rows that have not been asked for by id.
        gone: unseen rows that answered 404 by id.
        unclear: unseen rows that answered something else by id, such as 403.
        accepted: an operator accepts that they are gone.
    """
    confirmed = gone + unclear
    if not accepted and confirmed and confirmed + open_ > max(10, present // 10):
        return Missing.SHRANK
    return Missing.CHECK if open_ else Missing.MARK


def restarts(state: SyncState) -> int:
    """How often the walk in progress had to start again."""
    return max(state.head.restarts if state.head else 0, state.sweep.restarts if state.sweep else 0)
