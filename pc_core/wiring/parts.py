"""What the app is made of: each part is built once per worker, when it is first used."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from threading import RLock
from typing import TYPE_CHECKING, Any, Self, overload

from pc_core.config import Settings
from pc_core.errors import FixSetting
from pc_core.sync.budget import Budget
from pc_core.sync.context import Options
from pc_core.sync.run import Sync

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from pc_core.health.alarms import Expected
    from pc_core.health.readiness import Readiness
    from pc_core.identity.account import Account
    from pc_core.identity.entra import EntraConnection
    from pc_core.identity.key_vault import KeyVault
    from pc_core.identity.sign_in import DeviceSignIn
    from pc_core.identity.token import TokenSource
    from pc_core.identity.token_cache import TokenCacheBlob
    from pc_core.identity.tokens import EntraTokens
    from pc_core.partner_center.client import PartnerCenterClient
    from pc_core.store.pool import Database
    from pc_core.store.postgres import PostgresStore
    from pc_core.store.reading.reader import PostgresReader
    from pc_core.sync.plan import Rules

_PROOF_S = 30.0
"""The longest that the API call may take with which a new sign-in is tried."""

_TIME_TO_END_S = 60.0
"""What a timer run leaves of functionTimeout, to end its last request and to write its report."""


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


def holder() -> str:
    """This process's name in the lease."""
    return f"{socket.gethostname()}:{os.getpid()}"


class _part[T](cached_property[T]):  # noqa: N801 - used as a decorator
    """A part that is built once, also when two threads use it first at the same time."""

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


