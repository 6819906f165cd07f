"""Secrets from Azure Key Vault, kept in memory for a few minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)

from pc_core.errors import FixSetting, PartnerCenterSyncError, TryLater
from pc_core.observe import calls

_VALUE_KEPT_S = 300.0
_FAILURE_KEPT_S = 10.0
"""So that requests without a valid key cannot make the app ask, and wait, once for each of them."""


class KeyVault:
    """Reads secrets by name.

    Args:
        vault_url: e.g. `https://name.vault.azure.net`.
        credential: the app's identity.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        vault_url: str,
        credential: TokenCredential,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from azure.keyvault.secrets import SecretClient

        self._client = SecretClient(
            vault_url, credential, retry_total=2, connection_timeout=5, read_timeout=10
        )
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}
        self._failures: dict[str, tuple[PartnerCenterSyncError, float]] = {}
        self._lock = Lock()

    def read(self, name: str, *, again: bool = False) -> str:
        """A secret's value. While the vault is out of reach, the last known value.

        Args:
            name: of the secret.
            again: ask the vault even if the value is fresh; it may have been rotated.

        Raises:
            FixSetting: `key_vault_secret_missing` or `key_vault_denied`.
            TryLater: `key_vault_unavailable`, and no value is known.
        """
        with self._lock:
            kept = self._kept.get(name)
            if kept and not again and self._clock() - kept[1] < _VALUE_KEPT_S:
                return kept[0]
            failure = self._fresh_failure(name)
            if failure is not None and not again:
                return _kept_or_raise(kept, failure)
            try:
                with calls.calling("key_vault"):
                    value = self._client.get_secret(name).value or ""
            except AzureError as error:
                failure = _explain(error, name)
                self._failures[name] = (failure, self._clock())
                return _kept_or_raise(kept, failure)
            self._kept[name] = (value, self._clock())
            self._failures.pop(name, None)
            return value

    def _fresh_failure(self, name: str) -> PartnerCenterSyncError | None:
        failure, since_s = self._failures.get(name, (None, 0.0))
        return failure if self._clock() - since_s < _FAILURE_KEPT_S else None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _kept_or_raise(kept: tuple[str, float] | None, failure: PartnerCenterSyncError) -> str:
    if kept and isinstance(failure, TryLater):
        return kept[0]
    raise failure from None


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
