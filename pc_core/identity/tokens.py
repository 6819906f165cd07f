"""Silent tokens from the saved MSAL cache, shared by several instances."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Protocol

from pc_core.errors import (
    PartnerCenterSyncError,
    SignInNeeded,
    SignInState,
    TryLater,
)
from pc_core.identity.account import Account
from pc_core.identity.entra import EntraConnection, entra_errors, load_msal
from pc_core.identity.refusals import SIGN_IN, refused
from pc_core.identity.token import Token

_EARLY = timedelta(minutes=5)
"""An access token this close to its end is not used any more; MSAL's own margin."""


_RECHECK = timedelta(minutes=1)


_WAITS_FOR_WINNER_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)


_RACES = 5


_FORMAT = 1


class CacheBlob(Protocol):
    """Where the cache is kept; `token_cache.TokenCacheBlob` fulfils it."""

    def load(self) -> tuple[bytes, str] | None:
        """Content and ETag; None if there is none yet."""

    def etag(self) -> str | None:
        """The ETag by now."""

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        """Write if unchanged; the new ETag, or None if somebody was faster."""

    def replace(self, content: bytes) -> str:
        """Write whatever is there, after copying that aside; the new ETag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokens:
    """What a finished sign-in brought; not saved yet.

    Attributes:
        cache: MSAL's cache as text.
        token: the access token, and who signed in.
        has_refresh_token: without one, nothing can be done unattended.
    """

    cache: str = field(repr=False)
    token: Token = field(repr=False)
    has_refresh_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _InHand:
    token: Token = field(repr=False)
    expires_at: datetime


class EntraTokens:
    """Silent tokens from the saved cache; fulfils `ports.Tokens`.

    The blob is looked at before each use; within one minute the access token in memory is used
    without asking again, unless `forget` was called.

    Args:
        connection: to Entra.
        blob: where the cache is kept.
        scope: e.g. `https://api.partner.microsoft.com/.default`.
        now: aware UTC.
        sleep: seconds, while waiting for a faster instance to save what it got.
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
        self._cache: Any = None
        self._app: Any = None
        self._etag: str | None = None
        self._unsaved: bytes | None = None
        self._renewed_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._in_hand: _InHand | None = None
        self._last_given: str | None = None

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        """A usable access token; see `ports.Tokens`."""
        with self._lock:
            cached_will_do = not refresh and claims is None
            in_hand = self._fresh_in_hand()
            if not (cached_will_do and in_hand and self._just_looked()):
                self._load_or_go_on(may_go_on=cached_will_do and in_hand is not None)
                in_hand = self._fresh_in_hand()
                if not (cached_will_do and in_hand):
                    in_hand = self._acquire(refresh=refresh, claims=claims)
            self._last_given = in_hand.token.access_token
            return in_hand.token

    def renewed_at(self) -> datetime | None:
        """When Entra last issued a refresh token; see `ports.Tokens`."""
        with self._lock:
            if self._etag is None:
                try:
                    self._load()
                except PartnerCenterSyncError:
                    return None
            return self._renewed_at

    def account(self) -> Account | None:
        """Whose cache is saved; None if there is none, or none that can be read.

        Raises:
            TryLater, FixSetting: the storage cannot be asked.
        """
        with self._lock:
            try:
                self._load()
                return self._only_account()
            except SignInNeeded:
                return None

    def forget(self) -> None:
        """Look at the blob before the next use; a run begins with it."""
        with self._lock:
            self._looked_at = None

    def replace(self, new: NewTokens) -> None:
        """Put a finished sign-in in the saved cache's place, after copying that aside."""
        with self._lock:
            self._blob.replace(_pack(new.cache, self._now()))
            self._etag = self._unsaved = self._in_hand = self._looked_at = None
            self._connection.forget_refusals()

    def _just_looked(self) -> bool:
        return self._looked_at is not None and self._now() - self._looked_at < _RECHECK

    def _fresh_in_hand(self) -> _InHand | None:
        if self._in_hand is None or self._in_hand.expires_at - self._now() <= _EARLY:
            return None
        return self._in_hand

    def _load_or_go_on(self, *, may_go_on: bool) -> None:
        """Within a run, storage out of reach does not take away a token that is still good."""
        try:
            self._load()
        except TryLater:
            if not may_go_on or self._looked_at is None:
                raise

    def _load(self) -> None:
        if self._unsaved is not None:
            self._save(self._unsaved)
        if self._etag is None or self._blob.etag() != self._etag:
            self._read_blob()
        self._looked_at = self._now()

    def _read_blob(self) -> None:
        self._in_hand = None
        self._etag = None
        found = self._blob.load()
        if found is None:
            raise SignInNeeded(
                f"Nobody has signed in yet: there is no saved token cache. {SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="token_cache_missing",
            )
        if self._cache is None:
            self._cache = load_msal().SerializableTokenCache()
        content, etag = found
        try:
            text, self._renewed_at = _unpack(content)
            self._cache.deserialize(text)
        except (ValueError, KeyError, TypeError):
            raise SignInNeeded(
                "The token cache was decrypted but is none that this version wrote. It was left "
                f"untouched. {SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="token_cache_unreadable",
            ) from None
        self._etag = etag

    def _only_account(self) -> Account:
        if self._app is None:
            self._app = self._connection.app(self._cache)
        found = self._app.get_accounts()
        if len(found) != 1:
            raise SignInNeeded(
                f"The saved sign-in holds {len(found)} accounts instead of one. {SIGN_IN}",
                state=SignInState.ACCOUNT_PROBLEM if found else SignInState.SIGN_IN_NEEDED,
                code="several_accounts" if found else "no_account",
            )
        account = _account(found[0])
        if account.tenant_id.casefold() != str(self._app.authority.tenant).casefold():
            raise SignInNeeded(
                "The saved sign-in belongs to another tenant than the configured one. Correct "
                "HUNTER_PARTNER_CENTER_TENANT_ID, or sign in with an account of that tenant.",
                state=SignInState.MISCONFIGURED,
                code="other_tenant",
            )
        return account

    def _acquire(self, *, refresh: bool, claims: str | None) -> _InHand:
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
            if self._save(_pack(self._cache.serialize(), self._renewed_at)):
                break
            self._read_blob()
            account = self._only_account()
            if claims is None or account != got.token.account:
                got = self._read_result(account, self._ask(force=False, claims=claims))
        self._in_hand = got
        return got

    def _ask(self, *, force: bool, claims: str | None) -> dict[str, Any]:
        before = _refresh_tokens(self._cache)
        with entra_errors():
            result = self._app.acquire_token_silent_with_error(
                [self._scope],
                self._app.get_accounts()[0],
                force_refresh=force,
                claims_challenge=claims,
            )
        if _refresh_tokens(self._cache) != before:
            self._renewed_at = self._now()
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
            raise refused(result)
        return _InHand(
            token=Token(access_token=result["access_token"], account=account),
            expires_at=self._now() + timedelta(seconds=int(result.get("expires_in", 0))),
        )

    def _save(self, content: bytes) -> bool:
        """Compare and swap; False if another instance was faster. Kept until it has been tried."""
        self._unsaved = content
        saved_as = self._blob.save(content, etag=self._etag)
        self._unsaved = None
        self._etag = saved_as
        return saved_as is not None

    def _winner_appeared(self) -> bool:
        """Whether another instance has saved newer tokens; gives it a moment to do so."""
        for wait_s in _WAITS_FOR_WINNER_S:
            if wait_s:
                self._sleep(wait_s)
            if self._blob.etag() not in (None, self._etag):
                self._read_blob()
                return True
        return False


def new_tokens(app: Any, cache: Any, result: Mapping[str, Any]) -> NewTokens:
    """The tokens of a finished device code flow, not saved yet."""
    found = app.get_accounts()
    account = _account(found[0]) if found else Account(account_id="", username="", tenant_id="")
    issuer_tenant = (result.get("id_token_claims") or {}).get("tid")
    if issuer_tenant:
        account = Account(
            account_id=account.account_id,
            username=account.username,
            tenant_id=str(issuer_tenant),
        )
    return NewTokens(
        has_refresh_token=bool(_refresh_tokens(cache)),
        cache=cache.serialize(),
        token=Token(access_token=result["access_token"], account=account),
    )


def _account(found: Mapping[str, Any]) -> Account:
    return Account(
        account_id=str(found.get("home_account_id") or ""),
        username=str(found.get("username") or ""),
        tenant_id=str(found.get("realm") or ""),
    )


def _refresh_tokens(cache: Any) -> set[str]:
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
