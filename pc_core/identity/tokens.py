"""Silent tokens from the saved MSAL cache, which all instances share.

The saved cache is only changed by compare and swap. The loser of a race uses the winner's tokens,
so that an older refresh token never replaces a rotated one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Protocol

from pc_core.errors import PartnerCenterSyncError, SignInNeeded, SignInState, TryLater
from pc_core.identity.account import Account
from pc_core.identity.entra import EntraConnection, entra_errors, import_msal
from pc_core.identity.refusals import SIGN_IN, refusal_of
from pc_core.identity.token import NewTokens, Token

_MARGIN = timedelta(minutes=5)
"""An access token this close to its expiry is no longer used; MSAL's own margin."""

_LOOK_EVERY = timedelta(minutes=1)
_WAITS_FOR_WINNER_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
_RACES = 5
_FORMAT = 1


class CacheBlob(Protocol):
    """Where the cache is saved; see `token_cache.TokenCacheBlob`."""

    def load(self) -> tuple[bytes, str] | None:
        """Content and ETag; None if there is none yet."""

    def etag(self) -> str | None:
        """The current ETag."""

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        """Write if unchanged; the new ETag, or None if another instance was faster."""

    def replace(self, content: bytes) -> str:
        """Write in any case, after copying the old content aside; the new ETag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _InHand:
    token: Token = field(repr=False)
    expires_at: datetime


@dataclass(slots=True, kw_only=True)
class _Saved:
    """What this instance knows of the saved cache.

    Attributes:
        etag: of what was last read or written; None: it has to be read.
        renewed_at: when Entra last issued a refresh token.
        unsaved: what could not be written; the next look at the blob tries again.
        looked_at: when the blob was last looked at; None: it has to be looked at before any use.
    """

    etag: str | None = None
    renewed_at: datetime | None = None
    unsaved: bytes | None = field(default=None, repr=False)
    looked_at: datetime | None = None


class EntraTokens:
    """Silent tokens from the saved cache; fulfils `token.Tokens`.

    While the access token in memory is good, it checks the blob's ETag at most once a minute; after
    `forget`, always.

    Args:
        connection: to Entra.
        blob: where the cache is saved.
        scope: e.g. `https://api.partner.microsoft.com/.default`.
        now: aware UTC.
        sleep: seconds, while waiting for a faster instance to save its tokens.
    """

    def __init__(
        self,
        connection: EntraConnection,
        blob: CacheBlob,
        *,
        scope: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._blob = blob
        self._scope = scope
        self._now = now
        self._sleep = sleep
        self._lock = Lock()
        self._saved = _Saved()
        self._cache: Any = None
        self._client: Any = None
        self._in_hand: _InHand | None = None
        self._last_given: str | None = None

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        """A usable access token; see `token.TokenSource`."""
        with self._lock:
            cached_will_do = not refresh and claims is None
            if not (cached_will_do and self._fresh_in_hand() and self._has_just_looked()):
                self._look(keep_token=cached_will_do)
            in_hand = self._fresh_in_hand() if cached_will_do else None
            if in_hand is None:
                in_hand = self._acquire(refresh=refresh, claims=claims)
            self._last_given = in_hand.token.access_token
            return in_hand.token

    def renewed_at(self) -> datetime | None:
        """When Entra last issued a refresh token; see `token.Tokens`."""
        with self._lock:
            if self._saved.etag is None:
                try:
                    self._load()
                except PartnerCenterSyncError:
                    return None
            return self._saved.renewed_at

    def account(self) -> Account | None:
        """The account of the saved cache; None if there is no readable cache.

        Raises:
            TryLater, FixSetting: the storage cannot be used.
        """
        with self._lock:
            try:
                self._load()
                return self._only_account()
            except SignInNeeded:
                return None

    def forget(self) -> None:
        """Make the next use look at the blob; a run begins with it."""
        with self._lock:
            self._saved.looked_at = None

    def replace(self, new: NewTokens) -> None:
        """Save the result of a finished sign-in, after copying the old cache aside."""
        with self._lock:
            self._blob.replace(_pack(new.cache, self._now()))
            self._saved = _Saved()
            self._in_hand = None
            self._connection.forget_refusals()

    def _has_just_looked(self) -> bool:
        looked_at = self._saved.looked_at
        return looked_at is not None and self._now() - looked_at < _LOOK_EVERY

    def _fresh_in_hand(self) -> _InHand | None:
        if self._in_hand is None or self._in_hand.expires_at - self._now() <= _MARGIN:
            return None
        return self._in_hand

    def _look(self, *, keep_token: bool) -> None:
        """Look at the blob; within a run, a good token outlives storage that is out of reach."""
        try:
            self._load()
        except TryLater:
            if not keep_token or self._fresh_in_hand() is None or self._saved.looked_at is None:
                raise

    def _load(self) -> None:
        if self._saved.unsaved is not None:
            self._save(self._saved.unsaved)
        if self._saved.etag is None or self._blob.etag() != self._saved.etag:
            self._read_blob()
        self._saved.looked_at = self._now()

    def _read_blob(self) -> None:
        self._in_hand = None
        self._saved.etag = None
        found = self._blob.load()
        if found is None:
            raise SignInNeeded(
                f"Nobody has signed in yet: there is no saved token cache. {SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="token_cache_missing",
            )
        if self._cache is None:
            self._cache = import_msal().SerializableTokenCache()
        content, etag = found
        try:
            text, self._saved.renewed_at = _unpack(content)
            self._cache.deserialize(text)
        except (ValueError, KeyError, TypeError):
            raise SignInNeeded(
                "The token cache was decrypted, but it is not in this release's format. It was "
                f"left untouched. {SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="token_cache_unreadable",
            ) from None
        self._saved.etag = etag

    def _only_account(self) -> Account:
        if self._client is None:
            self._client = self._connection.client(self._cache)
        found = self._client.get_accounts()
        if len(found) != 1:
            raise SignInNeeded(
                f"The saved sign-in holds {len(found)} accounts instead of one. {SIGN_IN}",
                state=SignInState.ACCOUNT_PROBLEM if found else SignInState.SIGN_IN_NEEDED,
                code="several_accounts" if found else "no_account",
            )
        account = account_from_msal(found[0])
        if account.tenant_id.casefold() != str(self._client.authority.tenant).casefold():
            raise SignInNeeded(
                "The saved sign-in belongs to another tenant than the configured one. Correct "
                "HUNTER_PARTNER_CENTER_TENANT_ID, or sign in with an account of that tenant.",
                state=SignInState.MISCONFIGURED,
                code="other_tenant",
            )
        return account

    def _acquire(self, *, refresh: bool, claims: str | None) -> _InHand:
        """Get a token from MSAL, which may renew it at Entra; save a cache that has changed."""
        account = self._only_account()
        result = None
        if refresh and self._last_given is not None:
            # Another instance may have renewed it already.
            result = self._ask(force=False, claims=None)
            if result.get("access_token") == self._last_given:
                result = None
        if result is None:
            result = self._ask(force=refresh, claims=claims)
        if result.get("error") == "invalid_grant" and self._winner_appeared():
            account = self._only_account()
            result = self._ask(force=False, claims=claims)
        got = self._read_result(account, result)
        for _ in range(_RACES):
            if not self._cache.has_state_changed:
                break
            if self._save(_pack(self._cache.serialize(), self._saved.renewed_at)):
                break
            self._read_blob()
            account = self._only_account()
            if claims is None or account != got.token.account:
                got = self._read_result(account, self._ask(force=False, claims=claims))
        self._in_hand = got
        return got

    def _ask(self, *, force: bool, claims: str | None) -> dict[str, Any]:
        before = refresh_tokens(self._cache)
        with entra_errors():
            result = self._client.acquire_token_silent_with_error(
                [self._scope],
                self._client.get_accounts()[0],
                force_refresh=force,
                claims_challenge=claims,
            )
        if refresh_tokens(self._cache) != before:
            self._saved.renewed_at = self._now()
        if result is None:
            raise SignInNeeded(
                f"The saved sign-in of this app holds no refresh token. {SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="no_refresh_token",
            )
        if "error" in result:
            self._connection.forget_refusals()
        return dict(result)

    def _read_result(self, account: Account, result: Mapping[str, Any]) -> _InHand:
        if "access_token" not in result:
            raise refusal_of(result)
        return _InHand(
            token=Token(access_token=result["access_token"], account=account),
            expires_at=self._now() + timedelta(seconds=int(result.get("expires_in", 0))),
        )

    def _save(self, content: bytes) -> bool:
        """Compare and swap; False if another instance was faster.

        If the storage fails, the content stays in `unsaved`.
        """
        self._saved.unsaved = content
        self._saved.etag = self._blob.save(content, etag=self._saved.etag)
        self._saved.unsaved = None
        return self._saved.etag is not None

    def _winner_appeared(self) -> bool:
        """Whether another instance has saved newer tokens; gives it a moment to do so."""
        for wait_s in _WAITS_FOR_WINNER_S:
            if wait_s:
                self._sleep(wait_s)
            if self._blob.etag() not in (None, self._saved.etag):
                self._read_blob()
                return True
        return False


def account_from_msal(found: Mapping[str, Any]) -> Account:
    """One of MSAL's accounts as ours."""
    return Account(
        account_id=str(found.get("home_account_id") or ""),
        username=str(found.get("username") or ""),
        tenant_id=str(found.get("realm") or ""),
    )


def refresh_tokens(cache: Any) -> set[str]:
    """The refresh tokens in an MSAL token cache."""
    return {entry["secret"] for entry in cache.search(cache.CredentialType.REFRESH_TOKEN)}


def _pack(cache: str, renewed_at: datetime | None) -> bytes:
    return json.dumps(
        {
            "format": _FORMAT,
            "renewed_at": renewed_at.isoformat() if renewed_at else None,
            "msal": cache,
        }
    ).encode("utf-8")


def _unpack(content: bytes) -> tuple[str, datetime | None]:
    envelope = json.loads(content)
    if envelope["format"] != _FORMAT or not isinstance(json.loads(envelope["msal"]), dict):
        raise ValueError("unknown format")
    renewed_at = envelope["renewed_at"]
    return envelope["msal"], datetime.fromisoformat(renewed_at) if renewed_at else None
