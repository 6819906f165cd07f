"""One run, from the lease to its report: the story.

Timer, POST and command line all call `Sync.run`. Read on in `head` and `sweep` (which pages),
then in `reading`, `plan` and `saving` (what becomes of a page). The glossary is in `__init__`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from pc_core.identity.token import Tokens
from pc_core.observe import calls, events
from pc_core.sync import sweeping
from pc_core.sync.budget import Budget
from pc_core.sync.changes import notice_changes
from pc_core.sync.context import Options, Run
from pc_core.sync.head import read_head
from pc_core.sync.plan import Rules
from pc_core.sync.ports import PartnerCenter, Store
from pc_core.sync.reading import Pages, one_thread
from pc_core.sync.recompute import recompute_rows
from pc_core.sync.replay import replay_quarantine
from pc_core.sync.report import Report, RunRequest, RunState
from pc_core.sync.sign_in_watch import signed_in
from pc_core.sync.sweep import open_sweep_if_due, read_sweep
from pc_core.sync.under_lease import LEASE_S, AlreadyRunning, OpenRun, new_report, under_lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Everything a run needs, wired once.

    Attributes:
        partner_center: opens a client for one run.
        rules: filter settings and own domains; tombstones are added from the store.
        filters, made_with: what the settings and rules add to the fingerprint.
        tenant_id: whose account has to be signed in.
        holder: the name of this process in the lease.
        thread: makes the threads that read ahead.
    """

    store: Store
    tokens: Tokens
    partner_center: Callable[[], PartnerCenter]
    rules: Rules
    filters: str
    made_with: str
    tenant_id: str | None
    options: Options
    holder: str
    now: Callable[[], datetime]
    lease_s: float = LEASE_S
    thread: Callable[[str], Executor] = one_thread

    @calls.counting()
    def run(self, request: RunRequest, budget: Budget) -> Report:
        """Do one run and return how it ended. Expected troubles are run states, not exceptions.

        Raises:
            PartnerCenterSyncError: the run could not be opened (database, migration).
        """
        # No answer of the database is waited for beyond the budget.
        store = self.store.within(budget.remaining_s)
        report = new_report(
            request.trigger, request.mode, now=self.now(), invocation_id=request.invocation_id
        )
        try:
            opened = under_lease(
                store, report, holder=self.holder, now=self.now, lease_s=self.lease_s
            )
        except AlreadyRunning as other:
            return not_run(
                replace(report, task_id=other.task_id), RunState.ALREADY_RUNNING, self.now()
            )
        with events.context(
            task_id=report.task_id, trigger=request.trigger, invocation_id=request.invocation_id
        ):
            events.emit("partner_center_sync_started", mode=request.mode)
            # How the run ended, also by an error, stands in its report.
            with suppress(Exception), opened, self._begin(store, opened, request, budget) as run:
                if request.mode == "replay":
                    replay_quarantine(run)
                else:
                    self._sync(run, request)
            return _ended(opened.report)

    def _sync(self, run: Run, request: RunRequest) -> None:
        with signed_in(run, self.tokens, tenant_id=self.tenant_id) as account:
            notice_changes(run, account, filters=self.filters, made_with=self.made_with)
            run.grant_time(sweeping.restarts(run.state))
            if read_head(run):
                run.report = replace(run.report, head_completed_at=run.now())
            recompute_rows(run)
            open_sweep_if_due(run, asked=request.mode == "full")
            if run.state.sweep is not None and run.state.sweep.phase != "shrank":
                read_sweep(run)
                run.store.purge(run.lease, older_than_days=self.options.retention_days)

    def _begin(self, store: Store, opened: OpenRun, request: RunRequest, budget: Budget) -> Run:
        rules = replace(self.rules, tombstones=store.load_tombstones())
        return Run(
            store=store,
            opened=opened,
            pages=Pages(
                partner_center=self.partner_center(),
                stored_rows=store.stored_rows,
                rules=rules,
                budget=budget,
                requests=self.thread("partner-center"),
                read_ahead=self.thread("read-ahead"),
            ),
            state=store.load_state(),
            rules=rules,
            budget=budget,
            options=self.options,
            accept_missing=request.accept_missing,
            may_use_full_time=request.trigger.startswith("timer"),
            now=self.now,
        )


def _ended(report: Report) -> Report:
    if report.failure is not None:
        events.emit(
            "partner_center_sync_failed",
            level=logging.ERROR,
            code=report.failure.code,
            kind=report.failure.kind,
            message=report.failure.message,
        )
    return _summarised(report)


def _summarised(report: Report) -> Report:
    plain = report.to_json()
    error = plain.pop("error")
    events.emit(
        "partner_center_sync_summary",
        **plain,
        error_code=error["code"] if error else None,
        calls=calls.totals(),
    )
    return report


def not_run(report: Report, state: RunState, now: datetime) -> Report:
    """The report of a run that did not take place."""
    return _summarised(report.ended(state, at=now))


def feature_disabled(request: RunRequest, now: datetime) -> Report:
    """The report of a run that the feature flag holds back; it needs no other setting."""
    report = new_report(request.trigger, request.mode, now=now, invocation_id=request.invocation_id)
    return not_run(report, RunState.FEATURE_DISABLED, now)
