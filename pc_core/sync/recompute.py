"""Rows made anew from what we hold ourselves: after a change of rules, and out of quarantine."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from pc_core.errors import BudgetEnded
from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed
from pc_core.referral.row import build_row
from pc_core.sync import saving
from pc_core.sync.context import Run
from pc_core.sync.plan import PagePlan

ROWS_AT_A_TIME = 200


def recompute_rows(run: Run) -> None:
    """Derive every stored row again from its raw JSON, without asking Partner Center.

    A row whose domain comes out as an erased customer's is removed, and counted as skipped.

    Raises:
        BudgetEnded: the place to go on is stored.
    """
    while run.state.recompute_after is not None:
        if run.budget.remaining_s() <= 0:
            raise BudgetEnded
        rows = run.store.rows_after(run.state.recompute_after, limit=ROWS_AT_A_TIME)
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
                plan.skip_erased(referral_id, run.rules.tombstones)
                continue
            plan.updates[referral_id] = msgspec.structs.replace(
                row, pc_updated_ticks=before.updated_ticks
            )
        after = rows[-1][0] if len(rows) == ROWS_AT_A_TIME else None
        plan.counts.recomputed = len(plan.updates)
        state, report = replace(run.state, recompute_after=after), run.with_requests(plan.counts)
        run.store.save_page(run.lease, plan, state=state, report=report, fetched_at=run.now())
        saving.note_saved(run, state, report, plan)
