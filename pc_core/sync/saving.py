"""Saves what a run has read: a page with its plan, or the state alone, each in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from pc_core.errors import FixSetting, OperatorNeeded, RowRefused
from pc_core.observe import events
from pc_core.referral.read import set_aside
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.ticks import to_ticks
from pc_core.sync import sweeping
from pc_core.sync.context import Run
from pc_core.sync.plan import Origin, PagePlan, make_plan
from pc_core.sync.ports import SWEEP, Walk
from pc_core.sync.reading import Page
from pc_core.sync.report import Report
from pc_core.sync.state import SweepReason, SyncState

_DATE_GRAIN = timedelta(seconds=1)
"""A Date header is cut to the second: the moment it names may be nearly a second later."""

_MOST_REFUSED_ROWS = 10
"""Of one page. More than that is a fault of ours, and setting a whole page aside would make it
look like success."""


def save_page(
    run: Run,
    page: Page,
    *,
    state: SyncState,
    seen_in: Collection[Walk] = (),
    drift_ticks: int | None = None,
    backfill: bool = False,
    asked_for: str | None = None,
) -> None:
    """Plan a page and commit it together with `state`.

    While a sweep is open, it counts every row as seen, whichever walk met it. A row that the
    database refuses is set aside, and the rest of its page is saved.

    Args:
        asked_for: the id that the page answers; it counts as seen whatever the answer holds.

    Raises:
        FixSetting: the page belongs to another organization than the stored referrals.
        OperatorNeeded: `rows_refused`: the database refused too many of the page's rows.
    """
    state = _same_organization(page, state)
    if run.state.sweep is not None:
        seen_in = {*seen_in, "sweep"}
    # The later of the two clocks: one that runs behind must not make fresh content look old.
    fetched_at = max(page.served_at or page.fetched_at, page.fetched_at)
    origin = Origin(
        fetched_ticks=to_ticks(fetched_at + _DATE_GRAIN),
        drift_ticks=drift_ticks,
        backfill=backfill,
    )
    items = page.items
    ids = frozenset(page.ids)
    stored = page.stored
    if stored is None or not ids.isdisjoint(run.just_saved):
        # Not looked up yet, or looked up while the page before was still writing these referrals.
        stored = run.store.stored_rows(ids)
    refused_rows = 0
    while True:
        plan = make_plan(items, stored, rules=run.rules, origin=origin, row_of=page.row_of)
        if asked_for is not None and asked_for not in plan.erased:
            plan.seen.add(asked_for)
        plan.counts.pages = 1
        report = run.with_requests(plan.counts)
        try:
            run.store.save_page(
                run.lease,
                plan,
                state=state,
                report=report,
                fetched_at=fetched_at,
                seen_in=seen_in,
            )
        except RowRefused as refused:
            refused_rows += 1
            if refused_rows > _MOST_REFUSED_ROWS:
                raise _too_many_refused() from refused
            items = [without(item, refused) for item in items]
        else:
            break
    run.just_saved = ids
    note_saved(run, state, report, plan)
    _report_page(run, plan)


def note_saved(run: Run, state: SyncState, report: Report, plan: PagePlan) -> None:
    """Update the run in memory after a commit."""
    run.state, run.report = state, report
    if plan.erased:
        tombstones = run.rules.tombstones.with_ids(plan.erased.values())
        run.rules = replace(run.rules, tombstones=tombstones)


def save_state(run: Run, state: SyncState, *, forget: Collection[Walk] = ()) -> None:
    """Commit a change of state that comes without rows.

    Args:
        forget: the walks whose seen ids are emptied with it.
    """
    report = run.with_requests()
    run.store.save_state(run.lease, state=state, report=report, forget=forget)
    run.state, run.report = state, report


def open_sweep(
    run: Run, reason: SweepReason, *, state: SyncState, forget: Collection[Walk] = ()
) -> None:
    """Commit `state` with a sweep opened in it."""
    after = _with_sweep(run, reason, state)
    if after.begins:
        forget = {*forget, "sweep"}
    save_state(run, after.state, forget=forget)
    if after.begins:
        events.emit("partner_center_sweep_opened", reason=reason)


def _with_sweep(run: Run, reason: SweepReason, state: SyncState) -> sweeping.WithSweep:
    return sweeping.with_sweep(
        state,
        reason,
        task_id=run.report.task_id,
        now=run.now(),
        overlap=run.options.overlap,
        top=run.top,
        accepted=run.accept_missing,
    )


def note_unclear(run: Run, referral_id: str) -> None:
    """Commit that the open sweep asked for this row by id and learned nothing."""
    plan = PagePlan(seen={referral_id})
    plan.counts.unclear = 1
    state = replace(run.state, sweep=replace(run.sweep, unclear=run.sweep.unclear + 1))
    report = run.with_requests(plan.counts)
    run.store.save_page(
        run.lease, plan, state=state, report=report, fetched_at=run.now(), seen_in=SWEEP
    )
    note_saved(run, state, report, plan)


def complete_sweep(run: Run) -> None:
    """Mark what the open sweep has not seen as missing, and end it, in one transaction.

    The sweep that has to follow is opened in the same transaction: a run that is killed must not
    forget the doubt that asks for it.
    """
    sweep = run.sweep
    now = run.now()
    state = replace(
        run.state,
        sweep=None,
        last_sweep_at=now,
        shrank_at=None,
        shrank_unseen=None,
        shrank_present=None,
    )
    report = replace(run.with_requests(), sweep_completed_at=now)
    if state.order_verdict != "proven":
        # The sweep stood in for a head whose order is not proven: everything has been read that
        # was there when the sweep began, which may be some runs ago.
        state = replace(state, last_success_at=sweep.started_at)
        report = replace(report, head_completed_at=sweep.started_at)
    if sweep.again:
        state = _with_sweep(run, "order_unproven", state).state
    marked = run.store.mark_missing(run.lease, state=state, report=report)
    report.counts.marked_missing += marked
    run.state, run.report = state, report
    events.emit("partner_center_sweep_completed", reason=sweep.reason, pages=sweep.pages)
    if sweep.again:
        events.emit("partner_center_sweep_opened", reason="order_unproven")


def without(item: Referral | Malformed, refused: RowRefused) -> Referral | Malformed:
    """The item, set aside if it is the one that the database has refused."""
    if isinstance(item, Referral) and item.referral_id == refused.referral_id:
        return set_aside(item, reason=refused.code, detail=str(refused))
    return item


def _same_organization(page: Page, state: SyncState) -> SyncState:
    met = [
        item.organization_id
        for item in page.items
        if isinstance(item, Referral) and item.organization_id
    ]
    if not met:
        return state
    if state.organization_id is None:
        return replace(state, organization_id=met[0])
    if state.organization_id not in met:
        raise FixSetting(
            "Partner Center's referrals belong to another organization than the stored ones. "
            "Nothing of this page was written. Sign in with an account of the first "
            "organization, or use a separate database for the second.",
            code="organization_mismatch",
        )
    return state


def _too_many_refused() -> OperatorNeeded:
    return OperatorNeeded(
        f"The database refused more than {_MOST_REFUSED_ROWS} rows of one page, so the rows are "
        "not at fault. Nothing of the page was written and no row was set aside. Compare the "
        "schema with this release (`python -m pc_core migrate --status`) and report it.",
        code="rows_refused",
    )


def _report_page(run: Run, plan: PagePlan) -> None:
    counts = plan.counts
    events.emit(
        "partner_center_page_saved",
        page=run.report.counts.pages,
        fetched=counts.fetched,
        inserted=counts.inserted,
        updated=counts.updated,
        unchanged=counts.unchanged,
        skipped=counts.skipped,
        quarantined=counts.quarantined,
    )
    for item in plan.quarantine:
        events.emit(
            "partner_center_referral_quarantined",
            level=logging.WARNING,
            referral_id=item.referral_id,
            reason=item.reason,
            field=item.field,
        )
