"""The head, or incremental sync: everything that changed since the last run, newest first.

Its cost follows the number of changes, not the number of referrals.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import Enum

from pc_core.errors import BudgetEnded, LinkRefused, OrderRefused, TryLater
from pc_core.observe import events
from pc_core.referral.ticks import ticks_of
from pc_core.sync import order, saving, sweeping
from pc_core.sync.context import Run, cannot_finish
from pc_core.sync.order import LoopGuard, empty_list, pages_repeat
from pc_core.sync.ports import HEAD
from pc_core.sync.reading import Page
from pc_core.sync.state import OrderVerdict, PendingHead, SyncState

_BEFORE_ALL = -(2**62)
"""Ticks before any date: a walk over the whole list has to meet every stored row."""


def read_head(run: Run) -> bool:
    """Read and save what changed; move the watermark once the walk is complete.

    Returns:
        Whether everything new has been read. If not (the order asked for is not the order that
        comes, or a stored row that the walk should have met was not in it), a sweep has been
        opened in the same transaction.

    Raises:
        BudgetEnded: the place to go on is stored.
        OperatorNeeded: `walk_cannot_finish`: links keep dying before the walk is through.
    """
    if not sweeping.head_is_worth_asking(run.state, run.now()):
        return _refute(run, why=None)
    try:
        first = run.pages.first(order=order.NEWEST_CHANGE_FIRST, top=run.top)
    except OrderRefused:
        return _refute(run, why="refused")
    if run.state.watermark_ticks is None:
        return _set_watermark(run, first)
    return _HeadWalk(run, first, run.state.watermark_ticks).read()


def _set_watermark(run: Run, first: Page) -> bool:
    """Set the first watermark from one page; the first sweep reads the rows.

    If a sweep has begun before there was a watermark (the list was empty, the order was broken, the
    answers had no Date), another sweep has to follow, because rows may have changed behind it.
    """
    if not order.head_step(first.updated, last_ticks=None, stop_ticks=None).in_order:
        return _refute(run, why="ignored")
    if not first.items:
        _refuse_empty_list(run)
    now = run.now()
    newest = order.newest_change(first.updated, first.served_at)
    state = replace(run.state, watermark_ticks=newest, order_checked_at=now)
    if first.items and not sweeping.first_sweep_is_to_come(state):
        saving.open_sweep(run, "order_unproven", state=state)
        return False
    saving.save_state(run, replace(state, last_success_at=now))
    return True


class _Next(Enum):
    """What follows a page."""

    BROKEN_ORDER = "a change on it is newer than one before it"
    LOOP = "its link leads in circles"
    MORE = "older changes follow"
    CAPPED = "`$top` was taken as a total: the list has to be asked for without it"
    END = "everything new has been read, or the list has ended"


@dataclass(slots=True, kw_only=True)
class _Stretch:
    """Pages read one after the other by their links.

    Attributes:
        from_top: it began with the list's first page.
        top: the `$top` that it began with.
        received: items so far.
        pages: pages so far.
    """

    from_top: bool
    top: int | None = None
    received: int = 0
    pages: int = 0
    guard: LoopGuard = field(default_factory=LoopGuard)


class _HeadWalk:
    """A fresh part from the top, then what an earlier run had to leave unread."""

    def __init__(self, run: Run, first: Page, watermark_ticks: int) -> None:
        self._run = run
        self._first = first
        self._pending = run.state.head
        # Without a Date our own clock is good enough to distrust a watermark, not to set one.
        self._start = order.believed_watermark(
            watermark_ticks, first.served_at or first.fetched_at, run.options.overlap
        )
        self._stop_ticks = (
            self._pending.stop_ticks
            if self._pending
            else self._start.watermark_ticks - ticks_of(run.options.overlap)
        )
        newest = order.newest_change(first.updated, first.served_at)
        self._newest_ticks = max(self._start.watermark_ticks, newest or _BEFORE_ALL)
        self._restarts = self._pending.restarts if self._pending else 0
        self._last_ticks: int | None = None
        self._last_ids: list[str] = []
        self._in_order = True
        self._whole_list = False
        self._met: dict[str | None, None] = {}
        self._began_ticks: int | None = None

    def read(self) -> bool:
        try:
            if self._pending and self._pending.next_link:
                self._read_fresh_part_and_go_on(self._pending, self._pending.next_link)
            else:
                self._read_down(self._first, self._stop_ticks)
        except BudgetEnded as ended:
            if self._restarts >= sweeping.RESTARTS_BEFORE_FAILURE:
                raise cannot_finish("what changed", self._restarts) from ended
            raise
        return self._end() if self._in_order else _refute(self._run, why="ignored")

    def _read_fresh_part_and_go_on(self, pending: PendingHead, link: str) -> None:
        """Read the newest changes first, so that they arrive in every run; then the old place.

        The fresh part does not move the watermark that the walk will leave. A row that became
        visible late, dated before the walk's first page, is met by the next head, thanks to the
        overlap. If the budget ends within the fresh part, the walk goes on from there next time.
        The old place is given up then, which counts as a restart.
        """
        self._restarts += 1
        after_fresh = self._read_down(self._first, pending.newest_ticks, then=pending)
        if not self._in_order or self._whole_list:
            return
        self._restarts -= 1
        last_fresh_ticks = self._last_ticks
        try:
            page = self._run.pages.next(link)
            # Rows that changed between the runs moved others down to here, unseen by both runs.
            self._last_ticks, self._newest_ticks = None, pending.newest_ticks
        except TryLater as failed:
            if not isinstance(failed, LinkRefused):
                self._count_failure(pending, failed)
            self._begin_again(failed)
            if after_fresh is None:
                self._whole_list = True
                return
            page = self._run.pages.next(after_fresh)
            self._last_ticks = last_fresh_ticks
        self._read_down(page, self._stop_ticks)

    def _read_down(
        self, page: Page, stop_ticks: int, *, then: PendingHead | None = None
    ) -> str | None:
        """Read and save pages until everything is older than `stop_ticks`.

        Args:
            then: the place to go on with afterwards; None: the walk is complete then.

        Returns:
            The link behind the last page read.
        """
        run = self._run
        from_top = page is self._first
        stretch = _Stretch(from_top=from_top, top=run.top if from_top else None)
        while True:
            match self._judge(page, stretch, stop_ticks):
                case _Next.BROKEN_ORDER:
                    saving.save_page(run, page, state=run.state)
                    return None
                case _Next.LOOP:
                    # The link leads past rows that the circles have hidden.
                    saving.save_state(run, replace(run.state, head=self._place(None)))
                    raise pages_repeat()
                case _Next.END:
                    # Behind a stored link, an empty page is the list's end, which moves up when
                    # rows above it go away.
                    if not stretch.received and stretch.from_top:
                        _refuse_empty_list(run)
                    self._save(page, then)
                    return page.next_link
                case _Next.MORE:
                    link = page.next_link or ""
                    ahead = run.pages.ahead(link, build_rows=True, to_the_end=False)
                    self._save(page, self._place(link))
                    try:
                        page = ahead.result()
                        continue
                    except LinkRefused as refused:
                        self._begin_again(refused)
                case _Next.CAPPED:
                    self._save(page, self._place(None))
                    saving.save_state(run, replace(run.state, top_caps_at=run.now()))
                    events.emit("partner_center_top_caps_result", level=logging.WARNING)
            stretch = _Stretch(from_top=True, top=run.top)
            page = run.pages.first(order=order.NEWEST_CHANGE_FIRST, top=stretch.top)
            self._last_ticks = None

    def _judge(self, page: Page, stretch: _Stretch, stop_ticks: int) -> _Next:
        """Take note of a page and tell what follows it."""
        if stretch.from_top and not stretch.pages:
            self._met.clear()
            self._began_ticks = order.began(page.updated, page.served_at)
            changes = page.updated
        else:
            changes = order.changes_to_judge(
                [(item.referral_id, item.updated_ticks) for item in page.items],
                met=self._met,
                began_ticks=self._began_ticks,
            )
        step = order.head_step(changes, last_ticks=self._last_ticks, stop_ticks=stop_ticks)
        self._meet(page)
        stretch.received += len(page.items)
        stretch.pages += 1
        self._in_order = step.in_order
        self._last_ticks = step.last_ticks
        self._last_ids = page.ids
        if not step.in_order:
            return _Next.BROKEN_ORDER
        if stretch.guard.repeats(page.next_link, page.ids):
            return _Next.LOOP
        if not step.done and page.next_link is not None:
            return _Next.MORE
        if not step.done and order.is_capped(received=stretch.received, top=stretch.top):
            return _Next.CAPPED
        self._whole_list = not step.done
        return _Next.END

    def _meet(self, page: Page) -> None:
        self._met |= dict.fromkeys(page.ids)
        for referral_id in list(self._met)[: -order.MET_IDS]:
            del self._met[referral_id]

    def _save(self, page: Page, place: PendingHead | None) -> None:
        """Save a page; while the walk goes on, with its place and the ids that it has met."""
        if place is None:
            saving.save_page(self._run, page, state=self._run.state)
        else:
            saving.save_page(
                self._run, page, state=replace(self._run.state, head=place), seen_in=HEAD
            )

    def _place(self, link: str | None) -> PendingHead:
        return PendingHead(
            stop_ticks=self._stop_ticks,
            newest_ticks=self._newest_ticks,
            next_link=link,
            restarts=self._restarts,
        )

    def _count_failure(self, pending: PendingHead, failed: TryLater) -> None:
        """Let the run fail at its stored link, unless the run before failed there too.

        A link that has expired may answer anything. Giving it up costs reading from the top.
        """
        failures = pending.link_failures + 1
        if failures < sweeping.LINK_FAILURES_BEFORE_RESTART:
            counted = replace(pending, link_failures=failures)
            saving.save_state(self._run, replace(self._run.state, head=counted))
            raise failed

    def _begin_again(self, refused: TryLater) -> None:
        self._restarts += 1
        saving.save_state(self._run, replace(self._run.state, head=self._place(None)))
        self._run.note_restart("what changed", self._restarts, refused)

    def _end(self) -> bool:
        """Move the watermark, with the verdict on the order, in one transaction."""
        run = self._run
        now = run.now()
        missed = _not_read_above(
            run, _BEFORE_ALL if self._whole_list else self._stop_ticks, just_seen=self._last_ids
        )
        verdict: OrderVerdict = "unproven" if missed else "proven"
        state = replace(
            run.state,
            watermark_ticks=self._newest_ticks,
            head=None,
            order_verdict=verdict,
            order_checked_at=now,
        )
        if self._start.was_ahead:
            events.emit("partner_center_watermark_was_ahead", level=logging.WARNING)
            saving.open_sweep(run, "clock", state=state, forget=HEAD)
        elif missed:
            events.emit(
                "partner_center_order_not_honoured",
                level=logging.WARNING,
                why="rows_missing_from_walk",
                missed=missed,
            )
            saving.open_sweep(run, "order_unproven", state=state, forget=HEAD)
        else:
            forget = HEAD if run.state.head else ()
            saving.save_state(run, replace(state, last_success_at=now), forget=forget)
        return not missed


def _refute(run: Run, *, why: str | None) -> bool:
    """Stop asking for the order for a day, and open a sweep instead of the head."""
    state: SyncState = run.state
    if why is not None:
        events.emit("partner_center_order_not_honoured", level=logging.WARNING, why=why)
        state = replace(state, order_verdict="refuted", order_checked_at=run.now(), head=None)
    saving.open_sweep(run, "order_unproven", state=state, forget=HEAD)
    return False


def _refuse_empty_list(run: Run) -> None:
    stored = _not_read_above(run, _BEFORE_ALL, just_seen=())
    sweep = run.state.sweep
    accepted = run.accept_missing or (sweep is not None and sweep.accepted)
    if stored and not accepted:
        raise empty_list(stored)


def _not_read_above(run: Run, stop_ticks: int, *, just_seen: Collection[str]) -> int:
    """How many stored rows the head should have met and has not.

    While a shrunken view waits for an operator, rows that it hid say nothing about the order.
    """
    sweep = run.state.sweep
    return run.store.not_read_above(
        stop_ticks,
        just_seen=just_seen,
        among_swept=sweep is not None and sweep.phase == "shrank",
    )
