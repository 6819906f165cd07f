"""What the database knows about the sync, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pc_core.identity.account import SignInStatus
from pc_core.sync.report import Report
from pc_core.sync.state import SyncState


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The database's revision and the one that this code expects."""

    current: str | None
    expected: str
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database knows about the sync.

    Attributes:
        running: the current run; its lease is valid.
        last_run: the newest run that has ended.
        last_sync: the newest ended run that read from Partner Center. A replay or an erasure after
            a failed sync does not repair it, so it does not count here.
        first_run_at: start of the oldest stored run.
        drift: changed rows that only the last completed sweep found, and no head before it.
        quarantine: open entries.
        referrals: number of stored referrals; open: those that are New or Active and not missing;
            missing: those that Partner Center no longer lists.
        by_type, by_status: number of each; the empty name means no value.
        last_sweep_received: rows that the last completed sweep received, including the heads
            beside it. It estimates the next one. None: no sweep has completed.
    """

    schema: Schema
    state: SyncState
    sign_in: SignInStatus | None
    running: Report | None
    last_run: Report | None
    last_sync: Report | None
    first_run_at: datetime | None
    drift: int
    quarantine: int
    referrals: int
    open: int
    missing: int
    by_type: Mapping[str, int]
    by_status: Mapping[str, int]
    last_sweep_received: int | None = None
