"""Rows made anew from what we hold ourselves: after a change of rules, and out of quarantine."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from pc_core.errors import BudgetEnded, RowRefused
from pc_core.referral.read import Malformed, Referral, parse, restore_raw
from pc_core.referral.row import build_row
from pc_core.sync.context import Run, without
from pc_core.sync.plan import Origin, PagePlan, make_plan
from pc_core.sync.state import to_ticks

_ROWS_AT_A_TIME = 200


def recompute_rows(run: Run) -> None:
    """Derive every stored row again from its raw JSON, without asking Partner Center.

    A row whose domain comes out as an erased customer's is removed, and counted as skipped.

    Raises:
        BudgetEnded: the place to go on is stored.
    """
    while run.state.recompute_after is not None:
        if run.budget.remaining_s() <= 0:
            raise BudgetEnded
        rows = run.store.rows_after(run.state.recompute_after, limit=_ROWS_AT_A_TIME)
        stored = run.store.stored_rows({referral_id for referral_id, _ in rows})
        plan = PagePlan()
        for referral_id, raw in rows:
            referral = parse(raw)
            before = stored.get(referral_id)
            if isinstance(referral, Malformed) or before is None:
                continue
            row = build_row(referral, own_domains=run.rules.own_domains)
            if run.rules.tombstones.covers_domain(row.domain):
                plan.counts.fetched += 1
                plan.erase(referral_id, run.rules.tombstones)
                continue
            plan.updates[referral_id] = msgspec.structs.replace(
                row, pc_updated_ticks=before.updated_ticks
            )
        after = rows[-1][0] if len(rows) == _ROWS_AT_A_TIME else None
        plan.counts.recomputed = len(plan.updates)
        state, report = replace(run.state, recompute_after=after), run.counted(plan.counts)
        run.store.save_page(run.lease, plan, state=state, report=report, fetched_at=run.now())
        run.saved(state, report, plan)


def replay_quarantine(run: Run) -> None:
    """Read every open entry again with today's rules.

    An entry that can be understood now is stored where it is strictly newer than what is stored;
    an older one becomes `superseded`; one that still cannot be understood gets its new reason.

    One that proves to be an erased customer's is removed.

    Raises:
        BudgetEnded: what was replayed stays replayed.
    """
    after = 0
    while True:
        if run.budget.remaining_s() <= 0:
            raise BudgetEnded
        entries = run.store.open_quarantine(after, limit=_ROWS_AT_A_TIME)
        if not entries:
            return
        after = entries[-1].entry_id
        _settle(run, [(entry.entry_id, parse(restore_raw(entry.raw_text))) for entry in entries])


def _settle(run: Run, read: list[tuple[int, Referral | Malformed]]) -> None:
    """Store what is understood, and give the rest, what the database refuses too, its reason."""
    while True:
        understood = [(number, item) for number, item in read if isinstance(item, Referral)]
        plan = make_plan(
            [item for _, item in understood],
            run.store.stored_rows({item.referral_id for _, item in understood}),
            rules=run.rules,
            origin=Origin(kind="replay", fetched_ticks=to_ticks(run.now())),
        )
        still = [(number, item) for number, item in read if isinstance(item, Malformed)]
        plan.counts.fetched += len(still)
        plan.counts.quarantined += len(still)
        plan.understood.clear()
        gone = {
            number
            for number, item in understood
            if item.referral_id in plan.erased or run.rules.tombstones.covers_id(item.referral_id)
        }
        report = run.counted(plan.counts)
        try:
            run.store.settle_quarantine(
                run.lease,
                plan,
                settled=[
                    (number, "superseded" if item.referral_id in plan.superseded else "replayed")
                    for number, item in understood
                    if number not in gone
                ],
                removed=gone,
                reasons=[(number, item.reason, item.field, item.detail) for number, item in still],
                report=report,
                state=run.state,
                fetched_at=run.now(),
            )
        except RowRefused as refused:
            read = [(number, without(item, refused)) for number, item in read]
        else:
            run.saved(run.state, report, plan)
            return
