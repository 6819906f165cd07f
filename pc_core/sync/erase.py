"""Erases a customer while no run is under way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from pc_core.observe import events
from pc_core.referral.tombstones import ErasureCount
from pc_core.sync.ports import Store
from pc_core.sync.under_lease import new_report, under_lease


def erase_customer(
    store: Store,
    *,
    referral_ids: Collection[str],
    domain: str | None,
    dry_run: bool,
    holder: str,
    now: Callable[[], datetime],
) -> ErasureCount:
    """Erase a customer's rows, history and quarantine; the run history shows it.

    It needs the database alone: nobody has to be signed in.

    Raises:
        AlreadyRunning: a run has the lease. Nothing was erased.
    """
    report = new_report("command", "erase", now=now())
    with under_lease(store, report, holder=holder, now=now) as opened:
        found = store.erase(opened.lease, referral_ids=referral_ids, domain=domain, dry_run=dry_run)
    events.emit("partner_center_erased", dry_run=dry_run, removed=found.to_json())
    return found
