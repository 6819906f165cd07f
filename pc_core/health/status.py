"""The status of the sync, as page and API show it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pc_core.errors import SignInState
from pc_core.health.alarms import Expected, alarms_of, is_late, level_of, sweep_is_overdue
from pc_core.health.facts import Facts
from pc_core.identity.account import SignInStatus
from pc_core.schedule import next_time


def status_of(facts: Facts, expected: Expected, now: datetime) -> dict[str, Any]:
    """A JSON object with datetimes and without personal data."""
    state, sign_in = facts.state, facts.sign_in
    found = alarms_of(facts, expected, now)
    last = state.last_success_at
    return {
        "now": now,
        "enabled": expected.enabled,
        "level": level_of(found),
        "alarms": [alarm.to_json() for alarm in found],
        "last_success_at": last,
        "lag_s": round((now - last).total_seconds()) if last else None,
        "next_due_at": next_time(expected.schedule, now),
        "missed": expected.enabled and is_late(facts, expected.schedule, now),
        "last_sweep_at": state.last_sweep_at,
        "sweep_overdue": sweep_is_overdue(facts, expected.full_sync_every, now),
        "sweep_under_way": state.sweep is not None,
        "sweep": (
            {
                "phase": state.sweep.phase,
                "received": state.sweep.received,
                "expected": facts.last_sweep_received,
            }
            if state.sweep
            else None
        ),
        "running": facts.running.to_json() if facts.running else None,
        "last_run": facts.last_run.to_json() if facts.last_run else None,
        "sign_in": _sign_in_json(sign_in, now),
        "counts": {
            "referrals": facts.referrals,
            "open": facts.open,
            "missing": facts.missing,
            "by_type": dict(facts.by_type),
            "by_status": dict(facts.by_status),
        },
        "drift": facts.drift,
        "quarantine": {"open": facts.quarantine},
        "visibility_shrank": (
            {"at": state.shrank_at, "unseen": state.shrank_unseen, "present": state.shrank_present}
            if state.shrank_at
            else None
        ),
        "order_verdict": state.order_verdict,
        "schema": {"current": facts.schema.current, "expected": facts.schema.expected},
    }


def _sign_in_json(sign_in: SignInStatus | None, now: datetime) -> dict[str, Any]:
    if sign_in is None:
        sign_in = SignInStatus(state=SignInState.SIGN_IN_NEEDED, reason_code="never_signed_in")
    renewed = sign_in.renewed_at
    return {
        "state": sign_in.state.value,
        "reason_code": sign_in.reason_code,
        "message": sign_in.message,
        "since_at": sign_in.since_at,
        "checked_at": sign_in.checked_at,
        "renewed_at": renewed,
        "refresh_token_age_s": round((now - renewed).total_seconds()) if renewed else None,
        "renewal_due": sign_in.renewal_due(now),
        "correlation_id": sign_in.correlation_id,
    }
