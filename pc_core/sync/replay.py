"""Reads the quarantine again after a fix."""

from __future__ import annotations

from pc_core.errors import BudgetEnded, RowRefused
from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.storable import restore_raw
from pc_core.referral.ticks import to_ticks
from pc_core.sync import saving
from pc_core.sync.context import Run
from pc_core.sync.plan import Origin, make_plan
from pc_core.sync.recompute import ROWS_AT_A_TIME
from pc_core.sync.saving import without


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
        entries = run.store.open_quarantine(after, limit=ROWS_AT_A_TIME)
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
        report = run.with_requests(plan.counts)
        try:
            run.store.settle_quarantine(
                run.lease,
                plan,
                settled=[
                    (number, "superseded" if place in plan.superseded else "replayed")
                    for place, (number, _) in enumerate(understood)
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
            saving.note_saved(run, run.state, report, plan)
            return
