"""Sign-ins under way, kept encrypted in storage so that any instance can go on with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import (
    ResourceNotFoundError,
)

from pc_core.identity.blobs import Keys, Seal, create_container, storage_errors, write_blob

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


FLOW_FOLDER = "sign-in-flows"


_FLOW_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


_STALE_FLOW = timedelta(hours=1)


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
        self._seal = Seal(keys)
        self._now = now

    def load(self, flow_id: str) -> tuple[dict[str, Any], str] | None:
        """A flow's record and its ETag; None if there is none that can be read."""
        if not _FLOW_ID.fullmatch(flow_id):
            return None
        with storage_errors():
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
        with storage_errors():
            container = self._container()
            if etag is None:
                create_container(container)
            return write_blob(container, f"{FLOW_FOLDER}/{flow_id}", sealed, etag)

    def delete(self, flow_id: str) -> None:
        """Forget a flow; it may be gone already."""
        if not _FLOW_ID.fullmatch(flow_id):
            return
        with storage_errors():
            try:
                self._container().delete_blob(f"{FLOW_FOLDER}/{flow_id}")
            except ResourceNotFoundError:
                return

    def delete_stale(self) -> None:
        """Forget every flow that nobody has touched for an hour: it has expired long since."""
        with storage_errors():
            container = self._container()
            try:
                for blob in container.list_blobs(name_starts_with=f"{FLOW_FOLDER}/"):
                    if self._now() - blob.last_modified > _STALE_FLOW:
                        self.delete(blob.name.rpartition("/")[2])
            except ResourceNotFoundError:
                return
