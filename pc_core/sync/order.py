"""The decisions of a walk over the list: where it starts, when it is done, whether to believe it.

Pure: page dates and ids in, verdicts out. `head` and `sweep` act on them.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from pc_core.sync.state import Fingerprint, Sweep, SweepReason, SyncState, to_ticks

NEWEST_CHANGE_FIRST = "updatedDateTime desc"
OLDEST_FIRST = "createdDateTime asc"

ASK_ORDER_AGAIN_AFTER = timedelta(days=1)
"""A broken order is a property of the server: asking once a day notices when it is mended."""

RESTARTS_BEFORE_FULL_TIME = 2
RESTARTS_BEFORE_FAILURE = 3
BY_ID_PER_RUN = 50
"""At most so many unseen rows are asked for by id in one run; the rest wait for the next."""

EMPTY_PAGES_IN_A_ROW = 20
"""Empty pages with a nextLink happen; more than this in a row is a loop."""


SAME_PAGES = 3
"""So many times the same page behind different links is a loop too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStep:
    """What one page means to a head walk.

    Attributes:
        in_order: no change on it is newer than one before it.
        done: it reaches below the stopping point.
        last_ticks: the oldest change so far.
    """

    in_order: bool
    done: bool
    last_ticks: int | None


def head_step(
    updated: Sequence[int | None], *, last_ticks: int | None, stop_ticks: int | None
) -> HeadStep:
    """Judge a page that was asked for newest change first.

    Args:
        updated: each item's updatedDateTime in ticks, in the page's order; undated ones say
            nothing about the order.
        last_ticks: the oldest change of the pages before; None on the first.
        stop_ticks: everything strictly older has been read before; None: one page is enough.
    """
    in_order = True
    for ticks in updated:
        if ticks is None:
            continue
        if last_ticks is not None and ticks > last_ticks:
            in_order = False
        last_ticks = ticks if last_ticks is None else min(last_ticks, ticks)
    reached = last_ticks is not None and stop_ticks is not None and last_ticks < stop_ticks
    return HeadStep(in_order=in_order, done=stop_ticks is None or reached, last_ticks=last_ticks)


MET_IDS = 5_000
"""So many ids a head remembers; what moved down by more rows between two pages is unexplained."""


def tell_of_order(
    rows: Sequence[tuple[str | None, int | None]],
    *,
    met: Container[str | None],
    began_ticks: int | None,
) -> list[int | None]:
    """The changes on a page by which its order is to be judged.

    Pages count rows from the list's top. A row that changes between two pages moves there, and all
    above its old place move down: the next page begins with rows that were met before, or, where
    more rows changed than a page has, with some that have changed since. Neither is a lie.

    Args:
        rows: id and updatedDateTime in ticks of each item, in the page's order.
        met: ids on earlier pages of this walk.
        began_ticks: what is newer has changed since the walk's first page was served; None: the
            server told no time, and then no row is known to have changed since.
    """
    return [
        ticks
        for referral_id, ticks in rows
        if referral_id not in met and (ticks is None or began_ticks is None or ticks <= began_ticks)
    ]


def began(updated: Sequence[int | None], served_at: datetime | None) -> int | None:
    """What a change has to be newer than, to have been made after this first page was served.

    Newer than the server's clock then, and than all that the page shows: where only one of them is
    wrong, no row is excused that it should have shown.
    """
    dated = [ticks for ticks in updated if ticks is not None]
    if not dated or served_at is None:
        return None
    return max(to_ticks(served_at), *dated)


def newest_change(updated: Sequence[int | None], served_at: datetime | None) -> int | None:
    """The watermark that a walk with this first page leaves behind.

    Capped by the server's own clock, never by ours: a referral dated in the future must not make
    later changes look old. None if the page has no date or the answer no clock.
    """
    dated = [ticks for ticks in updated if ticks is not None]
    if not dated or served_at is None:
        return None
    return min(max(dated), to_ticks(served_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a head begins to be old news.

    Attributes:
        watermark_ticks: the watermark to believe.
        was_ahead: the stored one lay in the server's future, so that changes may have been missed.
    """

    watermark_ticks: int
    was_ahead: bool


def believed_watermark(stored: int, served_at: datetime, overlap: timedelta) -> Start:
    """Distrust a watermark that the server's clock has not reached yet.

    A clock may be wrong by seconds; only a lead of more than the overlap can have hidden changes.
    """
    if stored <= to_ticks(served_at):
        return Start(watermark_ticks=stored, was_ahead=False)
    ahead = stored > to_ticks(served_at + overlap)
    return Start(watermark_ticks=to_ticks(served_at), was_ahead=ahead)


def ascends(created: Sequence[int | None], last_ticks: int | None) -> tuple[bool, int | None]:
    """Whether a page asked for oldest first keeps that order, and the newest date so far."""
    in_order = True
    for ticks in created:
        if ticks is None:
            continue
        if last_ticks is not None and ticks < last_ticks:
            in_order = False
        last_ticks = ticks if last_ticks is None else max(last_ticks, ticks)
    return in_order, last_ticks


def is_capped(*, received: int, top: int | None) -> bool:
    """Whether a walk that just ended was cut by `$top` instead of reaching the list's end.

    OData defines `$top` as a total. A list that really has exactly that many costs one more walk.
    """
    return top is not None and received == top


class LoopGuard:
    """Notices that pages repeat, with the memory of one page (Brent's cycle detection).

    A repeated nextLink is a loop. A repeated page behind a changing link may be a coincidence (as
    many rows moved to the front as a page has), but not again and again.
    """

    def __init__(self) -> None:
        self._link: str | None = None
        self._same_pages = 0
        self._ids: tuple[str, ...] = ()
        self._steps = 0
        self._next_anchor = 1
        self._empty_in_a_row = 0

    def repeats(self, link: str | None, ids: Sequence[str]) -> bool:
        """Take note of a page and the link it leads to; True if the walk goes in circles."""
        if link is None:
            return False
        here = tuple(ids)
        self._empty_in_a_row = 0 if here else self._empty_in_a_row + 1
        if not here:
            # Not a step: in a cycle of full and empty pages, every mark could lie on an empty one.
            too_many = self._empty_in_a_row > EMPTY_PAGES_IN_A_ROW
            return too_many or (self._steps > 0 and link == self._link)
        if self._steps and here == self._ids:
            self._same_pages += 1
        if self._same_pages >= SAME_PAGES or (self._steps and link == self._link):
            return True
        self._steps += 1
        if self._steps == self._next_anchor:
            self._link, self._ids = link, here
            self._next_anchor *= 2
        return False


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
