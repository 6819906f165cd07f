"""Secrets from Azure Key Vault, kept in memory for a few minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)

from pc_core.errors import FixSetting, PartnerCenterSyncError, TryLater
from pc_core.observe import calls

TOKEN_CACHE_KEY = "token-cache-key"  # noqa: S105 - the secret's name
API_KEY = "api-key"

_TROUBLE_KEPT_S = 10.0
"""So that callers whom nobody knows cannot make the app ask, and wait, once for each of them."""


class KeyVault:
    """Reads secrets by name.

    Args:
        vault_url: e.g. `https://name.vault.azure.net`.
        credential: the app's identity.
        keep_s: how long a value is answered from memory, in seconds.
        clock: monotonic seconds.
        options: passed on to azure-keyvault-secrets.
    """

    def __init__(
        self,
        vault_url: str,
        credential: TokenCredential,
        *,
        keep_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        from azure.keyvault.secrets import SecretClient

        patience = {"retry_total": 2, "connection_timeout": 5, "read_timeout": 10}
        self._client = SecretClient(vault_url, credential, **(patience | options))
        self._keep_s = keep_s
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}
        self._troubles: dict[str, tuple[PartnerCenterSyncError, float]] = {}
        self._lock = Lock()

    def read(self, name: str, *, again: bool = False) -> str:
        """A secret's value; the kept one also when the vault is out of reach.

        Args:
            name: of the secret.
            again: ask the vault even if the value is fresh: it may have been rotated.

        Raises:
            FixSetting: `key_vault_secret_missing` or `key_vault_denied`.
            TryLater: `key_vault_unavailable`, and no value is kept.
        """
        with self._lock:
            kept = self._kept.get(name)
            if kept and not again and self._clock() - kept[1] < self._keep_s:
                return kept[0]
            trouble = self._fresh_trouble(name)
            if trouble is not None and not again:
                return _kept_or_raise(kept, trouble)
            try:
                with calls.calling("key_vault"):
                    value = self._client.get_secret(name).value or ""
            except AzureError as error:
                trouble = _explain(error, name)
                self._troubles[name] = (trouble, self._clock())
                return _kept_or_raise(kept, trouble)
            self._kept[name] = (value, self._clock())
            self._troubles.pop(name, None)
            return value

    def _fresh_trouble(self, name: str) -> PartnerCenterSyncError | None:
        trouble, since_s = self._troubles.get(name, (None, 0.0))
        return trouble if self._clock() - since_s < _TROUBLE_KEPT_S else None

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()


def _kept_or_raise(kept: tuple[str, float] | None, trouble: PartnerCenterSyncError) -> str:
    if kept and isinstance(trouble, TryLater):
        return kept[0]
    raise trouble from None


def _explain(error: AzureError, name: str) -> PartnerCenterSyncError:
    if isinstance(error, ResourceNotFoundError):
        return FixSetting(
            f"The Key Vault has no secret {name}. Create it, or correct HUNTER_KEY_VAULT_URL.",
            code="key_vault_secret_missing",
        )
    refused = isinstance(error, HttpResponseError) and error.status_code in (401, 403)
    if refused or isinstance(error, ClientAuthenticationError):
        return FixSetting(
            f"The Key Vault refused to show the secret {name}. Give the app's identity the role "
            "Key Vault Secrets User on it, and check the vault's network rules.",
            code="key_vault_denied",
        )
    return TryLater(
        f"The Key Vault is out of reach, so the secret {name} could not be read. The next run "
        "tries again.",
        code="key_vault_unavailable",
    )
