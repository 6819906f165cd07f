"""Encrypted blobs in the app's storage account, and the meaning of the storage's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
)
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pc_core.errors import FixSetting, TryLater
from pc_core.observe import calls

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient


class Keys(Protocol):
    """Where the encryption keys come from, newest first."""

    def __call__(self, *, again: bool) -> Sequence[str]:
        """The keys.

        Args:
            again: read them again instead of answering from memory; they may have been rotated.

        Raises:
            FixSetting: there is no key, or one has the wrong form.
            TryLater: the Key Vault is out of reach.
        """


def read_keys(text: str | None) -> tuple[str, ...]:
    """The keys in a setting or secret: one or several, separated by commas or blanks, newest first.

    Raises:
        FixSetting: `token_cache_key_missing`; `token_cache_key_invalid`: one is not a Fernet key.
            The message holds no value.
    """
    keys = tuple(part for part in re.split(r"[\s,]+", text or "") if part)
    how = (
        'Make one with `python -c "from cryptography.fernet import Fernet; '
        'print(Fernet.generate_key().decode())"` and set it as HUNTER_TOKEN_CACHE_KEY, or as the '
        "Key Vault's secret token-cache-key."
    )
    if not keys:
        raise FixSetting(
            f"There is no key for the token cache. {how}", code="token_cache_key_missing"
        )
    for place, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise FixSetting(
                f"Key {place} of {len(keys)} for the token cache is not 32 bytes in URL-safe "
                f"base64. The cache was left as it is. {how}",
                code="token_cache_key_invalid",
            ) from None
    return keys


def connect_container(
    name: str,
    *,
    connection_string: str | None = None,
    blob_uri: str | None = None,
    account: str | None = None,
    credential: TokenCredential | None = None,
) -> ContainerClient:
    """A client for one container of the app's storage account; sends nothing yet.

    Args:
        name: of the container.
        connection_string: as in `AzureWebJobsStorage`; Azurite's too.
        blob_uri: as in `AzureWebJobsStorage__blobServiceUri`.
        account: as in `AzureWebJobsStorage__accountName`; used without `blob_uri`.
        credential: of the app's identity; used without a connection string.

    Raises:
        FixSetting: `storage_misconfigured`: no account was given, or the connection string cannot
            be read.
    """
    from azure.storage.blob import BlobServiceClient

    patience: dict[str, Any] = {
        "retry_total": 2,
        "initial_backoff": 0.4,
        "increment_base": 2,
        "connection_timeout": 5,
        "read_timeout": 10,
    }
    if connection_string:
        try:
            service = BlobServiceClient.from_connection_string(connection_string, **patience)
        except ValueError:
            raise FixSetting(
                "AzureWebJobsStorage is not the connection string of a storage account. Correct "
                "it; nothing was changed.",
                code="storage_misconfigured",
            ) from None
        return service.get_container_client(name)
    if not blob_uri and not account:
        raise FixSetting(
            "No storage account is set: AzureWebJobsStorage, or AzureWebJobsStorage__accountName "
            "with an identity.",
            code="storage_misconfigured",
        )
    uri = blob_uri or f"https://{account}.blob.core.windows.net"
    return BlobServiceClient(uri, credential, **patience).get_container_client(name)


class BlobCipher:
    """Encrypts with the newest key and decrypts with any; raises what its keys raise."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def encrypt(self, content: bytes) -> bytes:
        """The content, encrypted with the newest key."""
        return self._fernet(again=False).encrypt(content)

    def decrypt(self, encrypted: bytes) -> bytes | None:
        """The content; None if no key fits, even after reading the keys again."""
        for again in (False, True):
            try:
                return self._fernet(again=again).decrypt(encrypted)
            except InvalidToken:
                continue
        return None

    def _fernet(self, *, again: bool) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self._keys(again=again)])


def create_if_missing(container: ContainerClient) -> None:
    """Create the container, unless it exists; use it inside `storage_errors`."""
    try:
        container.create_container()
    except ResourceExistsError:
        return


def write_if_unchanged(
    container: ContainerClient, name: str, content: bytes, etag: str | None
) -> str | None:
    """Write a blob that still has this ETag (None: that does not exist yet).

    Use it inside `storage_errors`.

    Returns:
        The new ETag; None if the blob has changed, and nothing was written.
    """
    blob = container.get_blob_client(name)
    try:
        if etag is None:
            written = blob.upload_blob(content, overwrite=False)
        else:
            written = blob.upload_blob(
                content, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
            )
    except (ResourceExistsError, ResourceModifiedError):
        return None
    return str(written["etag"])


@contextmanager
def storage_errors() -> Iterator[None]:
    """Count the call, and raise the storage library's errors as ours.

    Raises:
        FixSetting: `storage_denied` or `storage_container_missing`.
        TryLater: `storage_unavailable`.
    """
    try:
        with calls.calling("blob"):
            yield
    except ClientAuthenticationError as error:
        raise _denied(error) from None
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise _denied(error) from None
        if error.status_code == 404:
            raise FixSetting(
                "The token cache's container does not exist. Sign in once: that creates it.",
                code="storage_container_missing",
            ) from None
        raise _unavailable(error) from None
    except AzureError as error:
        raise _unavailable(error) from None


def _denied(error: AzureError) -> FixSetting:
    return FixSetting(
        f"The storage account refused access to the token cache ({_name(error)}). Give the app's "
        "identity the role Storage Blob Data Owner (or Contributor) on it, or correct "
        "AzureWebJobsStorage. Nothing was changed.",
        code="storage_denied",
    )


def _unavailable(error: AzureError) -> TryLater:
    return TryLater(
        f"The storage account with the token cache is out of reach ({_name(error)}). Nothing was "
        "changed; the next run tries again.",
        code="storage_unavailable",
    )


def _name(error: AzureError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or type(error).__name__)
