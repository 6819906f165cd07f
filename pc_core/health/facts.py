"""What the database knows about the sync, as data; health judges it."""

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
        running: the run at work; its lease is alive.
        last_run: the newest run that has ended.
        last_sync: the same of those that read from Partner Center: a replay or an erasure after a
            failed sync mends nothing of it.
        first_run_at: start of the oldest run on record.
        drift: rows that the last ended sweep found changed although no head had told.
        referrals: how many are stored; open: New or Active and present; missing: gone.
        by_type, by_status: how many of each; the empty name stands for none.
        last_sweep_received: rows that the last ended sweep received, the heads beside it included:
            about as many as the next one will; None: none has ended.
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
