"""The sweep, or full sync: every referral, oldest first, over as many runs as it takes.

Paging by offset in the order of creation loses nothing when rows change. What a sweep has seen is
kept in the database, so that memory stays flat and the next run goes on after a killed one.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    LinkRefused,
    OperatorNeeded,
    OrderRefused,
    TryLater,
)
from pc_core.observe import events
from pc_core.sync import order, saving, sweeping
from pc_core.sync.context import Run
from pc_core.sync.order import empty_list, pages_repeat
from pc_core.sync.ports import SWEEP
from pc_core.sync.reading import Page
from pc_core.sync.state import Sweep, SyncState

_IDS_AT_A_TIME = 10

_ABOUT_ONE_ROW = frozenset(
    {
        "api_forbidden",
        "api_bad_request",
        "api_unexpected_status",
        "nonsense_answer",
        "organization_mismatch",
        "partner_center_unavailable",
    }
)
"""Codes of an answer by id that says nothing about the other rows: the list itself has just been
read with the same account."""


def open_sweep_if_due(run: Run, *, asked: bool) -> None:
    """Open a sweep where one is due or asked for.

    A sweep with a shrunken view does not go on. When an operator accepts what it no longer sees,
    another begins and asks again, because what it was answered may be old.

    Args:
        asked: somebody asked for a full sync.
    """
    sweep = run.state.sweep
    is_shrunken = sweep is not None and sweep.phase == "shrank"
    reason = sweeping.sweep_reason(
        run.state,
        asked=asked or run.accept_missing,
        now=run.now(),
        every=run.options.full_sync_every,
    )
    if reason is not None and (sweep is None or is_shrunken or run.accept_missing):
        saving.open_sweep(run, reason, state=run.state)


def read_sweep(run: Run) -> None:
    """Go on with the open sweep until it is complete, and with the one that has to follow it.

    Raises:
        BudgetEnded: the place to go on is stored.
        OperatorNeeded: `visibility_shrank`: too many rows are gone; `walk_cannot_finish`.
    """
    if run.sweep.phase == "reading":
        _read_all(run)
    _settle_unseen(run)
    if run.state.sweep is not None:
        read_sweep(run)


def _read_all(run: Run) -> None:
    guard = order.LoopGuard()
    page = _enter(run, run.sweep)
    while True:
        sweep = run.sweep
        in_order, last_ticks = order.ascends(page.created, sweep.last_ticks)
        received = sweep.received + len(page.items)
        if not received and page.next_link is None:
            _refuse_empty_list(run)
        if guard.repeats(page.next_link, page.ids):
            _begin_again(run, page)
            raise pages_repeat()
        if sweep.ordered and not in_order:
            events.emit("partner_center_order_not_honoured", level=logging.WARNING, why="created")
            _give_order_up(run, page)
        elif page.next_link is None and order.is_capped(received=received, top=sweep.top):
            events.emit("partner_center_top_caps_result", level=logging.WARNING)
            capped = replace(run.state, top_caps_at=run.now())
            _save(run, page, replace(_from_start(run), top=None), state=capped)
        else:
            place = replace(
                sweep,
                next_link=page.next_link,
                last_ticks=last_ticks,
                received=received,
                pages=sweep.pages + 1,
                link_failures=0,
            )
            if page.next_link is None:
                _save(run, page, replace(place, phase="checking"))
                return
            ahead = run.pages.ahead(
                page.next_link, build_rows=sweep.drift_ticks is None, to_the_end=True
            )
            _save(run, page, place)
            try:
                page = ahead.result()
                continue
            except LinkRefused as refused:
                _note_restart(run, refused)
        page = _enter(run, run.sweep)
        guard = order.LoopGuard()


def _enter(run: Run, sweep: Sweep) -> Page:
    """The page to go on with: the stored place, or the list's beginning."""
    if sweep.next_link is not None:
        try:
            return run.pages.next(sweep.next_link)
        except LinkRefused as refused:
            _note_restart(run, refused)
        except TryLater as failed:
            failures = sweep.link_failures + 1
            if failures < sweeping.LINK_FAILURES_BEFORE_RESTART:
                counted = replace(sweep, link_failures=failures)
                saving.save_state(run, replace(run.state, sweep=counted))
                raise
            _note_restart(run, failed)
    sweep = run.sweep
    try:
        return run.pages.first(order=order.OLDEST_FIRST if sweep.ordered else None, top=sweep.top)
    except OrderRefused:
        _give_order_up(run, None)
        return run.pages.first(order=None, top=sweep.top)


