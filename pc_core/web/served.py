"""The app as the routes see it; `wiring.App` fulfils it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from pc_core.config import Settings
    from pc_core.health.alarms import Ready
    from pc_core.identity.sign_in import PendingSignIn, SignInProgress
    from pc_core.store.reading.companies import Company, CompanyFilter, CompanyPage, CompanySort
    from pc_core.store.reading.listing import ReferralFilter, ReferralPage, Sort
    from pc_core.store.reading.reader import (
        QuarantinePage,
        QuarantineState,
        ReferralDetail,
        RunPage,
        Statistics,
    )
    from pc_core.sync.report import Report
    from pc_core.sync.run import Mode, Trigger


class Reader(Protocol):
    """What is stored; `store.Reader` fulfils it.

    Every call raises TryLater or FixSetting; a foreign cursor is a ValueError.
    """

    def list_referrals(
        self,
        found: ReferralFilter | None = None,
        *,
        sort: Sort | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ReferralPage:
        """One page of a listing."""

    def get_referral(self, referral_id: str) -> ReferralDetail | None:
        """One referral with its history; None if it is not stored."""

    def get_company(self, domain: str) -> Company | None:
        """A customer's domain and its referrals; None if there are none."""

    def list_companies(
        self,
        found: CompanyFilter | None = None,
        *,
        sort: CompanySort | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> CompanyPage:
        """One page of the companies."""

    def statistics(self, now: datetime) -> Statistics:
        """Referrals by week and country."""

    def list_runs(self, *, cursor: str | None = None, limit: int = 20) -> RunPage:
        """Runs, newest first."""

    def get_run(self, task_id: str) -> Report | None:
        """One run; None if there is none on record."""

    def list_quarantine(
        self,
        *,
        state: QuarantineState | None = "open",
        cursor: str | None = None,
        limit: int = 50,
    ) -> QuarantinePage:
        """Entries, newest first."""


class SignIn(Protocol):
    """Device code sign-ins; `sign_in.SignIn` fulfils it."""

    def start(self) -> PendingSignIn:
        """Begin one."""

    def poll(self, flow_id: str, *, confirm_account: str | None = None) -> SignInProgress:
        """Go on with one as far as possible now."""


class App(Protocol):
    """The app's parts; asking for one whose settings are missing raises FixSetting."""

    @property
    def settings(self) -> Settings:
        """Checked already."""

    @property
    def reader(self) -> Reader:
        """What is stored."""

    @property
    def sign_in(self) -> SignIn:
        """The sign-in to Partner Center."""

    def operator_key(self) -> str | None:
        """The key that makes an operator where App Service Authentication is off."""

    def sync(
        self,
        *,
        trigger: Trigger,
        mode: Mode = "incremental",
        accept_missing: bool = False,
        invocation_id: str | None = None,
        budget_s: float | None = None,
    ) -> Report:
        """One run."""

    def replay_quarantine(
        self,
        *,
        trigger: Trigger,
        invocation_id: str | None = None,
        budget_s: float | None = None,
    ) -> Report:
        """Read the quarantine again, as a run of its own."""

    def health(self) -> Ready:
        """Whether the app can do its work; `health.Readiness` answers."""

    def status(self) -> dict[str, Any]:
        """How the sync stands; `health.describe` answers."""
