"""The token cache in Blob Storage: one blob, encrypted, changed only by compare and swap.

Beside it lie the sign-ins under way, so that any instance can go on with them, and copies of what
a finished sign-in replaced. Nothing here ever leaves the process unencrypted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from azure.core.exceptions import (
    ResourceNotFoundError,
)

from pc_core.errors import SignInNeeded, SignInState, TryLater
from pc_core.identity.blobs import Keys, Seal, create_container, storage_errors, write_blob

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_REPLACE_ATTEMPTS = 5


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
        self._seal = Seal(keys)
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
        with storage_errors():
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
        with storage_errors():
            return write_blob(self._container(), self._name, sealed, etag)

    def replace(self, content: bytes) -> str:
        """Write whatever is there, after copying that aside as `<name>.replaced-<time>`.

        Creates the container where it is missing. Returns the new ETag.
        """
        sealed = self._seal.close(content)
        with storage_errors():
            container = self._container()
            create_container(container)
            for _ in range(_REPLACE_ATTEMPTS):
                found = self._download()
                if found is not None:
                    copy = f"{self._name}.replaced-{self._now():%Y%m%dT%H%M%S.%fZ}"
                    container.upload_blob(copy, found[0], overwrite=True)
                etag = write_blob(container, self._name, sealed, found[1] if found else None)
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
