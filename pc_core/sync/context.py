"""What one run has at hand while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from pc_core.errors import OperatorNeeded, TryLater
from pc_core.observe import events
from pc_core.referral.ticks import from_ticks
from pc_core.sync import sweeping
from pc_core.sync.budget import Budget
from pc_core.sync.plan import Rules
from pc_core.sync.ports import Lease, Store
from pc_core.sync.reading import Pages
from pc_core.sync.report import Counts, Report
from pc_core.sync.state import Sweep, SyncState
from pc_core.sync.under_lease import OpenRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the settings say about every run.

    Attributes:
        overlap: how far behind the watermark a head reads.
        full_sync_every: how often a sweep begins.
        page_size: the `$top` to ask for; None: the server's own page.
        full_time_s: what a timer run may use while its walk keeps being cut off.
        retention_days: how long runs, closed quarantine and history are kept.
    """

    overlap: timedelta
    full_sync_every: timedelta
    page_size: int | None
    full_time_s: float
    retention_days: int


@dataclass(slots=True, kw_only=True)
class Run:
    """One run under its lease.

    `state` is always what the database holds: it is replaced only after a save.

    Attributes:
        accept_missing: an operator accepts that rows are gone, however many.
        may_use_full_time: nobody waits for the run, so that its budget may grow.
        now: aware UTC.
        just_saved: ids of the page saved last.
        by_id_asked: how many referrals were asked for by id.
    """

    store: Store
    opened: OpenRun
    pages: Pages
    state: SyncState
    rules: Rules
    budget: Budget
    options: Options
    accept_missing: bool
    may_use_full_time: bool
    now: Callable[[], datetime]
    just_saved: frozenset[str] = frozenset()
    by_id_asked: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pages.close()
        self.report = self.with_requests()

    @property
    def lease(self) -> Lease:
        """The right to write."""
        return self.opened.lease

    @property
    def report(self) -> Report:
        """What the run has done so far."""
        return self.opened.report

    @report.setter
    def report(self, report: Report) -> None:
        self.opened.report = report

    @property
    def sweep(self) -> Sweep:
        """The sweep that is open; asked for only while there is one."""
        if self.state.sweep is None:
            raise AssertionError("no sweep is open")
        return self.state.sweep

    @property
    def top(self) -> int | None:
        """The `$top` to send: none while the server is known to take it as a total."""
        is_total = sweeping.is_recent(self.state.top_caps_at, self.now())
        return None if is_total else self.options.page_size

    def with_requests(self, more: Counts | None = None) -> Report:
        """The report with the requests made so far, and with more counts; it is not replaced."""
        counts = Counts()
        counts.add(self.report.counts)
        if more is not None:
            counts.add(more)
        counts.requests = self.pages.partner_center.requests
        counts.retries = self.pages.partner_center.retries
        watermark = self.state.watermark_ticks
        return replace(
            self.report,
            counts=counts,
            watermark_at=None if watermark is None else from_ticks(watermark),
        )

    def note_restart(self, what: str, restarts: int, refused: TryLater) -> None:
        """Take note that a walk starts again because its link failed.

        Raises:
            OperatorNeeded: it has happened too often.
        """
        events.emit("partner_center_walk_restarted", walk=what, restarts=restarts)
        if restarts >= sweeping.RESTARTS_BEFORE_FAILURE:
            raise cannot_finish(what, restarts) from refused
        self.grant_time(restarts)

    def grant_time(self, restarts: int) -> None:
        """Let a walk that keeps being cut off use all the time that the platform gives."""
        if self.may_use_full_time and restarts >= sweeping.RESTARTS_BEFORE_FULL_TIME:
            self.budget.extend(self.options.full_time_s)


def cannot_finish(what: str, restarts: int) -> OperatorNeeded:
    """The error of a walk whose links keep dying before its end."""
    return OperatorNeeded(
        f"Reading {what} had to start again {restarts} times because Partner Center's paging "
        "links expired before the end of the list. Everything read so far is saved. Give a run "
        "more time (HUNTER_PARTNER_CENTER_RUN_BUDGET) or ask for larger pages "
        "(HUNTER_PARTNER_CENTER_PAGE_SIZE).",
        code="walk_cannot_finish",
    )