class Parts:
    """The app's parts.

    Args:
        settings: checked already.

    Every part raises FixSetting, naming the settings, where those that it needs are missing.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.building = RLock()

    def close(self) -> None:
        """Close every connection; a later use builds new parts."""
        with self.building, ExitStack() as closing:
            for name in [name for name in self.__dict__ if name not in ("settings", "building")]:
                close = getattr(self.__dict__.pop(name), "close", None)
                if close is not None:
                    closing.callback(close)

    # The database

    @property
    def database_url(self) -> str:
        """The libpq URL; it may hold a password and is never printed."""
        if self.settings.database_url is None:
            raise _missing("HUNTER_DATABASE_URL")
        return self.settings.database_url.get_secret_value()

    @_part
    def database_password(self) -> Callable[[], str]:
        """Gives the database's password where the URL has none."""
        from pc_core.store.pool import entra_password

        return entra_password(self.settings.identity_client_id)

    @_part
    def database(self) -> Database:
        """The connection pool."""
        from pc_core.store.pool import Database

        return Database(self.database_url, password=self.database_password)

    @_part
    def store(self) -> PostgresStore:
        """What a run writes to."""
        from pc_core.store.postgres import PostgresStore

        return PostgresStore(self.database)

    @_part
    def reader(self) -> PostgresReader:
        """What the page and the API read from."""
        from pc_core.store.reading.reader import PostgresReader

        return PostgresReader(self.database)

    # The sign-in

    @_part
    def entra(self) -> EntraConnection:
        """The connection to Entra ID."""
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
    def credential(self) -> TokenCredential:
        """The app's own identity in Azure."""
        from pc_core.identity.credential import identity_credential

        return identity_credential(self.settings.identity_client_id)

    @_part
    def storage_credential(self) -> TokenCredential:
        """The identity for the storage account, which may be another one."""
        from pc_core.identity.credential import identity_credential

        return identity_credential(
            self.settings.storage_client_id or self.settings.identity_client_id
        )

    @_part
    def container(self) -> ContainerClient:
        """The blob container with the token cache and the sign-ins under way."""
        from pc_core.identity.blobs import connect_container

        settings = self.settings
        connection = settings.storage_connection
        return connect_container(
            settings.token_cache_path.partition("/")[0],
            connection_string=connection.get_secret_value() if connection else None,
            blob_uri=settings.storage_blob_uri,
            account=settings.storage_account,
            credential=None if connection else self.storage_credential,
        )

    @_part
    def key_vault(self) -> KeyVault | None:
        """The Key Vault; None: the secrets are settings."""
        if self.settings.key_vault_url is None:
            return None
        from pc_core.identity.key_vault import KeyVault

        return KeyVault(self.settings.key_vault_url, self.credential)

    @_part
    def token_cache(self) -> TokenCacheBlob:
        """The blob with MSAL's token cache."""
        from pc_core.identity.token_cache import TokenCacheBlob

        name = self.settings.token_cache_path.partition("/")[2]
        return TokenCacheBlob(lambda: self.container, name, self._keys)

    @_part
    def tokens(self) -> EntraTokens:
        """Access tokens from the saved sign-in."""
        from pc_core.identity.tokens import EntraTokens

        return EntraTokens(self.entra, self.token_cache, scope=self.settings.scope)

    @_part
    def sign_in(self) -> DeviceSignIn:
        """The sign-in with a device code."""
        from pc_core.identity.device_codes import EntraDeviceCodes
        from pc_core.identity.flows import FlowStore
        from pc_core.identity.sign_in import DeviceSignIn

        return DeviceSignIn(
            device_codes=EntraDeviceCodes(self.entra, scope=self.settings.scope),
            flows=FlowStore(lambda: self.container, self._keys),
            saved=self.tokens,
            prove=self._prove,
            known_account=self._known_account,
            save_status=self.store.save_sign_in,
        )

    def _keys(self, *, again: bool) -> Sequence[str]:
        from pc_core.identity.blobs import read_keys

        if self.key_vault is not None:
            return read_keys(self.key_vault.read("token-cache-key", again=again))
        key = self.settings.token_cache_key
        return read_keys(key.get_secret_value() if key else None)

    def _known_account(self) -> Account | None:
        status = self.store.load_sign_in()
        return status.account if status else None

    def _prove(self, tokens: TokenSource) -> None:
        """Read one referral, to show that these tokens give access."""
        api = self._partner_center(tokens)
        try:
            api.first_page(order=None, top=1, budget=Budget(_PROOF_S))
        finally:
            api.close()

    # The sync

    @_part
    def sync(self) -> Sync:
        """The sync."""
        settings = self.settings
        return Sync(
            store=self.store,
            tokens=self.tokens,
            partner_center=lambda: self._partner_center(self.tokens),
            rules=self._rules(),
            filters=_digest(settings.directions, settings.statuses, settings.excluded_substatuses),
            made_with=self._rules_made_with(),
            tenant_id=settings.tenant_id,
            options=Options(
                overlap=settings.overlap,
                full_sync_every=settings.full_sync_every,
                page_size=settings.page_size,
                full_time_s=settings.function_timeout.total_seconds() - _TIME_TO_END_S,
                retention_days=settings.retention_days,
            ),
            holder=holder(),
            now=now,
        )

    @property
    def own_domains(self) -> frozenset[str]:
        """The partner's own domains, in lower case."""
        return _lower(self.settings.own_domains) or frozenset()

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
            own_domains=self.own_domains,
        )

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
            retry=RetryPolicy(total_s=settings.retry_budget.total_seconds()),
            page_delay_s=settings.page_delay.total_seconds(),
        )

    # Its health

    @_part
    def expected(self) -> Expected:
        """What the settings let the alarms expect of the sync."""
        from pc_core.health.alarms import Expected

        settings = self.settings
        return Expected(
            enabled=settings.enabled,
            schedule=settings.sync_schedule,
            full_sync_every=settings.full_sync_every,
        )

    @_part
    def readiness(self) -> Readiness:
        """The readiness checks."""
        from pc_core.health.readiness import Readiness

        return Readiness(
            expected=self.expected,
            source=self.reader if self.settings.database_url else None,
            reach_storage=lambda: self.token_cache.etag(),
            now=now,
        )


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
