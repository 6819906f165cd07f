"""The app: what its triggers, routes and commands can do. `parts` says what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Lock
from typing import TYPE_CHECKING, Any

from pc_core import config
from pc_core.errors import FixSetting
from pc_core.sync.budget import Budget
from pc_core.sync.erase import erase_customer
from pc_core.sync.report import Mode, RunRequest, Trigger
from pc_core.sync.run import feature_disabled
from pc_core.wiring.parts import Parts, holder, now

if TYPE_CHECKING:
    from pc_core.health.readiness import Ready
    from pc_core.identity.sign_in import DeviceSignIn
    from pc_core.referral.tombstones import ErasureCount
    from pc_core.store.migrate import MigrationStatus
    from pc_core.store.reading.reader import PostgresReader
    from pc_core.sync.report import Report
    from pc_core.sync.takeover import Difference, Takeover


class App:
    """Everything the app can do.

    Args:
        settings: checked already.

    Every member raises FixSetting, naming the settings, where those that it needs are missing.
    """

    def __init__(self, settings: config.Settings) -> None:
        self.settings = settings
        self.parts = Parts(settings)

    def sync(
        self,
        *,
        trigger: Trigger,
        mode: Mode = "incremental",
        accept_missing: bool = False,
        invocation_id: str | None = None,
        budget_s: float | None = None,
    ) -> Report:
        """Do one run; see `sync.run.Sync.run`.

        Args:
            budget_s: seconds that it may take; None: the setting for runs without a caller.
        """
        request = RunRequest(
            trigger=trigger,
            mode=mode,
            accept_missing=accept_missing,
            invocation_id=invocation_id,
        )
        if not self.settings.enabled:
            return feature_disabled(request, now())
        if budget_s is None:
            budget_s = self.settings.run_budget.total_seconds()
        return self.parts.sync.run(request, Budget(budget_s))

    def replay_quarantine(
        self,
        *,
        trigger: Trigger,
        invocation_id: str | None = None,
        budget_s: float | None = None,
    ) -> Report:
        """Read the quarantine again, as a run of its own."""
        return self.sync(
            trigger=trigger, mode="replay", invocation_id=invocation_id, budget_s=budget_s
        )

    def erase(
        self, *, referral_ids: Collection[str], domain: str | None, dry_run: bool
    ) -> ErasureCount:
        """Erase a customer; see `sync.erase.erase_customer`. It needs the database alone."""
        return erase_customer(
            self.parts.store,
            referral_ids=referral_ids,
            domain=domain,
            dry_run=dry_run,
            holder=holder(),
            now=now,
        )

    def import_earlier(
        self, source_url: str, *, dry_run: bool, on_difference: Callable[[Difference], object]
    ) -> Takeover:
        """Take over the earlier system's table; see `sync.takeover.Import.run`.

        Args:
            source_url: libpq URL of the earlier database.
            on_difference: called with each row that differs.
        """
        from pc_core.store.pool import Database
        from pc_core.store.writing.earlier import EarlierTable
        from pc_core.sync.takeover import Import

        source = Database(source_url, max_size=1)
        try:
            return Import(
                store=self.parts.store,
                earlier=EarlierTable(source),
                own_domains=self.parts.own_domains,
                holder=holder(),
                now=now,
            ).run(dry_run=dry_run, tell=on_difference)
        finally:
            source.close()

    def upgrade_schema(self) -> list[str]:
        """Apply the pending migrations and return their revisions; see `store.migrate.upgrade`."""
        from pc_core.store import migrate

        return migrate.upgrade(self.parts.database_url, password=self.parts.database_password)

    def schema_status(self) -> MigrationStatus:
        """Which revision the database has, and which one this release expects."""
        from pc_core.store import migrate

        return migrate.status(self.parts.database_url, password=self.parts.database_password)

    def health(self) -> Ready:
        """Whether the app can do its work; the answer may be a few seconds old."""
        return self.parts.readiness.check()

    def status(self) -> dict[str, Any]:
        """How the sync stands, with instants as datetimes; no personal data."""
        from pc_core.health.status import status_of

        return status_of(self.reader.facts(), self.parts.expected, now())

    @property
    def reader(self) -> PostgresReader:
        """The stored referrals and runs."""
        return self.parts.reader

    @property
    def sign_in(self) -> DeviceSignIn:
        """The sign-in to Partner Center with a device code."""
        return self.parts.sign_in

    def operator_key(self) -> str | None:
        """The key that makes its caller an operator where App Service Authentication is off.

        None: there is none.

        Raises:
            FixSetting: `key_vault_denied`.
            TryLater: `key_vault_unavailable`.
        """
        if self.parts.key_vault is not None:
            try:
                return self.parts.key_vault.read("api-key")
            except FixSetting as error:
                if error.code == "key_vault_secret_missing":
                    return None
                raise
        key = self.settings.api_key
        return key.get_secret_value() if key else None

    def close(self) -> None:
        """Close every connection; a later use opens new ones."""
        self.parts.close()


_app: App | None = None
_building = Lock()


def worker_app() -> App:
    """The one app of this worker, built from its environment by the first call.

    Raises:
        FixSetting: naming every wrong setting.
    """
    global _app
    with _building:
        if _app is None:
            _app = App(config.load_settings())
        return _app