def _from_start(run: Run) -> Sweep:
    return replace(
        run.sweep, next_link=None, last_ticks=None, received=0, link_failures=0, top=run.top
    )


def _save(
    run: Run,
    page: Page,
    sweep: Sweep,
    *,
    state: SyncState | None = None,
    asked_for: str | None = None,
) -> None:
    saving.save_page(
        run,
        page,
        state=replace(state or run.state, sweep=sweep),
        seen_in=SWEEP,
        drift_ticks=sweep.drift_ticks,
        backfill=sweep.drift_ticks is None,
        asked_for=asked_for,
    )


def _give_order_up(run: Run, page: Page | None) -> None:
    """Start again without asking for an order: then the server cannot mix two orders."""
    sweep = replace(_from_start(run), ordered=False)
    state = replace(run.state, sweep=sweep, order_refuted_at=run.now())
    if page is None:
        saving.save_state(run, state)
    else:
        _save(run, page, sweep, state=state)


def _begin_again(run: Run, page: Page) -> None:
    sweep = _from_start(run)
    _save(run, page, replace(sweep, restarts=sweep.restarts + 1))


def _note_restart(run: Run, refused: TryLater) -> None:
    sweep = _from_start(run)
    sweep = replace(sweep, restarts=sweep.restarts + 1)
    saving.save_state(run, replace(run.state, sweep=sweep))
    run.note_restart("all referrals", sweep.restarts, refused)


def _refuse_empty_list(run: Run) -> None:
    unseen = run.store.unseen(limit=0)
    if unseen.present and not run.sweep.accepted:
        raise empty_list(unseen.present)


def _settle_unseen(run: Run) -> None:
    """Ask by id for stored rows that the sweep has not met; only a 404 makes them missing."""
    while True:
        unseen = run.store.unseen(limit=_IDS_AT_A_TIME)
        verdict = sweeping.judge_missing(
            present=unseen.present,
            open_=unseen.open,
            gone=unseen.gone,
            unclear=run.sweep.unclear,
            accepted=run.sweep.accepted,
        )
        if verdict is sweeping.Missing.MARK:
            saving.complete_sweep(run)
            return
        if verdict is sweeping.Missing.SHRANK:
            _wait_for_operator(run, unseen.open + unseen.gone + run.sweep.unclear, unseen.present)
        for referral_id in unseen.next_ids:
            if run.by_id_asked >= sweeping.BY_ID_PER_RUN:
                raise BudgetEnded(
                    f"{unseen.open} unseen referrals still have to be asked for by id. A run asks "
                    f"for at most {sweeping.BY_ID_PER_RUN}, the next goes on."
                )
            run.by_id_asked += 1
            _ask_by_id(run, referral_id)


def _ask_by_id(run: Run, referral_id: str) -> None:
    """Store what Partner Center says about one unseen row.

    An answer that is neither the referral nor a 404 concerns this row alone: the row stays as it
    is, and the sweep goes on. The next sweep asks again.
    """
    try:
        page = run.pages.by_id(referral_id)
        if page is None:
            run.store.note_gone(run.lease, [referral_id])
            return
        _save(run, page, run.sweep, asked_for=referral_id)
    except (FixSetting, TryLater) as error:
        if error.code not in _ABOUT_ONE_ROW:
            raise
        events.emit(
            "partner_center_referral_unclear",
            level=logging.WARNING,
            referral_id=referral_id,
            reason=error.code,
        )
        saving.note_unclear(run, referral_id)


def _wait_for_operator(run: Run, unseen: int, present: int) -> None:
    saving.save_state(
        run,
        replace(
            run.state,
            sweep=replace(run.sweep, phase="shrank"),
            shrank_at=run.now(),
            shrank_unseen=unseen,
            shrank_present=present,
        ),
    )
    events.emit(
        "partner_center_visibility_shrank", level=logging.ERROR, unseen=unseen, present=present
    )
    raise OperatorNeeded(
        f"Partner Center no longer shows {unseen} of {present} stored referrals. That looks like a "
        "role that sees less, so none of them was marked as missing. Check the role of the "
        "signed-in account; if they are really gone, accept it on the page or with "
        "`sync --accept-missing`.",
        code="visibility_shrank",
    )
