"""Sign-ins under way: their stages, and their encrypted storage.

Any instance can continue a sign-in, because each stage is stored. The JSON format is that of the
first release, so that two releases side by side can read each other's flows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import msgspec
from azure.core.exceptions import ResourceNotFoundError

from pc_core.identity.account import SignInProgress
from pc_core.identity.blobs import (
    BlobCipher,
    Keys,
    create_if_missing,
    storage_errors,
    write_if_unchanged,
)
from pc_core.identity.token import NewTokens

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_FOLDER = "sign-in-flows"
_FLOW_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
_STALE_AFTER = timedelta(hours=1)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What all stages before the end have in common.

    Attributes:
        interval_s: seconds from one step to the next, at least.
        next_ask_at: before this instant no instance takes the next step.
        expires_at: afterwards the sign-in has to be started again.
    """

    interval_s: int
    next_ask_at: datetime
    expires_at: datetime

    def postponed(self, until: datetime) -> Self:
        """The same stage, whose next step is not due before `until`."""
        return msgspec.structs.replace(self, next_ask_at=until)


class Asking(Waiting, frozen=True, kw_only=True, tag_field="stage", tag="asking"):
    """Entra is asked whether the person has entered the code.

    Attributes:
        flow: what MSAL needs for asking; secret.
    """

    flow: dict[str, object]

    @property
    def progress(self) -> SignInProgress:
        """The stage as its caller sees it."""
        return SignInProgress(state="pending", detail="Waiting for the code to be entered.")


class Proving(Waiting, frozen=True, kw_only=True, tag_field="stage", tag="proving"):
    """The person has signed in; the new tokens are tried at the API."""

    tokens: NewTokens

    @property
    def progress(self) -> SignInProgress:
        """The stage as its caller sees it."""
        return SignInProgress(
            state="pending",
            username=self.tokens.account.username,
            detail="Signed in; access to Partner Center is being tried.",
        )


class Confirming(Waiting, frozen=True, kw_only=True, tag_field="stage", tag="confirming"):
    """The new tokens work; a person has to confirm that they replace another account's."""

    tokens: NewTokens

    @property
    def progress(self) -> SignInProgress:
        """The stage as its caller sees it."""
        username = self.tokens.account.username
        return SignInProgress(
            state="needs_confirmation",
            username=username,
            may_read_referrals=True,
            detail=f"Until now another account was signed in. Confirm that {username} replaces "
            "it: this account may see other referrals.",
            reason_code="other_account",
        )


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="stage", tag="ended"):
    """The result, without any token, kept for callers that ask again."""

    progress: SignInProgress


type Stage = Asking | Proving | Confirming | Ended


class FlowStore:
    """Stores the stage of each sign-in under way, encrypted, with an ETag.

    Raises what `TokenCacheBlob` raises.

    Args:
        container: returns the container's client; called when first needed.
        keys: as for `TokenCacheBlob`.
        now: aware UTC.
    """

    def __init__(
        self,
        container: Callable[[], ContainerClient],
        keys: Keys,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._cipher = BlobCipher(keys)
        self._now = now

    def load(self, flow_id: str) -> tuple[Stage, str] | None:
        """A flow's stage and its ETag.

        None: there is no such flow, or neither the current keys nor this release can read it.
        """
        if not _FLOW_ID.fullmatch(flow_id):
            return None
        with storage_errors():
            try:
                download = self._container().download_blob(f"{_FOLDER}/{flow_id}")
                encrypted, etag = download.readall(), str(download.properties.etag)
            except ResourceNotFoundError:
                return None
        content = self._cipher.decrypt(encrypted)
        if content is None:
            return None
        try:
            stage: Stage = msgspec.json.decode(content, type=Stage)
        except msgspec.MsgspecError:
            return None
        return stage, etag

    def save(self, flow_id: str, stage: Stage, *, etag: str | None) -> str | None:
        """Write a flow that still has this ETag (None: a new flow).

        Creates the container if it is missing.

        Returns:
            The new ETag; None if another instance has changed the flow, and nothing was written.
        """
        encrypted = self._cipher.encrypt(msgspec.json.encode(stage))
        with storage_errors():
            container = self._container()
            if etag is None:
                create_if_missing(container)
            return write_if_unchanged(container, f"{_FOLDER}/{flow_id}", encrypted, etag)

    def delete(self, flow_id: str) -> None:
        """Delete a flow, if it exists."""
        if not _FLOW_ID.fullmatch(flow_id):
            return
        with storage_errors():
            try:
                self._container().delete_blob(f"{_FOLDER}/{flow_id}")
            except ResourceNotFoundError:
                return

    def delete_stale(self) -> None:
        """Delete every flow that nothing has changed for an hour: it has expired long since."""
        with storage_errors():
            container = self._container()
            try:
                for blob in container.list_blobs(name_starts_with=f"{_FOLDER}/"):
                    if self._now() - blob.last_modified > _STALE_AFTER:
                        self.delete(blob.name.rpartition("/")[2])
            except ResourceNotFoundError:
                return
