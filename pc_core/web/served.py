"""The app as the routes see it; `wiring.App` fulfils it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pc_core.reading import Reader

if TYPE_CHECKING:
    from pc_core.config import Settings
    from pc_core.health.readiness import Ready
    from pc_core.identity.account import PendingSignIn, SignInProgress
    from pc_core.sync.report import Mode, Report, Trigger


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
