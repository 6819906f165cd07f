"""The port `sync.ports.Store` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import override

from pc_core.identity.account import SignInStatus
from pc_core.referral.tombstones import ErasureCount, Tombstones
from pc_core.store.faults import translated
from pc_core.store.pool import Connect, Database
from pc_core.store.writing import earlier, erasure, pages, purge, quarantine, walks
from pc_core.store.writing import lease as leases
from pc_core.store.writing import state as states
from pc_core.sync.plan import PagePlan, StoredRow
from pc_core.sync.ports import Held, Lease, QuarantineEntry, Store, Unseen, Walk
from pc_core.sync.report import Report
from pc_core.sync.state import SyncState


class PostgresStore(Store):
    """The database, as a run sees it."""

    def __init__(
        self, database: Database, *, remaining_s: Callable[[], float] | None = None
    ) -> None:
        self._database = database
        self._connect: Connect = partial(database.connection, remaining_s)

    @override
    def within(self, remaining_s: Callable[[], float]) -> PostgresStore:
        return PostgresStore(self._database, remaining_s=remaining_s)

    @override
    def take_lease(self, report: Report, *, holder: str, ttl_s: float) -> Lease | Held:
        with translated("take the lease"):
            return leases.take(self._connect, report, holder=holder, ttl_s=ttl_s)

    @override
    def keep_lease(self, lease: Lease) -> None:
        with translated("keep the lease"):
            leases.keep(self._connect, lease)

    @override
    def finish_run(self, lease: Lease, report: Report) -> None:
        with translated("write the end of the run"):
            leases.finish(self._connect, lease, report)

    @override
    def load_state(self) -> SyncState:
        with translated("read where the last run left off"), self._connect() as connection:
            return states.load_state(connection)

    @override
    def load_tombstones(self) -> Tombstones:
        with translated("read what was erased"):
            return states.load_tombstones(self._connect)

    @override
    def stored_rows(self, ids: Collection[str]) -> dict[str, StoredRow]:
        with translated("read the stored referrals"):
            return pages.stored_rows(self._connect, ids)

    @override
    def save_page(
        self,
        lease: Lease,
        plan: PagePlan,
        *,
        state: SyncState,
        report: Report,
        fetched_at: datetime,
        seen_in: Collection[Walk] = (),
    ) -> None:
        with translated("save a page"):
            pages.write(
                self._connect,
                lease,
                pages.PageWrite(
                    plan=plan,
                    state=state,
                    report=report,
                    fetched_at=fetched_at,
                    seen_in=seen_in,
                ),
            )

    @override
    def save_state(
        self, lease: Lease, *, state: SyncState, report: Report, forget: Collection[Walk] = ()
    ) -> None:
        with translated("save the run's progress"):
            walks.save_state(self._connect, lease, after=state, report=report, forget=forget)

    @override
    def not_read_above(
        self, stop_ticks: int, *, just_seen: Collection[str], among_swept: bool = False
    ) -> int:
        with translated("compare the head with what is stored"):
            return walks.not_read_above(
                self._connect, stop_ticks, just_seen=just_seen, among_swept=among_swept
            )

    @override
    def unseen(self, *, limit: int) -> Unseen:
        with translated("compare the sweep with what is stored"):
            return walks.unseen(self._connect, limit=limit)

    @override
    def note_gone(self, lease: Lease, ids: Collection[str]) -> None:
        with translated("note missing referrals"):
            walks.note_gone(self._connect, lease, ids)

    @override
    def mark_missing(self, lease: Lease, *, state: SyncState, report: Report) -> int:
        with translated("mark missing referrals"):
            return walks.mark_missing(self._connect, lease, after=state, report=report)

    @override
    def rows_after(self, after: str, *, limit: int) -> list[tuple[str, bytes]]:
        with translated("read stored referrals"):
            return pages.rows_after(self._connect, after, limit=limit)

    @override
    def open_quarantine(self, after_id: int, *, limit: int) -> list[QuarantineEntry]:
        with translated("read the quarantine"):
            return quarantine.open_entries(self._connect, after_id, limit=limit)

    @override
    def settle_quarantine(
        self,
        lease: Lease,
        plan: PagePlan,
        *,
        settled: Sequence[tuple[int, str]],
        removed: Collection[int] = (),
        reasons: Sequence[tuple[int, str, str | None, str]],
        report: Report,
        state: SyncState,
        fetched_at: datetime,
    ) -> None:
        # Other open entries of the same referral stay: they are replayed next, and may be newer.
        with translated("settle quarantine entries"):
            pages.write(
                self._connect,
                lease,
                pages.PageWrite(
                    plan=plan,
                    state=state,
                    report=report,
                    fetched_at=fetched_at,
                    close_understood=False,
                    settled=settled,
                    removed=removed,
                    reasons=reasons,
                ),
            )

    @override
    def purge(self, lease: Lease, *, older_than_days: int) -> int:
        with translated("purge old rows"):
            return purge.purge(self._connect, lease, older_than_days=older_than_days)

    @override
    def erase(
        self,
        lease: Lease,
        *,
        referral_ids: Collection[str] = (),
        domain: str | None = None,
        dry_run: bool,
    ) -> ErasureCount:
        with translated("erase"):
            return erasure.erase_stored(
                self._connect, lease, referral_ids=referral_ids, domain=domain, dry_run=dry_run
            )

    @override
    def save_sign_in(
        self, status: SignInStatus, *, unless_ok_after: datetime | None = None
    ) -> bool:
        with translated("save the sign-in state"):
            return states.save_sign_in(self._connect, status, unless_ok_after=unless_ok_after)

    @override
    def load_sign_in(self) -> SignInStatus | None:
        with translated("read the sign-in state"), self._connect() as connection:
            return states.load_sign_in(connection)

    @override
    def note_first_seen(self, seen: Mapping[str, datetime]) -> None:
        with translated("note when referrals were first seen"):
            earlier.note_first_seen(self._connect, seen)
