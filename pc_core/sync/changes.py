"""Notices that account or settings differ from those that the stored rows were made with."""

from __future__ import annotations

from dataclasses import replace

from pc_core.errors import FixSetting
from pc_core.identity.account import Account
from pc_core.observe import events
from pc_core.sync import saving, sweeping
from pc_core.sync.context import Run
from pc_core.sync.ports import HEAD
from pc_core.sync.state import Fingerprint


def notice_changes(run: Run, account: Account, *, filters: str, made_with: str) -> None:
    """Compare account and settings with the stored fingerprint, and order what a change asks for.

    Changed filters or another account ask for a sweep, changed rules for recomputing the rows.

    Raises:
        FixSetting: `tenant_mismatch`: the stored referrals are another tenant's.
    """
    if run.state.tenant_id not in (None, account.tenant_id):
        raise FixSetting(
            "The stored referrals were read from another tenant. Nothing was read. Use a separate "
            "database for each tenant.",
            code="tenant_mismatch",
        )
    fingerprint = Fingerprint(filters=filters, rules=made_with, account=account.account_id)
    if run.state.fingerprint == fingerprint:
        return
    change = sweeping.fingerprint_change(run.state.fingerprint, fingerprint)
    state = replace(
        run.state,
        fingerprint=fingerprint,
        tenant_id=account.tenant_id,
        recompute_after="" if change.recompute else run.state.recompute_after,
    )
    if change.sweep:
        events.emit("partner_center_settings_changed")
        state = replace(state, head=None, shrank_at=None)
        saving.open_sweep(run, "settings_changed", state=state, forget=HEAD)
    else:
        saving.save_state(run, state)
