"""What one run holds in its hands: lease, budget, state, and the page being saved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from pc_core.errors import (
    FixSetting,
    LinkRefused,
    OperatorNeeded,
    RowRefused,
)
from pc_core.observe import events
from pc_core.referral.referral import Referral
from pc_core.referral.ticks import from_ticks, to_ticks
from pc_core.sync import sweeping
from pc_core.sync.budget import Budget
from pc_core.sync.plan import Origin, PagePlan, Rules, make_plan
from pc_core.sync.ports import Lease, PartnerCenter, Store, Walk
from pc_core.sync.reading import Page, Pages
from pc_core.sync.report import Counts, Report
from pc_core.sync.saving import without
from pc_core.sync.state import SweepReason, SyncState

_DATE_GRAIN = timedelta(seconds=1)
"""A Date header is cut to the second: what it names may be nearly a second past it."""

_SWITCH_INTERVAL_S = 0.0005
"""How long a busy thread may keep the others from running: a tenth of Python's usual 5 ms.

One thread understands the next page while another hands this one to the database in pieces, and
after each piece would have to wait so long for its turn."""

_REFUSED_ROWS_BELIEVED = 10
"""So many odd rows may be on one page; more speak of a fault of ours, and setting a whole page
aside would make it look like success."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One run under its lease.

    `state` is always what the database holds: it is replaced only after a save.

    Attributes:
        overlap: how far behind the watermark a head reads.
        full_sync_every: how often a sweep begins.
        page_size: the `$top` to ask for; None: the server's own page.
        accept_missing: an operator has said that rows may be gone, however many.
        full_time_s: what the run may use when a walk keeps being cut off; None: no more than
            its budget, because a caller waits.
        now: aware UTC.
    """

    store: Store
    partner_center: PartnerCenter
    lease: Lease
    report: Report
    state: SyncState
    rules: Rules
    budget: Budget
    overlap: timedelta
    full_sync_every: timedelta
    page_size: int | None
    accept_missing: bool
    full_time_s: float | None
    now: Callable[[], datetime]
    _pages: Pages = field(init=False)
    _just_saved: frozenset[str] = frozenset()
    _by_id_asked: int = 0
    _switch_interval_s: float = field(default_factory=sys.getswitchinterval)

    def __post_init__(self) -> None:
        self._pages = Pages(
            partner_center=self.partner_center,
            stored_rows=self.store.stored_rows,
            rules=self.rules,
            budget=self.budget,
        )

    def __enter__(self) -> Self:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pages.close()
        sys.setswitchinterval(self._switch_interval_s)

    @property
    def top(self) -> int | None:
        """The `$top` to send: none while the server is known to take it as a total."""
        return None if sweeping.is_recent(self.state.top_caps_at, self.now()) else self.page_size

    def prove_access(self) -> None:
        """Ask for one referral, to learn whether Partner Center accepts the sign-in again.

        Raises:
            SignInNeeded: it does not.
        """
        self._pages.first(order=None, top=1)

    def first_page(self, *, order: str | None) -> Page:
        """Fetch the list's first page in the order asked for."""
        return self._pages.first(order=order, top=self.top)

    def next_page(self, link: str) -> Page:
        """Fetch the page behind a nextLink."""
        return self._pages.next(link)

    def fetch_ahead(self, link: str, *, build_rows: bool, to_the_end: bool) -> Future[Page]:
        """Begin to fetch a page while the one before it is being saved; see `Pages.ahead`."""
        return self._pages.ahead(link, build_rows=build_rows, to_the_end=to_the_end)

    def ask_by_id(self, referral_id: str) -> Page | None:
        """Fetch one referral; None if Partner Center does not know it (any more)."""
        return self._pages.by_id(referral_id)

    def save_page(
        self,
        page: Page,
        *,
        state: SyncState,
        seen_in: Collection[Walk] = (),
        drift_ticks: int | None = None,
        backfill: bool = False,
        asked_for: str | None = None,
    ) -> None:
        """Plan a page and commit it together with `state`.

        Rows seen while a sweep is open count as seen by it, whichever walk met them. A row that
        the database refuses is set aside, and the rest of its page is saved.

        Args:
            asked_for: the id that the page answers; it has been seen whatever the answer holds.

        Raises:
            FixSetting: the page belongs to another organization than the stored referrals.
        """
        state = self._same_organization(page, state)
        if self.state.sweep is not None:
            seen_in = {*seen_in, "sweep"}
        # The later of the two clocks: one that runs behind must not make fresh content look old.
        fetched_at = max(page.served_at or page.fetched_at, page.fetched_at)
        origin = Origin(
            fetched_ticks=to_ticks(fetched_at + _DATE_GRAIN),
            drift_ticks=drift_ticks,
            backfill=backfill,
        )
        items = page.items
        ids = frozenset(page.ids)
        stored = page.stored
        if stored is None or not ids.isdisjoint(self._just_saved):
            # Nobody has looked, or while the page before was still writing the same referrals.
            stored = self.store.stored_rows(ids)
        refused_rows = 0
        while True:
            plan = make_plan(items, stored, rules=self.rules, origin=origin, prepared=page.rows)
            if asked_for is not None and asked_for not in plan.erased:
                plan.seen.add(asked_for)
            report = self.counted(plan.counts, pages=1)
            try:
                self.store.save_page(
                    self.lease,
                    plan,
                    state=state,
                    report=report,
                    fetched_at=fetched_at,
                    seen_in=seen_in,
                )
            except RowRefused as refused:
                refused_rows += 1
                if refused_rows > _REFUSED_ROWS_BELIEVED:
                    raise _too_many_refused() from refused
                items = [without(item, refused) for item in items]
            else:
                break
        self._just_saved = ids
        self.saved(state, report, plan)
        self._say(plan)

    def saved(self, state: SyncState, report: Report, plan: PagePlan) -> None:
        """Take note that a plan was committed with this state and report."""
        self.state, self.report = state, report
        if plan.erased:
            tombstones = self.rules.tombstones.with_ids(plan.erased.values())
            self.rules = replace(self.rules, tombstones=tombstones)

    def save_state(self, state: SyncState, *, forget: Collection[Walk] = ()) -> None:
        """Commit a change of state that comes without rows."""
        self.store.save_state(self.lease, state=state, report=self.tallied(), forget=forget)
        self.state = state

    def open_sweep(
        self, reason: SweepReason, *, state: SyncState, forget: Collection[Walk] = ()
    ) -> None:
        """Commit `state` with a sweep opened in it."""
        opened = sweeping.open_sweep(
            state,
            reason,
            task_id=self.report.task_id,
            now=self.now(),
            overlap=self.overlap,
            accepted=self.accept_missing,
        )
        if opened.begins:
            forget = {*forget, "sweep"}
            events.emit("partner_center_sweep_opened", reason=reason)
        self.save_state(opened.state, forget=forget)

    def not_read_above(self, stop_ticks: int, *, just_seen: Collection[str]) -> int:
        """How many stored rows the head should have met and has not.

        While a shrunken view waits for an operator, rows that it hid say nothing about the order.
        """
        sweep = self.state.sweep
        return self.store.not_read_above(
            stop_ticks,
            just_seen=just_seen,
            among_swept=sweep is not None and sweep.phase == "shrank",
        )

    def tallied(self) -> Report:
        """The report with the requests made so far."""
        counts = self.report.counts
        counts.requests = self.partner_center.requests
        counts.retries = self.partner_center.retries
        watermark = self.state.watermark_ticks
        self.report = replace(
            self.report, watermark_at=None if watermark is None else from_ticks(watermark)
        )
        return self.report

    def note_restart(self, what: str, restarts: int, refused: LinkRefused) -> None:
        """Take note that a walk begins again because its link died.

        Raises:
            OperatorNeeded: it has happened too often.
        """
        events.emit("partner_center_walk_restarted", walk=what, restarts=restarts)
        if restarts >= sweeping.RESTARTS_BEFORE_FAILURE:
            raise cannot_finish(what, restarts) from refused
        self.grant_time(restarts)

    def grant_time(self, restarts: int) -> None:
        """Let a walk that keeps being cut off use all the time that the platform gives."""
        if self.full_time_s is not None and restarts >= sweeping.RESTARTS_BEFORE_FULL_TIME:
            self.budget.extend(self.full_time_s)

    def head_completed(self) -> None:
        """Note in the report that everything new has been read."""
        self.report = replace(self.report, head_completed_at=self.now())

    def sweep_completed(self) -> None:
        """Note in the report that everything has been read."""
        self.report = replace(self.report, sweep_completed_at=self.now())

    def may_ask_by_id(self, limit: int) -> bool:
        """Account for one more request by id; False when this run has made `limit` of them."""
        self._by_id_asked += 1
        return self._by_id_asked <= limit

    def counted(self, more: Counts, *, pages: int = 0) -> Report:
        """A report with these counts added; `report` stays as it is until they are saved."""
        counts = type(self.report.counts)()
        counts.add(self.report.counts)
        counts.add(more)
        counts.pages += pages
        counts.requests = self.partner_center.requests
        counts.retries = self.partner_center.retries
        return replace(self.report, counts=counts)

    def _same_organization(self, page: Page, state: SyncState) -> SyncState:
        met = [
            item.organization_id
            for item in page.items
            if isinstance(item, Referral) and item.organization_id
        ]
        if not met:
            return state
        if state.organization_id is None:
            return replace(state, organization_id=met[0])
        if state.organization_id not in met:
            raise FixSetting(
                "The referrals that Partner Center answers belong to another organization than "
                "the stored ones. Nothing of this page was written. Sign in with an account of "
                "the first organization, or use a database of its own for the second.",
                code="organization_mismatch",
            )
        return state

    def _say(self, plan: PagePlan) -> None:
        counts = plan.counts
        events.emit(
            "partner_center_page_saved",
            page=self.report.counts.pages,
            fetched=counts.fetched,
            inserted=counts.inserted,
            updated=counts.updated,
            unchanged=counts.unchanged,
            skipped=counts.skipped,
            quarantined=counts.quarantined,
        )
        for item in plan.quarantine:
            events.emit(
                "partner_center_referral_quarantined",
                level=30,
                referral_id=item.referral_id,
                reason=item.reason,
                field=item.field,
            )


def _too_many_refused() -> OperatorNeeded:
    return OperatorNeeded(
        f"The database refused more than {_REFUSED_ROWS_BELIEVED} rows of one page: that is not "
        "the rows' fault. Nothing of the page was written and no row was set aside. Compare the "
        "schema with this release (`python -m pc_core migrate --status`) and report it.",
        code="rows_refused",
    )


def cannot_finish(what: str, restarts: int) -> OperatorNeeded:
    """The error of a walk whose links die before it is through."""
    return OperatorNeeded(
        f"The walk over {what} had to begin again {restarts} times because Partner Center's "
        "links died before it was through. Everything read so far is saved. Give a run more "
        "time (HUNTER_PARTNER_CENTER_RUN_BUDGET) or ask for larger pages "
        "(HUNTER_PARTNER_CENTER_PAGE_SIZE).",
        code="walk_cannot_finish",
    )
