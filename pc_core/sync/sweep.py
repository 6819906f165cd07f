"""The sweep: every referral, oldest first, in as many runs as it takes.

Offset paging in the order of creation loses nothing when rows change. What a sweep has seen is
kept in the database, so memory stays flat and a killed run goes on where it was.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from pc_core.errors import BudgetEnded, LinkRefused, OperatorNeeded, OrderRefused
from pc_core.observe import events
from pc_core.sync import order, sweeping
from pc_core.sync.context import Run
from pc_core.sync.order import empty_list, pages_repeat
from pc_core.sync.ports import SWEEP
from pc_core.sync.reading import Page
from pc_core.sync.state import Sweep, SyncState

_IDS_AT_A_TIME = 10


def read_sweep(run: Run, sweep: Sweep) -> None:
    """Go on with the open sweep until it is complete, and with the one that has to follow it.

    Raises:
        BudgetEnded: the place to go on is stored.
        OperatorNeeded: `visibility_shrank`: too many rows are gone; `walk_cannot_finish`.
    """
    if sweep.phase == "reading":
        _read_all(run, sweep)
    _settle_unseen(run)
    if run.state.sweep is not None:
        read_sweep(run, run.state.sweep)


def _read_all(run: Run, sweep: Sweep) -> None:
    guard = order.LoopGuard()
    page = _enter(run, sweep)
    while True:
        sweep = _current(run)
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
        elif page.next_link is None and order.is_capped(received=received, top=run.top):
            events.emit("partner_center_top_caps_result", level=logging.WARNING)
            capped = replace(run.state, top_caps_at=run.now())
            _save(run, page, _from_start(sweep), state=capped)
        else:
            place = replace(
                sweep,
                next_link=page.next_link,
                last_ticks=last_ticks,
                received=received,
                pages=sweep.pages + 1,
            )
            if page.next_link is None:
                _save(run, page, replace(place, phase="checking"))
                return
            ahead = run.fetch_ahead(
                page.next_link, build_rows=sweep.drift_ticks is None, to_the_end=True
            )
            _save(run, page, place)
            try:
                page = ahead.result()
                continue
            except LinkRefused as refused:
                _note_restart(run, refused)
        page = _enter(run, _current(run))
        guard = order.LoopGuard()


def _enter(run: Run, sweep: Sweep) -> Page:
    """The page to go on with: the stored place, or the list's beginning."""
    if sweep.next_link is not None:
        try:
            return run.next_page(sweep.next_link)
        except LinkRefused as refused:
            _note_restart(run, refused)
    try:
        return run.first_page(order=order.OLDEST_FIRST if sweep.ordered else None)
    except OrderRefused:
        _give_order_up(run, None)
        return run.first_page(order=None)


def _current(run: Run) -> Sweep:
    if run.state.sweep is None:
        raise AssertionError("a sweep is read only while it is open")
    return run.state.sweep


def _from_start(sweep: Sweep) -> Sweep:
    return replace(sweep, next_link=None, last_ticks=None, received=0)


def _save(
    run: Run,
    page: Page,
    sweep: Sweep,
    *,
    state: SyncState | None = None,
    asked_for: str | None = None,
) -> None:
    run.save_page(
        page,
        state=replace(state or run.state, sweep=sweep),
        seen_in=SWEEP,
        drift_ticks=sweep.drift_ticks,
        backfill=sweep.drift_ticks is None,
        asked_for=asked_for,
    )


def _give_order_up(run: Run, page: Page | None) -> None:
    """Walk again in the server's own order: asked for nothing, it can at least not mix two."""
    sweep = replace(_from_start(_current(run)), ordered=False)
    state = replace(run.state, sweep=sweep, order_refuted_at=run.now())
    if page is None:
        run.save_state(state)
    else:
        _save(run, page, sweep, state=state)


def _begin_again(run: Run, page: Page) -> None:
    sweep = _from_start(_current(run))
    _save(run, page, replace(sweep, restarts=sweep.restarts + 1))


def _note_restart(run: Run, refused: LinkRefused) -> None:
    sweep = _from_start(_current(run))
    sweep = replace(sweep, restarts=sweep.restarts + 1)
    run.save_state(replace(run.state, sweep=sweep))
    run.note_restart("all referrals", sweep.restarts, refused)


def _refuse_empty_list(run: Run) -> None:
    unseen = run.store.unseen(limit=0)
    if unseen.present and not _current(run).accepted:
        raise empty_list(unseen.present)


def _settle_unseen(run: Run) -> None:
    """Ask by id for stored rows that the sweep has not met; only a 404 makes them missing."""
    while True:
        unseen = run.store.unseen(limit=_IDS_AT_A_TIME)
        verdict = sweeping.judge_missing(
            present=unseen.present,
            open_=unseen.open,
            gone=unseen.gone,
            accepted=_current(run).accepted,
        )
        if verdict is sweeping.Missing.MARK:
            _complete(run)
            return
        if verdict is sweeping.Missing.SHRANK:
            _wait_for_operator(run, unseen.open + unseen.gone, unseen.present)
        for referral_id in unseen.next_ids:
            if not run.may_ask_by_id(sweeping.BY_ID_PER_RUN):
                raise BudgetEnded(
                    f"{unseen.open} unseen referrals remain to be asked for by id; a run asks "
                    f"for at most {sweeping.BY_ID_PER_RUN}, the next goes on."
                )
            page = run.ask_by_id(referral_id)
            if page is None:
                run.store.note_gone(run.lease, [referral_id])
            else:
                _save(run, page, _current(run), asked_for=referral_id)


def _wait_for_operator(run: Run, unseen: int, present: int) -> None:
    run.save_state(
        replace(
            run.state,
            sweep=replace(_current(run), phase="shrank"),
            shrank_at=run.now(),
            shrank_unseen=unseen,
            shrank_present=present,
        )
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


def _complete(run: Run) -> None:
    sweep = _current(run)
    now = run.now()
    state = replace(
        run.state,
        sweep=None,
        last_sweep_at=now,
        shrank_at=None,
        shrank_unseen=None,
        shrank_present=None,
    )
    report = replace(run.tallied(), sweep_completed_at=now)
    if state.order_verdict != "proven":
        # It stood in for a head that could not be relied on: everything has been read that was
        # there when it began, which may have been some runs ago.
        state = replace(state, last_success_at=sweep.started_at)
        report = replace(report, head_completed_at=sweep.started_at)
    marked = run.store.mark_missing(run.lease, state=state, report=report)
    run.state, run.report = state, report
    run.report.counts.marked_missing += marked
    events.emit("partner_center_sweep_completed", reason=sweep.reason, pages=sweep.pages)
    if sweep.again:
        run.open_sweep("order_unproven", state=state)
