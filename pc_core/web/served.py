"""The app as the routes see it; `wiring.App` fulfils it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pc_core.config import Settings
    from pc_core.health.readiness import Ready
    from pc_core.identity.account import PendingSignIn, SignInProgress
    from pc_core.reading import Reader
    from pc_core.sync.report import Mode, Report, Trigger


class SignIns(Protocol):
    """Device code sign-ins."""

    def start(self) -> PendingSignIn:
        """Start one."""

    def poll(self, flow_id: str, *, confirm_account: str | None = None) -> SignInProgress:
        """Continue one as far as possible now."""


class ServedApp(Protocol):
    """The app's parts; each raises FixSetting where a setting of it is missing."""

    @property
    def settings(self) -> Settings:
        """Validated settings."""

    @property
    def reader(self) -> Reader:
        """The stored data."""

    @property
    def sign_in(self) -> SignIns:
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
        """Run a sync."""

    def replay_quarantine(
        self,
        *,
        trigger: Trigger,
        invocation_id: str | None = None,
        budget_s: float | None = None,
    ) -> Report:
        """Read the quarantine again, as a run of its own."""

    def health(self) -> Ready:
        """Whether the app can do its work."""

    def status(self) -> dict[str, Any]:
        """The status of the sync; `health.status.describe`."""
