"""The token cache in Blob Storage: one blob, encrypted, changed only by compare and swap.

Beside it lie the sign-ins under way, so that any instance can go on with them, and copies of what
a finished sign-in replaced. Nothing here ever leaves the process unencrypted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pc_core import telemetry
from pc_core.errors import FixSetting, SignInNeeded, SignInState, TryLater

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

FLOW_FOLDER = "sign-in-flows"
_FLOW_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
_STALE_FLOW = timedelta(hours=1)
_REPLACE_ATTEMPTS = 5


class Keys(Protocol):
    """Where the encryption keys come from, newest first."""

    def __call__(self, *, again: bool) -> Sequence[str]:
        """The keys; `again`: do not answer from memory, they may have been rotated.

        Raises:
            FixSetting: there is none, or one has the wrong form.
            TryLater: the Key Vault is out of reach.
        """


def read_keys(text: str | None) -> tuple[str, ...]:
    """The keys of a setting or secret: one or several, by commas or blanks, newest first.

    Raises:
        FixSetting: there is none, or one is no Fernet key; the message holds no value.
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


def new_key() -> str:
    """A fresh key in the form that `read_keys` takes."""
    return Fernet.generate_key().decode("ascii")


def connect_container(
    name: str,
    *,
    connection_string: str | None = None,
    blob_uri: str | None = None,
    account: str | None = None,
    client_id: str | None = None,
    credential: TokenCredential | None = None,
) -> ContainerClient:
    """A client for one container of the app's storage account; sends nothing yet.

    Args:
        name: of the container.
        connection_string: as in `AzureWebJobsStorage`; Azurite's too.
        blob_uri: as in `AzureWebJobsStorage__blobServiceUri`.
        account: as in `AzureWebJobsStorage__accountName`; used without `blob_uri`.
        client_id: of the user-assigned identity; None: the system-assigned one.
        credential: instead of the identity.

    Raises:
        FixSetting: neither was given, or the connection string cannot be read.
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
                "AzureWebJobsStorage is no connection string of a storage account. Correct it; "
                "nothing was changed.",
                code="storage_misconfigured",
            ) from None
        return service.get_container_client(name)
    if not blob_uri and not account:
        raise FixSetting(
            "No storage account is set: AzureWebJobsStorage, or AzureWebJobsStorage__accountName "
            "with an identity.",
            code="storage_misconfigured",
        )
    if credential is None:
        from azure.identity import ManagedIdentityCredential

        credential = ManagedIdentityCredential(client_id=client_id)
    uri = blob_uri or f"https://{account}.blob.core.windows.net"
    return BlobServiceClient(uri, credential, **patience).get_container_client(name)


class TokenCacheBlob:
    """The blob with the token cache.

    Args:
        container: makes (or returns) the container's client; asked when first needed.
        name: the blob's name.
        keys: newest first; the first one encrypts, all of them decrypt.
        now: aware UTC, for the names of copies.

    Every call raises TryLater (`storage_unavailable`) or FixSetting (`storage_denied`, or a key's
    codes).
    """

    def __init__(
        self,
        container: Callable[[], ContainerClient],
        name: str,
        keys: Keys,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._name = name
        self._seal = _Seal(keys)
        self._now = now

    def load(self) -> tuple[bytes, str] | None:
        """The decrypted content and the ETag to save with; None if there is no blob yet.

        Raises:
            SignInNeeded: `token_cache_unreadable`; the blob stays where and as it is.
        """
        found = self._download()
        if found is None:
            return None
        sealed, etag = found
        content = self._seal.open(sealed)
        if content is None:
            raise SignInNeeded(
                "The token cache cannot be decrypted with the current keys. It was left untouched: "
                "if a key was rotated, put the old one behind the new one in "
                "HUNTER_TOKEN_CACHE_KEY (or the Key Vault's secret token-cache-key); otherwise "
                "sign in again.",
                state=SignInState.SIGN_IN_NEEDED,
                code="token_cache_unreadable",
            )
        return content, etag

    def etag(self) -> str | None:
        """The blob's ETag by now; None if there is none. Also shows that the storage answers."""
        with _storage_errors():
            try:
                return str(self._container().get_blob_client(self._name).get_blob_properties().etag)
            except ResourceNotFoundError:
                return None

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        """Write if the blob still has this ETag (None: if there is no blob).

        Returns:
            The new ETag; None if somebody else was faster, and nothing was written.
        """
        sealed = self._seal.close(content)
        with _storage_errors():
            return _write(self._container(), self._name, sealed, etag)

    def replace(self, content: bytes) -> str:
        """Write whatever is there, after copying that aside as `<name>.replaced-<time>`.

        Creates the container where it is missing. Returns the new ETag.
        """
        sealed = self._seal.close(content)
        with _storage_errors():
            container = self._container()
            _create(container)
            for _ in range(_REPLACE_ATTEMPTS):
                found = self._download()
                if found is not None:
                    copy = f"{self._name}.replaced-{self._now():%Y%m%dT%H%M%S.%fZ}"
                    container.upload_blob(copy, found[0], overwrite=True)
                etag = _write(container, self._name, sealed, found[1] if found else None)
                if etag is not None:
                    return etag
        raise TryLater(
            "The token cache changed each time it was about to be replaced. Try again.",
            code="storage_unavailable",
        )

    def _download(self) -> tuple[bytes, str] | None:
        with _storage_errors():
            try:
                download = self._container().download_blob(self._name)
                return download.readall(), str(download.properties.etag)
            except ResourceNotFoundError:
                return None


