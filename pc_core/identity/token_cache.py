"""The token cache in Blob Storage: one encrypted blob, changed only by compare and swap.

Beside it are copies of what finished sign-ins replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError

from pc_core.errors import SignInNeeded, SignInState, TryLater
from pc_core.identity.blobs import (
    BlobCipher,
    Keys,
    create_if_missing,
    storage_errors,
    write_if_unchanged,
)

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_REPLACE_ATTEMPTS = 5


class TokenCacheBlob:
    """The blob with the token cache.

    Args:
        container: returns the container's client; called when first needed.
        name: the blob's name.
        keys: newest first. The first one encrypts, all of them decrypt.
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
        self._cipher = BlobCipher(keys)
        self._now = now

    def load(self) -> tuple[bytes, str] | None:
        """The decrypted content and the ETag to save with; None if there is no blob yet.

        Raises:
            SignInNeeded: `token_cache_unreadable`; the blob stays where and as it is.
        """
        found = self._download()
        if found is None:
            return None
        encrypted, etag = found
        content = self._cipher.decrypt(encrypted)
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
        """The blob's current ETag; None if there is no blob."""
        with storage_errors():
            try:
                return str(self._container().get_blob_client(self._name).get_blob_properties().etag)
            except ResourceNotFoundError:
                return None

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        """Write if the blob still has this ETag (None: if there is no blob).

        Returns:
            The new ETag; None if another instance was faster, and nothing was written.
        """
        encrypted = self._cipher.encrypt(content)
        with storage_errors():
            return write_if_unchanged(self._container(), self._name, encrypted, etag)

    def replace(self, content: bytes) -> str:
        """Write in any case, after copying the old content to `<name>.replaced-<time>`.

        Creates the container if it is missing. Returns the new ETag.
        """
        encrypted = self._cipher.encrypt(content)
        with storage_errors():
            container = self._container()
            create_if_missing(container)
            for _ in range(_REPLACE_ATTEMPTS):
                found = self._download()
                if found is not None:
                    copy = f"{self._name}.replaced-{self._now():%Y%m%dT%H%M%S.%fZ}"
                    container.upload_blob(copy, found[0], overwrite=True)
                etag = write_if_unchanged(
                    container, self._name, encrypted, found[1] if found else None
                )
                if etag is not None:
                    return etag
        raise TryLater(
            "The token cache changed each time it was about to be replaced. Try again.",
            code="storage_unavailable",
        )

    def _download(self) -> tuple[bytes, str] | None:
        with storage_errors():
            try:
                download = self._container().download_blob(self._name)
                return download.readall(), str(download.properties.etag)
            except ResourceNotFoundError:
                return None
