"""Decides about a walk: where it stops, when it is done, whether its order can be trusted.

Pure: dates and ids of a page in, verdicts out. `head` and `sweep` act on them.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pc_core.errors import InvalidResponse
from pc_core.referral.ticks import to_ticks

NEWEST_CHANGE_FIRST = "updatedDateTime desc"
OLDEST_FIRST = "createdDateTime asc"

EMPTY_PAGES_IN_A_ROW = 20
"""Empty pages with a nextLink happen; more than this in a row is a loop."""

SAME_PAGES = 3
"""The same page behind different links, so many times in a row, is a loop too."""


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
"""How many ids a head remembers. A row that moved down by more rows than that counts as out of
order."""


def changes_to_judge(
    rows: Sequence[tuple[str | None, int | None]],
    *,
    met: Container[str | None],
    began_ticks: int | None,
) -> list[int | None]:
    """The changes by which the order of a page is judged.

    A row that changes between two requests moves to the top and pushes others down. The next page
    then begins with rows that were met before, or, after many changes, with rows that changed
    since the walk began. Neither is a broken order, so both are left out.

    Args:
        rows: id and updatedDateTime in ticks of each item, in the page's order.
        met: ids on earlier pages of this walk.
        began_ticks: a newer change was made after the walk's first page was served; None: the
            answer had no Date, so no row is known to have changed since.
    """
    return [
        ticks
        for referral_id, ticks in rows
        if referral_id not in met and (ticks is None or began_ticks is None or ticks <= began_ticks)
    ]


def began(updated: Sequence[int | None], served_at: datetime | None) -> int | None:
    """The instant after which a change was made later than this first page was served, in ticks.

    The later of the server's clock and the newest row, so that one wrong value cannot hide a row
    that is out of order. None if the page has no date or the answer no clock.
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
    """Where a head stops, before the overlap.

    Attributes:
        watermark_ticks: the watermark to use.
        was_ahead: the stored one lay in the server's future, so changes may have been missed.
    """

    watermark_ticks: int
    was_ahead: bool


def believed_watermark(stored: int, served_at: datetime, overlap: timedelta) -> Start:
    """Replace a watermark that the server's clock has not reached yet.

    A clock may be wrong by seconds. Only a lead of more than the overlap can have hidden changes.
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


def pages_repeat() -> InvalidResponse:
    """The error of a walk that goes in circles."""
    return InvalidResponse(
        "Partner Center's pages repeat: reading the list would never end. Pages read so far are "
        "saved, and no other data was changed. The next run starts again.",
        code="pages_repeat",
    )


def empty_list(stored: int) -> InvalidResponse:
    """The error of an empty list where there cannot be one."""
    return InvalidResponse(
        f"Partner Center returned an empty list although {stored} referrals are stored. No data "
        "was changed and nothing was marked as missing. If this stays, check that the "
        "signed-in account still has the role Referrals Admin; if the referrals are really "
        "gone, accept it with `sync --mode full --accept-missing`.",
        code="empty_answer",
    )
