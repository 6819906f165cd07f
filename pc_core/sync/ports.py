"""What a run needs of the outside world; the adapters fulfil it without knowing the run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from pc_core.identity.account import SignInStatus
from pc_core.referral.tombstones import ErasureCount, Tombstones
from pc_core.sync.budget import Budget
from pc_core.sync.plan import PagePlan, StoredRow
from pc_core.sync.report import Report
from pc_core.sync.state import SyncState

Walk = Literal["head", "sweep"]
HEAD: tuple[Walk, ...] = ("head",)
SWEEP: tuple[Walk, ...] = ("sweep",)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """One answer of the list call.

    Attributes:
        items: each referral's exact JSON text, UTF-8.
        next_link: the raw query to go on with, for our own path; None on the last page.
        served_at: the answer's `Date`; None if it had none that could be read.
        fetched_at: when it arrived, by our clock.
    """

    items: list[bytes]
    next_link: str | None
    served_at: datetime | None
    fetched_at: datetime


class PartnerCenter(Protocol):
    """The referrals API, one request at a time.

    Attributes:
        requests: HTTP requests sent so far, retries included.
        retries: how many of them repeated an earlier one.

    Every call raises SignInNeeded, FixSetting (403, 400), TryLater, InvalidResponse, BudgetEnded.
    """

    requests: int
    retries: int

    def first_page(self, *, order: str | None, top: int | None, budget: Budget) -> FetchedPage:
        """The list from its beginning.

        Args:
            order: `$orderby`, e.g. `updatedDateTime desc`; None: do not send it.
            top: `$top`; None: do not send it.

        Raises:
            OrderRefused: 400 while an order was asked for.
        """

    def next_page(self, link: str, *, budget: Budget) -> FetchedPage:
        """The page behind a `next_link`.

        Raises:
            LinkRefused: 400, 404 or 410: the link has died.
        """

    def referral(self, referral_id: str, *, budget: Budget) -> FetchedPage | None:
        """One referral as a page of one item; None if Partner Center answers 404."""

    def close(self) -> None:
        """Give the connection back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write, until somebody else has it.

    Attributes:
        fence: grows with every holder; checked inside every transaction.
    """

    task_id: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The lease is somebody else's: the run that has it, and until when."""

    task_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Stored, present rows that an ended sweep has not met.

    Attributes:
        present: rows that count as present in all.
        open: unseen and not asked for by id yet.
        gone: unseen, and 404 by id.
        next_ids: some of the open ones, oldest id first.
    """

    present: int
    open: int
    gone: int
    next_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineEntry:
    """One row set aside: its number and its content as escaped text."""

    entry_id: int
    raw_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRow:
    """A row of the earlier system's table.

    Attributes:
        raw: the referral's JSON as it was kept; None: there is none.
        columns: all other columns, by name.
        seen_at: when that system first stored it.
    """

    referral_id: str
    raw: str | None
    columns: Mapping[str, Any]
    seen_at: datetime


class Earlier(Protocol):
    """The earlier system's table."""

    def check(self) -> None:
        """See that it is there.

        Raises:
            FixSetting: it is not, or is not the earlier one.
        """

    def rows(self, after: str, *, limit: int) -> list[EarlierRow]:
        """The next rows with an id above `after`, in the order of their ids."""


class Store(Protocol):
    """The database, as a run sees it.

    Every call raises TryLater (`database_unavailable`) or FixSetting (`migration_missing`,
    `database_denied`); calls with a lease raise LeaseLost and then have written nothing.
    """

    def within(self, remaining_s: Callable[[], float]) -> Store:
        """The same store for a run with a budget.

        Args:
            remaining_s: seconds that are left; no answer is waited for much longer.
        """

    def take_lease(self, report: Report, *, holder: str, ttl_s: float) -> Lease | Held:
        """Take the lease if it is free or has expired by the database's clock, and open the run.

        One transaction: a run whose lease had expired becomes `interrupted`; `report` becomes
        the new run's row.
        """

    def keep_lease(self, lease: Lease) -> None:
        """Heartbeat: move the expiry to `ttl_s` from now."""

    def finish_run(self, lease: Lease, report: Report) -> None:
        """Write the run's end and give the lease back, in one transaction.

        The state stays as it was last saved: where that answer was lost, only the database knows
        whether it is.
        """

    def load_state(self) -> SyncState:
        """Where the last run left off; an empty SyncState in a new database."""

    def load_tombstones(self) -> Tombstones:
        """What was erased."""

    def stored_rows(self, ids: Collection[str]) -> dict[str, StoredRow]:
        """What is stored of these referrals, by referral_id."""

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
        """Apply a page in one transaction.

        Rows, history, quarantine (new entries, and those that `understood` closes), seen ids of
        the walks named, run progress and state commit together or not at all. What is stored of
        referrals in `erased` is removed, and their tombstones written.

        Raises:
            RowRefused: the database refuses one row; nothing was written.
        """

    def save_state(
        self, lease: Lease, *, state: SyncState, report: Report, forget: Collection[Walk] = ()
    ) -> None:
        """Write run progress and state; empty the seen ids of the walks in `forget`."""

    def not_read_above(
        self, stop_ticks: int, *, just_seen: Collection[str], among_swept: bool = False
    ) -> int:
        """How many stored, present rows with a change at or after `stop_ticks` the head missed.

        Missed are those neither among its seen ids nor in `just_seen`.

        Args:
            among_swept: count only rows that the open sweep has met.
        """

    def unseen(self, *, limit: int) -> Unseen:
        """What the ended sweep has not met; `next_ids` has at most `limit` ids."""

    def note_gone(self, lease: Lease, ids: Collection[str]) -> None:
        """Remember that these unseen rows answered 404 by id."""

    def mark_missing(self, lease: Lease, *, state: SyncState, report: Report) -> int:
        """End the sweep and return how many rows were newly marked.

        Rows noted as gone get `missing_since` (with history), the sweep's seen ids are emptied,
        state and progress written; the run's row counts what was marked.
        """

    def rows_after(self, after: str, *, limit: int) -> list[tuple[str, bytes]]:
        """Stored rows as (referral_id, raw JSON) in id order, to be recomputed."""

    def open_quarantine(self, after_id: int, *, limit: int) -> list[QuarantineEntry]:
        """Entries that wait for a good version, in order of their numbers."""

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
        """Apply a replay in one transaction.

        The plan's rows are written, the entries in `settled` (number and `replayed` or
        `superseded`) closed, those in `removed` deleted, and `reasons` (number, reason, field,
        detail) renewed for those that still cannot be understood.
        """

    def purge(self, lease: Lease, *, older_than_days: int) -> int:
        """Delete runs, closed quarantine and history older than this; returns how many rows."""

    def erase(
        self,
        lease: Lease,
        *,
        referral_ids: Collection[str] = (),
        domain: str | None = None,
        dry_run: bool,
    ) -> ErasureCount:
        """Remove a customer's rows, history and quarantine, and leave tombstones."""

    def save_sign_in(
        self, status: SignInStatus, *, unless_ok_after: datetime | None = None
    ) -> bool:
        """Store the sign-in state; True if it changed, or why it is not `ok`. Needs no lease.

        Args:
            unless_ok_after: leave the stored one as it is, if it became `ok` later than this:
                somebody has signed in meanwhile.
        """

    def load_sign_in(self) -> SignInStatus | None:
        """The stored sign-in state; None if nobody ever signed in."""

    def note_first_seen(self, seen: Mapping[str, datetime]) -> None:
        """Let these referrals count as first seen then, where that is earlier."""