class FlowStore:
    """Sign-ins under way, encrypted, each with an ETag for compare and swap.

    Raises what `TokenCacheBlob` raises.
    """

    def __init__(
        self,
        container: Callable[[], ContainerClient],
        keys: Keys,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._seal = _Seal(keys)
        self._now = now

    def load(self, flow_id: str) -> tuple[dict[str, Any], str] | None:
        """A flow's record and its ETag; None if there is none that can be read."""
        if not _FLOW_ID.fullmatch(flow_id):
            return None
        with _storage_errors():
            try:
                download = self._container().download_blob(f"{FLOW_FOLDER}/{flow_id}")
                sealed, etag = download.readall(), str(download.properties.etag)
            except ResourceNotFoundError:
                return None
        content = self._seal.open(sealed)
        return None if content is None else (json.loads(content), etag)

    def save(self, flow_id: str, record: Mapping[str, Any], *, etag: str | None) -> str | None:
        """Write if the flow still has this ETag (None: if it is new); None: somebody was faster.

        Creates the container where it is missing.
        """
        sealed = self._seal.close(json.dumps(record).encode("utf-8"))
        with _storage_errors():
            container = self._container()
            if etag is None:
                _create(container)
            return _write(container, f"{FLOW_FOLDER}/{flow_id}", sealed, etag)

    def delete(self, flow_id: str) -> None:
        """Forget a flow; it may be gone already."""
        if not _FLOW_ID.fullmatch(flow_id):
            return
        with _storage_errors():
            try:
                self._container().delete_blob(f"{FLOW_FOLDER}/{flow_id}")
            except ResourceNotFoundError:
                return

    def delete_stale(self) -> None:
        """Forget every flow that nobody has touched for an hour: it has expired long since."""
        with _storage_errors():
            container = self._container()
            try:
                for blob in container.list_blobs(name_starts_with=f"{FLOW_FOLDER}/"):
                    if self._now() - blob.last_modified > _STALE_FLOW:
                        self.delete(blob.name.rpartition("/")[2])
            except ResourceNotFoundError:
                return


class _Seal:
    """Encrypts with the newest key, decrypts with any."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def close(self, content: bytes) -> bytes:
        return self._fernet(again=False).encrypt(content)

    def open(self, sealed: bytes) -> bytes | None:
        """The content; None if no key fits, after the keys were read once more."""
        for again in (False, True):
            try:
                return self._fernet(again=again).decrypt(sealed)
            except InvalidToken:
                continue
        return None

    def _fernet(self, *, again: bool) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self._keys(again=again)])


def _create(container: ContainerClient) -> None:
    try:
        container.create_container()
    except ResourceExistsError:
        return


def _write(container: ContainerClient, name: str, sealed: bytes, etag: str | None) -> str | None:
    blob = container.get_blob_client(name)
    try:
        if etag is None:
            written = blob.upload_blob(sealed, overwrite=False)
        else:
            written = blob.upload_blob(
                sealed, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
            )
    except (ResourceExistsError, ResourceModifiedError):
        return None
    return str(written["etag"])


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        with telemetry.calling("blob"):
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
