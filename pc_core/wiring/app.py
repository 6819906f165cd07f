"""Builds the real things from the settings, once per worker and only when they are needed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Self, overload

from pc_core import config
from pc_core.errors import FixSetting
from pc_core.identity.credential import identity_credential
from pc_core.sync.budget import Budget
from pc_core.sync.context import Options
from pc_core.sync.erase import erase_customer
from pc_core.sync.report import Mode, RunRequest, Trigger
from pc_core.sync.run import Sync, feature_disabled

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from pc_core.health.alarms import Expected
    from pc_core.health.readiness import Readiness, Ready
    from pc_core.identity.account import Account
    from pc_core.identity.entra import EntraConnection
    from pc_core.identity.key_vault import KeyVault
    from pc_core.identity.sign_in import SignIn
    from pc_core.identity.token import TokenSource
    from pc_core.identity.token_cache import TokenCacheBlob
    from pc_core.identity.tokens import EntraTokens
    from pc_core.partner_center.client import PartnerCenterClient
    from pc_core.referral.tombstones import ErasureCount
    from pc_core.store.pool import Database
    from pc_core.store.postgres import PostgresStore
    from pc_core.store.reading.reader import PostgresReader
    from pc_core.sync.plan import Rules
    from pc_core.sync.report import Report
    from pc_core.sync.takeover import Difference, Takeover

_PROOF_S = 30.0
"""How long the one API call that a new sign-in is tried with may take."""

_LAST_WORDS_S = 60.0
"""What a timer run leaves of functionTimeout for its last request and its end."""


def _now() -> datetime:
    return datetime.now(UTC)


def _holder() -> str:
    """This process's name in the lease."""
    return f"{socket.gethostname()}:{os.getpid()}"


