"""One run, from the lease to its report.

The story: lease, run row, token, head, sweep if one is due and time is left, report. The same
code serves timer, POST and command line. Read `plan` next: what happens to a page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    LeaseLost,
    PartnerCenterSyncError,
    SignInNeeded,
    SignInState,
)
from pc_core.identity.account import Account, SignInStatus
from pc_core.identity.token import Tokens
from pc_core.observe import calls, events
from pc_core.referral.tombstones import ErasureCount
from pc_core.sync import sweeping
from pc_core.sync.budget import Budget
from pc_core.sync.context import Run
from pc_core.sync.erase import erase
from pc_core.sync.head import read_head
from pc_core.sync.plan import Rules
from pc_core.sync.ports import HEAD, Held, Lease, PartnerCenter, Store
from pc_core.sync.recompute import recompute_rows
from pc_core.sync.replay import replay_quarantine
from pc_core.sync.report import Failure, FailureKind, Report, Request, RunState
from pc_core.sync.state import Fingerprint
from pc_core.sync.sweep import read_sweep
from pc_core.sync.under_lease import (
    Heartbeat,
    begun,
    failure_kind,
    failure_of,
    not_run,
    summary_fields,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Everything a run needs, wired once.

    Attributes:
        partner_center: opens a client for one run.
        rules: filter settings and own domains; tombstones are added from the store.
        filters, rules_made_with: the fingerprint's parts that the settings and rules contribute.
        tenant_id: whose account has to be signed in.
        lease_s: how long a silent run keeps others away.
        full_time_s: what a timer run may use when its walk keeps being cut off.
        holder: names this instance in the lease.
    """

    store: Store
    tokens: Tokens
    partner_center: Callable[[], PartnerCenter]
    rules: Rules
    filters: str
    rules_made_with: str
    tenant_id: str | None
    overlap: timedelta
    full_sync_every: timedelta
    page_size: int | None
    lease_s: float
    full_time_s: float
    retention_days: int
    holder: str
    now: Callable[[], datetime]

    def run(self, request: Request, budget: Budget) -> Report:
        """Do one run and say how it ended; expected troubles are states, not exceptions.

        Raises:
            PartnerCenterSyncError: the run could not even be opened (database, migration).
        """
        # No answer of the database is waited for beyond the budget either.
        bounded = replace(self, store=self.store.within(budget.remaining_s))
        with calls.counting():
            return bounded._run(request, budget)  # noqa: SLF001 - itself

    def _run(self, request: Request, budget: Budget) -> Report:
        report = begun(request, self.now())
        lease = self.store.take_lease(report, holder=self.holder, ttl_s=self.lease_s)
        if isinstance(lease, Held):
            return not_run(
                replace(report, task_id=lease.task_id), RunState.ALREADY_RUNNING, self.now()
            )
        with events.context(
            task_id=report.task_id,
            trigger=request.trigger,
            invocation_id=request.invocation_id,
        ):
            return self._run_under_lease(request, report, budget, lease)

    def erase(
        self, *, referral_ids: Collection[str], domain: str | None, dry_run: bool
    ) -> ErasureCount:
        """Erase a customer; see the function of this name."""
        return erase(
            self.store,
            referral_ids=referral_ids,
            domain=domain,
            dry_run=dry_run,
            lease_s=self.lease_s,
            holder=self.holder,
            now=self.now,
        )

    def _run_under_lease(
        self, request: Request, report: Report, budget: Budget, lease: Lease
    ) -> Report:
        events.emit("partner_center_sync_started", mode=request.mode)
        run: Run | None = None
        state, failure = RunState.COMPLETED, None
        try:
            with (
                Heartbeat(self.store, lease, every_s=self.lease_s / 4),
                self._open_run(request, report, budget, lease) as run,
            ):
                self._story(run, request)
        except BudgetEnded as ended:
            state = RunState.PARTIAL
            events.emit("partner_center_sync_budget_ended", reason=str(ended))
        except LeaseLost as lost:
            state, failure = RunState.INTERRUPTED, failure_of(FailureKind.TRY_LATER, lost)
        except PartnerCenterSyncError as error:
            state, failure = RunState.FAILED, failure_of(failure_kind(error), error)
        except Exception as bug:  # noqa: BLE001 - the run row must not stay open; logged with traceback
            state = RunState.FAILED
            failure = Failure(
                kind=FailureKind.BUG,
                code="unexpected_error",
                message=f"An unexpected {type(bug).__name__} ended the run. What was saved is "
                "safe; the log of this run has the details.",
            )
            events.emit("partner_center_sync_bug", level=logging.ERROR, exc_info=True)
        ended_report = (run.tallied() if run else report).ended(
            state, at=self.now(), failure=failure
        )
        return self._finish(lease, ended_report)

    def _open_run(self, request: Request, report: Report, budget: Budget, lease: Lease) -> Run:
        return Run(
            store=self.store,
            partner_center=self.partner_center(),
            lease=lease,
            report=report,
            state=self.store.load_state(),
            rules=replace(self.rules, tombstones=self.store.load_tombstones()),
            budget=budget,
            overlap=self.overlap,
            full_sync_every=self.full_sync_every,
            page_size=self.page_size,
            accept_missing=request.accept_missing,
            full_time_s=self.full_time_s if request.trigger.startswith("timer") else None,
            now=self.now,
        )

    def _story(self, run: Run, request: Request) -> None:
        if request.mode == "replay":
            replay_quarantine(run)
            return
        before = self.store.load_sign_in()
        asked_at = self.now()
        account = self._sign_in(before, asked_at)
        try:
            if before is not None and before.refused_by_api:
                run.prove_access()
            status = SignInStatus(
                state=SignInState.OK, account=account, renewed_at=self.tokens.renewed_at()
            )
            self._warn_of_age(status, asked_at=before.checked_at if before else None)
            asked_at = self.now()
            self._note_sign_in(status, at=asked_at)
            self._read(run, request, account)
        except SignInNeeded as needed:
            self._note_refusal(needed, by_api=True, asked_at=asked_at)
            raise

    def _read(self, run: Run, request: Request, account: Account) -> None:
        self._notice_changes(run, account)
        run.grant_time(sweeping.restarts(run.state))
        if read_head(run):
            run.head_completed()
        recompute_rows(run)
        self._open_sweep_if_due(run, request)
        sweep = run.state.sweep
        if sweep is not None and sweep.phase != "shrank":
            read_sweep(run, sweep)
            self.store.purge(run.lease, older_than_days=self.retention_days)

    def _sign_in(self, before: SignInStatus | None, asked_at: datetime) -> Account:
        """Get a token; while Partner Center is known to refuse it, nobody is asked."""
        if before is not None and before.waits(self.now()):
            raise SignInNeeded(
                before.message or "Partner Center refuses the saved sign-in. Sign in again.",
                state=before.state,
                code=before.reason_code or "api_unauthorized",
                correlation_id=before.correlation_id,
            )
        self.tokens.forget()
        try:
            return self.tokens.token().account
        except SignInNeeded as needed:
            self._note_refusal(needed, by_api=False, asked_at=asked_at)
            raise

    def _note_refusal(self, needed: SignInNeeded, *, by_api: bool, asked_at: datetime) -> None:
        """Store why a person is needed; not if one has signed in since we asked."""
        before = self.store.load_sign_in() or SignInStatus(state=needed.state)
        self._note_sign_in(
            replace(
                before,
                state=needed.state,
                reason_code=needed.code,
                message=str(needed),
                correlation_id=needed.correlation_id,
                refused_by_api=by_api,
            ),
            at=self.now(),
            unless_ok_after=asked_at,
        )

    def _note_sign_in(
        self, status: SignInStatus, *, at: datetime, unless_ok_after: datetime | None = None
    ) -> None:
        status = replace(status, checked_at=at, since_at=at)
        if self.store.save_sign_in(status, unless_ok_after=unless_ok_after):
            events.emit(
                "partner_center_sign_in_state_changed",
                level=logging.INFO if status.state is SignInState.OK else logging.ERROR,
                state=status.state,
                reason=status.reason_code,
                correlation_id=status.correlation_id,
            )

    def _warn_of_age(self, status: SignInStatus, *, asked_at: datetime | None) -> None:
        """Tell once a day that nothing renews the sign-in; what was told is known from storage."""
        now = self.now()
        if status.renewed_at is not None and status.warns_anew(now, asked_at=asked_at):
            events.emit(
                "partner_center_sign_in_renewal_due",
                level=logging.WARNING,
                days=(now - status.renewed_at).days,
                renewed_at=status.renewed_at,
            )

    def _notice_changes(self, run: Run, account: Account) -> None:
        """Compare account and settings with what the stored rows were made with."""
        if self.tenant_id is not None and account.tenant_id.lower() != self.tenant_id.lower():
            raise FixSetting(
                "The signed-in account belongs to another tenant than "
                "HUNTER_PARTNER_CENTER_TENANT_ID names. Nothing was read. Sign in with an "
                "account of that tenant, or correct the setting.",
                code="tenant_mismatch",
            )
        if run.state.tenant_id not in (None, account.tenant_id):
            raise FixSetting(
                "The stored referrals were read from another tenant. Nothing was read. Use a "
                "database of its own for each tenant.",
                code="tenant_mismatch",
            )
        fingerprint = Fingerprint(
            filters=self.filters, rules=self.rules_made_with, account=account.account_id
        )
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
            run.open_sweep("settings_changed", state=state, forget=HEAD)
        else:
            run.save_state(state)

    def _open_sweep_if_due(self, run: Run, request: Request) -> None:
        parked = run.state.sweep
        if request.accept_missing and parked is not None and parked.phase == "shrank":
            run.save_state(
                replace(
                    run.state,
                    sweep=replace(parked, phase="checking", accepted=True),
                    shrank_at=None,
                )
            )
            return
        reason = sweeping.sweep_reason(
            run.state,
            asked=request.mode == "full" or request.accept_missing,
            now=self.now(),
            every=self.full_sync_every,
        )
        if reason is not None and (
            parked is None or parked.phase == "shrank" or run.accept_missing
        ):
            run.open_sweep(reason, state=run.state)

    def _finish(self, lease: Lease, report: Report) -> Report:
        if report.state is not RunState.INTERRUPTED:
            try:
                self.store.finish_run(lease, report)
            except PartnerCenterSyncError as error:
                report = report.ended(
                    RunState.INTERRUPTED if isinstance(error, LeaseLost) else RunState.FAILED,
                    at=self.now(),
                    failure=report.failure or failure_of(failure_kind(error), error),
                )
        if report.failure is not None:
            events.emit(
                "partner_center_sync_failed",
                level=logging.ERROR,
                code=report.failure.code,
                kind=report.failure.kind,
                message=report.failure.message,
            )
        events.emit("partner_center_sync_summary", **summary_fields(report))
        return report


def feature_disabled(request: Request, now: datetime) -> Report:
    """The report of a run that the feature flag holds back; it needs no other setting."""
    return not_run(begun(request, now), RunState.FEATURE_DISABLED, now)
