"""Erases a customer while no run is under way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from pc_core.errors import (
    TryLater,
)
from pc_core.observe import events
from pc_core.referral.tombstones import ErasureCount
from pc_core.sync.ports import Held, Store
from pc_core.sync.report import Request, RunState
from pc_core.sync.under_lease import begun


def erase(
    store: Store,
    *,
    referral_ids: Collection[str],
    domain: str | None,
    dry_run: bool,
    lease_s: float,
    holder: str,
    now: Callable[[], datetime],
) -> ErasureCount:
    """Erase a customer while no run is under way; it shows in the run history.

    It needs the database alone: nobody has to be signed in for it.

    Raises:
        TryLater: `already_running`: a run has the lease.
    """
    report = replace(begun(Request(trigger="command"), now()), mode="erase")
    lease = store.take_lease(report, holder=holder, ttl_s=lease_s)
    if isinstance(lease, Held):
        raise TryLater(
            f"Run {lease.task_id} is under way. Nothing was erased; try again when it ended.",
            code="already_running",
        )
    state = RunState.FAILED
    try:
        found = store.erase(lease, referral_ids=referral_ids, domain=domain, dry_run=dry_run)
        state = RunState.COMPLETED
    finally:
        store.finish_run(lease, report.ended(state, at=now()))
    events.emit("partner_center_erased", dry_run=dry_run, removed=found.to_json())
    return found