class _part[T](cached_property[T]):  # noqa: N801 - used as a decorator
    """A part that is built once, also when two threads ask for it at the same time."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Self | T:
        if instance is None:
            return self
        with instance.building:
            part: T = super().__get__(instance, owner)
            return part


class App:
    """The app's parts, each built when it is first asked for.

    Args:
        settings: checked already.

    Asking for a part whose settings are missing raises FixSetting, naming them.
    """

    def __init__(self, settings: config.Settings) -> None:
        self.settings = settings
        self.building = RLock()

    # What triggers, routes and commands do

    def sync(
        self,
        *,
        trigger: Trigger,
        mode: Mode = "incremental",
        accept_missing: bool = False,
        invocation_id: str | None = None,
        budget_s: float | None = None,
    ) -> Report:
        """One run; see `sync.Sync.run`.

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
            return feature_disabled(request, _now())
        if budget_s is None:
            budget_s = self.settings.run_budget.total_seconds()
        return self._sync.run(request, Budget(budget_s))

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
            self.store,
            referral_ids=referral_ids,
            domain=domain,
            dry_run=dry_run,
            holder=_holder(),
            now=_now,
        )

    def import_earlier(
        self, source_url: str, *, dry_run: bool, tell: Callable[[Difference], object]
    ) -> Takeover:
        """Take over the earlier system's table; see `earlier.Import.run`.

        Args:
            source_url: libpq URL of the earlier database.
            tell: gets each row that differs.
        """
        from pc_core.store.pool import Database
        from pc_core.store.writing.earlier import EarlierTable
        from pc_core.sync.takeover import Import

        source = Database(source_url, max_size=1)
        try:
            return Import(
                store=self.store,
                earlier=EarlierTable(source),
                own_domains=_lower(self.settings.own_domains) or frozenset(),
                holder=_holder(),
                now=_now,
            ).run(dry_run=dry_run, tell=tell)
        finally:
            source.close()

    def health(self) -> Ready:
        """Whether the app can do its work; the answer may be a few seconds old."""
        return self._readiness.check()

    def status(self) -> dict[str, Any]:
        """How the sync stands, with instants as datetimes; no personal data."""
        from pc_core.health.status import status_of

        return status_of(self.reader.facts(), self._expected, _now())

    def close(self) -> None:
        """Give the connections back; a later call opens new ones."""
        if "database" in self.__dict__:
            self.database.close()

    def operator_key(self) -> str | None:
        """The key that makes an operator where App Service Authentication is off."""
        if self._key_vault is not None:
            try:
                return self._key_vault.read("api-key")
            except FixSetting as error:
                if error.code == "key_vault_secret_missing":
                    return None
                raise
        key = self.settings.api_key
        return key.get_secret_value() if key else None

    def database_url(self) -> str:
        """The libpq URL; it may hold a password and is never printed."""
        if self.settings.database_url is None:
            raise _missing("HUNTER_DATABASE_URL")
        return self.settings.database_url.get_secret_value()

    @_part
    def database_password(self) -> Any:
        """Where the database's password comes from when the URL has none."""
        from pc_core.store.pool import entra_password

        return entra_password(self.settings.identity_client_id)

    # Parts

    @_part
    def database(self) -> Database:
        """The connection pool."""
        from pc_core.store.pool import Database

        return Database(self.database_url(), password=self.database_password)

    @_part
    def store(self) -> PostgresStore:
        """The database, as a run sees it."""
        from pc_core.store.postgres import PostgresStore

        return PostgresStore(self.database)

    @_part
    def reader(self) -> PostgresReader:
        """The database, as the page sees it."""
        from pc_core.store.reading.reader import PostgresReader

        return PostgresReader(self.database)

    @_part
    def token_cache(self) -> TokenCacheBlob:
        """The blob with the MSAL cache."""
        from pc_core.identity.token_cache import TokenCacheBlob

        return TokenCacheBlob(
            lambda: self._container, self.settings.token_cache_path.partition("/")[2], self._keys
        )

    @_part
    def tokens(self) -> EntraTokens:
        """Silent sign-in."""
        from pc_core.identity.tokens import EntraTokens

        return EntraTokens(self._entra, self.token_cache, scope=self.settings.scope)

    @_part
    def sign_in(self) -> SignIn:
        """Signing in with a device code."""
        from pc_core.identity.device_codes import EntraDeviceCodes
        from pc_core.identity.flows import FlowStore
        from pc_core.identity.sign_in import SignIn

        return SignIn(
            device_codes=EntraDeviceCodes(self._entra, scope=self.settings.scope),
            flows=FlowStore(lambda: self._container, self._keys),
            saved=self.tokens,
            prove=self._prove,
            known_account=self._known_account,
            save_status=self.store.save_sign_in,
        )

    @_part
    def _sync(self) -> Sync:
        settings = self.settings
        return Sync(
            store=self.store,
            tokens=self.tokens,
            partner_center=lambda: self._partner_center(self.tokens),
            rules=self._rules,
            filters=_digest(settings.directions, settings.statuses, settings.excluded_substatuses),
            made_with=self._rules_made_with,
            tenant_id=settings.tenant_id,
            options=Options(
                overlap=settings.overlap,
                full_sync_every=settings.full_sync_every,
                page_size=settings.page_size,
                full_time_s=settings.function_timeout.total_seconds() - _LAST_WORDS_S,
                retention_days=settings.retention_days,
            ),
            holder=_holder(),
            now=_now,
        )

    @_part
    def _expected(self) -> Expected:
        from pc_core.health.alarms import Expected

        settings = self.settings
        return Expected(
            enabled=settings.enabled,
            schedule=settings.sync_schedule,
            full_sync_every=settings.full_sync_every,
        )

    @_part
    def _readiness(self) -> Readiness:
        from pc_core.health.readiness import Readiness

        return Readiness(
            expected=self._expected,
            source=self.reader if self.settings.database_url else None,
            reach_storage=lambda: self.token_cache.etag(),
            now=_now,
        )

    @_part
    def _rules(self) -> Rules:
        from pc_core.referral.admission import Admission
        from pc_core.sync.plan import Rules

        settings = self.settings
        return Rules(
            admission=Admission(
                directions=_lower(settings.directions),
                statuses=_lower(settings.statuses),
                excluded_substatuses=_lower(settings.excluded_substatuses) or frozenset(),
            ),
            own_domains=_lower(settings.own_domains) or frozenset(),
        )

    @_part
    def _rules_made_with(self) -> str:
        from pc_core.referral.domain_lists import list_versions
        from pc_core.referral.row import RULES_VERSION

        return _digest([str(RULES_VERSION), str(list_versions())], self.settings.own_domains)

    def _partner_center(self, tokens: TokenSource) -> PartnerCenterClient:
        from pc_core.partner_center.client import PartnerCenterClient
        from pc_core.partner_center.retry import RetryPolicy

        settings = self.settings
        return PartnerCenterClient(
            settings.api_url,
            tokens,
            request_timeout_s=settings.request_timeout.total_seconds(),
            retry=RetryPolicy(
                attempts=settings.retry_attempts, total_s=settings.retry_budget.total_seconds()
            ),
            page_delay_s=settings.page_delay.total_seconds(),
        )

    def _prove(self, tokens: TokenSource) -> None:
        """Read one referral, to show that these tokens may."""
        api = self._partner_center(tokens)
        try:
            api.first_page(order=None, top=1, budget=Budget(_PROOF_S))
        finally:
            api.close()

    @_part
    def _entra(self) -> EntraConnection:
        from pc_core.identity.entra import EntraConnection

        settings = self.settings
        if settings.client_id is None or settings.tenant_id is None:
            raise _missing("HUNTER_PARTNER_CENTER_CLIENT_ID", "HUNTER_PARTNER_CENTER_TENANT_ID")
        return EntraConnection(
            client_id=settings.client_id,
            tenant_id=settings.tenant_id,
            authority=settings.authority,
            instance_discovery=settings.instance_discovery,
        )

    @_part
    def _container(self) -> ContainerClient:
        from pc_core.identity.blobs import connect_container

        settings = self.settings
        connection = settings.storage_connection
        return connect_container(
            settings.token_cache_path.partition("/")[0],
            connection_string=connection.get_secret_value() if connection else None,
            blob_uri=settings.storage_blob_uri,
            account=settings.storage_account,
            credential=None if connection else self._storage_credential,
        )

    @_part
    def _key_vault(self) -> KeyVault | None:
        if self.settings.key_vault_url is None:
            return None
        from pc_core.identity.key_vault import KeyVault

        return KeyVault(self.settings.key_vault_url, self._credential)

    @_part
    def _credential(self) -> TokenCredential:
        return identity_credential(self.settings.identity_client_id)

    @_part
    def _storage_credential(self) -> TokenCredential:
        return identity_credential(
            self.settings.storage_client_id or self.settings.identity_client_id
        )

    def _keys(self, *, again: bool) -> Sequence[str]:
        from pc_core.identity.blobs import read_keys

        if self._key_vault is not None:
            return read_keys(self._key_vault.read("token-cache-key", again=again))
        key = self.settings.token_cache_key
        return read_keys(key.get_secret_value() if key else None)

    def _known_account(self) -> Account | None:
        status = self.store.load_sign_in()
        return status.account if status else None


def _lower(words: frozenset[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(word.lower() for word in words)


def _digest(*parts: Iterable[str] | None) -> str:
    """A short name for a combination of settings, the same in every process."""
    plain = ["*" if part is None else sorted(word.lower() for word in part) for part in parts]
    return sha256(repr(plain).encode()).hexdigest()[:16]


def _missing(*names: str) -> FixSetting:
    return FixSetting(
        f"Not set: {', '.join(names)}. Nothing was done. Add it to the app settings (locally: "
        "local.settings.json).",
        code="config_invalid",
    )


_app: App | None = None
_building = Lock()


def app() -> App:
    """The app of this worker, built from its environment when first asked for.

    Raises:
        FixSetting: naming every wrong setting.
    """
    global _app
    with _building:
        if _app is None:
            _app = App(config.load())
        return _app
