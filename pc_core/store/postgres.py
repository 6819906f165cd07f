"""`PostgresStore`: the database as a run sees it (the protocol `ports.Store`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from pc_core.identity.account import SignInStatus
from pc_core.referral.tombstones import ErasureCount, Tombstones
from pc_core.store.faults import translated
from pc_core.store.pool import Database
from pc_core.store.writing import earlier, erasure, pages, purge, quarantine, walks
from pc_core.store.writing import lease as leases
from pc_core.store.writing import state as states
from pc_core.sync.plan import PagePlan, StoredRow
from pc_core.sync.ports import Held, Lease, QuarantineEntry, Unseen, Walk
from pc_core.sync.report import Report
from pc_core.sync.state import SyncState


class PostgresStore:
    """`ports.Store` on PostgreSQL; see there for what each call promises and raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def within(self, remaining_s: Callable[[], float]) -> PostgresStore:
        """The same store, for a run whose time is limited."""
        return PostgresStore(self._database.within(remaining_s))

    def take_lease(self, report: Report, *, holder: str, ttl_s: float) -> Lease | Held:
        """Take the lease and open the run, or say who has it."""
        with translated("take the lease"):
            return leases.take(self._database, report, holder=holder, ttl_s=ttl_s)

    def keep_lease(self, lease: Lease) -> None:
        """Heartbeat."""
        with translated("keep the lease"):
            leases.keep(self._database, lease)

    def finish_run(self, lease: Lease, report: Report) -> None:
        """Write the run's end and give the lease back."""
        with translated("write the end of the run"):
            leases.finish(self._database, lease, report)

    def load_state(self) -> SyncState:
        """Where the last run left off."""
        with translated("read where the last run left off"):
            return states.load(self._database)

    def load_tombstones(self) -> Tombstones:
        """What was erased."""
        with translated("read what was erased"):
            return states.load_tombstones(self._database)

    def stored_rows(self, ids: Collection[str]) -> dict[str, StoredRow]:
        """What is stored of these referrals, by referral_id."""
        with translated("read the stored referrals"):
            return pages.stored_rows(self._database, ids)

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
        """Apply a page in one transaction."""
        with translated("save a page"):
            pages.write(
                self._database,
                lease,
                pages.PageWrite(
                    plan=plan,
                    state=state,
                    report=report,
                    fetched_at=fetched_at,
                    seen_in=seen_in,
                ),
            )

    def save_state(
        self, lease: Lease, *, state: SyncState, report: Report, forget: Collection[Walk] = ()
    ) -> None:
        """Write run progress and state; empty the seen ids of the walks in `forget`."""
        with translated("save the run's progress"):
            walks.save_state(self._database, lease, after=state, report=report, forget=forget)

    def not_read_above(
        self, stop_ticks: int, *, just_seen: Collection[str], among_swept: bool = False
    ) -> int:
        """How many stored, present rows changed at or after `stop_ticks` the head has missed."""
        with translated("compare the head with what is stored"):
            return walks.not_read_above(
                self._database, stop_ticks, just_seen=just_seen, among_swept=among_swept
            )

    def unseen(self, *, limit: int) -> Unseen:
        """What the ended sweep has not met."""
        with translated("compare the sweep with what is stored"):
            return walks.unseen(self._database, limit=limit)

    def note_gone(self, lease: Lease, ids: Collection[str]) -> None:
        """Remember that these unseen rows answered 404 by id."""
        with translated("note missing referrals"):
            walks.note_gone(self._database, lease, ids)

    def mark_missing(self, lease: Lease, *, state: SyncState, report: Report) -> int:
        """End the sweep; returns how many rows were newly marked as missing."""
        with translated("mark missing referrals"):
            return walks.mark_missing(self._database, lease, after=state, report=report)

    def rows_after(self, after: str, *, limit: int) -> list[tuple[str, bytes]]:
        """Stored rows as (referral_id, raw JSON) in id order."""
        with translated("read stored referrals"):
            return pages.rows_after(self._database, after, limit=limit)

    def open_quarantine(self, after_id: int, *, limit: int) -> list[QuarantineEntry]:
        """Entries that wait for a good version, in order of their numbers."""
        with translated("read the quarantine"):
            return quarantine.open_entries(self._database, after_id, limit=limit)

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
        """Apply a replay.

        Ids that the plan understood do not close further entries: those of the same referral are
        replayed in their turn, and may be newer.
        """
        with translated("settle quarantine entries"):
            pages.write(
                self._database,
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

    def purge(self, lease: Lease, *, older_than_days: int) -> int:
        """Delete runs, settled quarantine and history older than this."""
        with translated("purge old rows"):
            return purge.purge(self._database, lease, older_than_days=older_than_days)

    def erase(
        self,
        lease: Lease,
        *,
        referral_ids: Collection[str] = (),
        domain: str | None = None,
        dry_run: bool,
    ) -> ErasureCount:
        """Remove a customer's rows, history and quarantine and leave tombstones."""
        with translated("erase"):
            return erasure.erase(
                self._database, lease, referral_ids=referral_ids, domain=domain, dry_run=dry_run
            )

    def save_sign_in(
        self, status: SignInStatus, *, unless_ok_after: datetime | None = None
    ) -> bool:
        """Store the sign-in state; True if state or reason changed."""
        with translated("save the sign-in state"):
            return states.save_sign_in(self._database, status, unless_ok_after=unless_ok_after)

    def load_sign_in(self) -> SignInStatus | None:
        """The stored sign-in state; None if nobody ever signed in."""
        with translated("read the sign-in state"):
            return states.load_sign_in(self._database)

    def note_first_seen(self, seen: Mapping[str, datetime]) -> None:
        """Let these referrals count as first seen then, where that is earlier."""
        earlier.note_first_seen(self._database, seen)
