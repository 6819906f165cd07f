"""Entra ID through MSAL: silent tokens from the saved cache, device codes, and what refusals mean.

MSAL is imported when first needed. The saved cache is shared by all instances and only changed by
compare and swap: who loses a race uses the winner's tokens, so that a rotated refresh token is
never overwritten by an older one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Literal, Protocol

import requests

from pc_core import telemetry
from pc_core.account import Account
from pc_core.errors import (
    FixSetting,
    PartnerCenterSyncError,
    SignInNeeded,
    SignInState,
    TryLater,
)
from pc_core.ports import Token

_EARLY = timedelta(minutes=5)
"""An access token this close to its end is not used any more; MSAL's own margin."""

_RECHECK = timedelta(minutes=1)
_WAITS_FOR_WINNER_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
_RACES = 5
_FORMAT = 1


# --- what a refusal means ------------------------------------------------------------------------

_S = SignInState

_SIGN_IN = "Sign in again: on the page, or with `python -m pc_core sign-in`."

_BY_NUMBER: Mapping[int, tuple[SignInState, str]] = {
    50076: (_S.SIGN_IN_NEEDED, f"Multi-factor authentication is demanded. {_SIGN_IN}"),
    50079: (
        _S.SIGN_IN_NEEDED,
        f"The account must first enrol in multi-factor authentication. {_SIGN_IN}",
    ),
    50078: (_S.SIGN_IN_NEEDED, f"The multi-factor authentication has expired. {_SIGN_IN}"),
    50173: (
        _S.SIGN_IN_NEEDED,
        f"The sign-in was revoked, or the account's password was changed. {_SIGN_IN}",
    ),
    700082: (_S.SIGN_IN_NEEDED, f"The sign-in was not used for too long and expired. {_SIGN_IN}"),
    70008: (_S.SIGN_IN_NEEDED, f"The sign-in expired. {_SIGN_IN}"),
    70043: (
        _S.SIGN_IN_NEEDED,
        (
            f"A sign-in frequency policy ended the sign-in, and will again. {_SIGN_IN} Exempting "
            "this account and app from the policy helps for longer."
        ),
    ),
    700084: (
        _S.MISCONFIGURED,
        (
            "The app registration is a single-page app, whose sign-ins end after 24 hours. "
            "Register it as a public client (mobile and desktop), then sign in again."
        ),
    ),
    65001: (
        _S.ADMIN_CONSENT_NEEDED,
        (
            "Nobody has consented to the app's permissions. An administrator grants admin consent "
            "under App registrations > API permissions."
        ),
    ),
    53003: (
        _S.BLOCKED_BY_POLICY,
        (
            "A Conditional Access policy blocks the sign-in, perhaps the one against device codes. "
            "A new sign-in will not help: the administrator has to exempt this account and app."
        ),
    ),
    53000: (
        _S.BLOCKED_BY_POLICY,
        (
            "A Conditional Access policy demands a compliant device, which a server is not. The "
            "administrator has to exempt this account and app."
        ),
    ),
    7000218: (
        _S.MISCONFIGURED,
        'Set "Allow public client flows" to Yes under App registrations > Authentication.',
    ),
    700016: (
        _S.MISCONFIGURED,
        "The tenant does not know the app. Check HUNTER_PARTNER_CENTER_CLIENT_ID and _TENANT_ID.",
    ),
    90002: (_S.MISCONFIGURED, "There is no such tenant. Check HUNTER_PARTNER_CENTER_TENANT_ID."),
    70011: (_S.MISCONFIGURED, "The scope is not valid. Check HUNTER_PARTNER_CENTER_SCOPE."),
    50057: (_S.ACCOUNT_PROBLEM, "The account is disabled. Enable it, or sign in with another."),
    50034: (
        _S.ACCOUNT_PROBLEM,
        "The tenant does not know the account. Sign in with another one.",
    ),
    50020: (
        _S.ACCOUNT_PROBLEM,
        "The account belongs to another tenant. Sign in with one of the configured tenant.",
    ),
}

_TRANSIENT = (_S.TRANSIENT, "Entra ID has a passing trouble; the next run tries again.")
_CONSENT = _BY_NUMBER[65001]
_CONFIG = (
    _S.MISCONFIGURED,
    (
        "Entra ID does not accept the app. Check HUNTER_PARTNER_CENTER_CLIENT_ID, _TENANT_ID and "
        "_SCOPE, and the app registration."
    ),
)
_POLICY = (
    _S.BLOCKED_BY_POLICY,
    "A policy refuses the sign-in, and a new one will not help. Ask the administrator.",
)
_UNKNOWN = (_S.SIGN_IN_NEEDED, f"Entra ID refused the saved sign-in. {_SIGN_IN}")

# Microsoft: branch on `error`, never on texts or numbers; numbers only pick the hint. A number is
# believed only where its state is one that the `error` may mean.
_BY_ERROR: Mapping[str, tuple[tuple[SignInState, str], frozenset[SignInState]]] = {
    "invalid_grant": (_UNKNOWN, frozenset(_S) - {_S.OK, _S.TRANSIENT}),
    "interaction_required": (_UNKNOWN, frozenset(_S) - {_S.OK, _S.TRANSIENT}),
    "login_required": (_UNKNOWN, frozenset({_S.SIGN_IN_NEEDED, _S.ACCOUNT_PROBLEM})),
    "consent_required": (_CONSENT, frozenset({_S.ADMIN_CONSENT_NEEDED})),
    "access_denied": (_POLICY, frozenset({_S.BLOCKED_BY_POLICY, _S.ACCOUNT_PROBLEM})),
    "invalid_client": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "unauthorized_client": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "invalid_request": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "invalid_resource": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "invalid_scope": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "invalid_tenant": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "unsupported_grant_type": (_CONFIG, frozenset({_S.MISCONFIGURED})),
    "temporarily_unavailable": (_TRANSIENT, frozenset()),
    "server_error": (_TRANSIENT, frozenset()),
    "service_unavailable": (_TRANSIENT, frozenset()),
    "request_timeout": (_TRANSIENT, frozenset()),
    "too_many_requests": (_TRANSIENT, frozenset()),
}

_BY_SUBERROR: Mapping[str, tuple[SignInState, str]] = {
    "consent_required": _CONSENT,
    "message_only": _POLICY,
    "protection_policy_required": _POLICY,
    "user_password_expired": (
        _S.ACCOUNT_PROBLEM,
        f"The account's password has expired. Change it. {_SIGN_IN}",
    ),
}


def sign_in_state(error: Mapping[str, Any]) -> tuple[SignInState, str, str]:
    """What a refusal of Entra's token endpoint means: state, reason code, what has to be done.

    Source: Microsoft's pages on Entra's authentication error codes and on MSAL error handling.

    Args:
        error: the endpoint's JSON, or MSAL's result; only `error`, `suberror` (or MSAL's
            `classification`), `error_codes` and the number that `error_description` begins with
            are looked at.
    """
    name = str(error.get("error") or "").lower()
    suberror = str(error.get("suberror") or error.get("classification") or "").lower()
    number = _number(error)
    reason = f"AADSTS{number}" if number else suberror or name or "unknown_error"
    meaning, believable = _BY_ERROR.get(name, (_UNKNOWN, frozenset(_S) - {_S.OK, _S.TRANSIENT}))
    by_number = _BY_NUMBER.get(number) if number else None
    by_suberror = _BY_SUBERROR.get(suberror)
    for better in (by_number, by_suberror):
        if better is not None and better[0] in believable:
            meaning = better
            break
    state, hint = meaning
    return state, reason, hint


def _number(error: Mapping[str, Any]) -> int | None:
    codes = error.get("error_codes")
    if isinstance(codes, list):
        numbers = [code for code in codes if isinstance(code, int) and code > 0]
        known = [number for number in numbers if number in _BY_NUMBER]
        if numbers:
            return (known or numbers)[0]
    found = re.match(r"AADSTS(\d{4,9})\b", str(error.get("error_description") or ""))
    return int(found[1]) if found else None


# --- the connection ------------------------------------------------------------------------------


class EntraConnection:
    """Makes MSAL applications that share one HTTP connection and Entra's discovery document.

    Args:
        client_id: of the app registration.
        tenant_id: a GUID, or one of the tenant's domains.
        authority: e.g. `https://login.microsoftonline.com`.
        instance_discovery: False for an authority that Microsoft's discovery does not know.
        timeout_s: the longest wait for each part of an answer.
        verify: path of a CA bundle; None: the system's, or REQUESTS_CA_BUNDLE.
    """

    def __init__(
        self,
        *,
        client_id: str,
        tenant_id: str,
        authority: str = "https://login.microsoftonline.com",
        instance_discovery: bool = True,
        timeout_s: float = 15.0,
        verify: str | None = None,
    ) -> None:
        self._client_id = client_id
        self._authority = f"{authority.rstrip('/')}/{tenant_id}"
        self._instance_discovery = instance_discovery
        self._http = _Http(timeout_s=timeout_s, verify=verify)
        self._http_cache: dict[str, Any] = {}

    def app(self, cache: Any) -> Any:
        """An MSAL PublicClientApplication on this token cache.

        Raises:
            SignInNeeded: `misconfigured`: Entra does not know the tenant.
            TryLater: `entra_unavailable`.
        """
        with _entra_errors():
            try:
                return _msal().PublicClientApplication(
                    self._client_id,
                    authority=self._authority,
                    token_cache=cache,
                    http_client=self._http,
                    http_cache=self._http_cache,
                    instance_discovery=None if self._instance_discovery else False,
                )
            except (ValueError, KeyError):
                raise SignInNeeded(
                    "Entra ID does not know the tenant, or is not to be found at the configured "
                    "address. Check HUNTER_PARTNER_CENTER_TENANT_ID and _AUTHORITY.",
                    state=SignInState.MISCONFIGURED,
                    code="tenant_not_found",
                ) from None

    def forget_refusals(self) -> None:
        """Let the next request go out: MSAL would answer an equal one with the last refusal."""
        self._http_cache.clear()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()


class _Http:
    """What MSAL sends its requests with: bounded, without redirects, without ~/.netrc."""

    def __init__(self, *, timeout_s: float, verify: str | None) -> None:
        self._timeout_s = timeout_s
        self._verify = verify
        self._session = requests.Session()

    def post(self, url: str, *, params: Any = None, data: Any = None, headers: Any = None) -> Any:
        return self._send("POST", url, params=params, data=data, headers=headers)

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> Any:
        return self._send("GET", url, params=params, data=None, headers=headers)

    def close(self) -> None:
        self._session.close()

    def _send(self, method: str, url: str, **parts: Any) -> Any:
        with telemetry.calling("entra") as call:
            response = self._session.request(
                method,
                url,
                **parts,
                auth=_leave_headers,
                timeout=self._timeout_s,
                verify=self._verify,
                allow_redirects=False,
            )
            call.failed = response.status_code >= 400
        status = response.status_code
        is_transient = status in (408, 429) or status >= 500
        if is_transient or (status != 404 and not _is_json(response.text)):
            # MSAL would keep it, or log its body and fail with a ValueError.
            raise requests.HTTPError(f"HTTP {status}", response=response)
        return response


def _leave_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@contextmanager
def _entra_errors() -> Iterator[None]:
    try:
        yield
    except requests.RequestException as error:
        response = error.response
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        what = f"it answered {response.status_code}" if response is not None else "no answer came"
        raise TryLater(
            f"Entra ID is out of reach ({what}). The saved sign-in is unchanged; the next run "
            "tries again.",
            code="entra_unavailable",
            retry_after_s=float(asked) if asked.isascii() and asked.isdigit() else None,
        ) from None


# --- silent tokens -------------------------------------------------------------------------------


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
                f"Nobody has signed in yet: there is no saved token cache. {_SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="token_cache_missing",
            )
        if self._cache is None:
            self._cache = _msal().SerializableTokenCache()
        content, etag = found
        try:
            text, self._renewed_at = _unpack(content)
            self._cache.deserialize(text)
        except (ValueError, KeyError, TypeError):
            raise SignInNeeded(
                "The token cache was decrypted but is none that this version wrote. It was left "
                f"untouched. {_SIGN_IN}",
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
                f"The saved sign-in holds {len(found)} accounts instead of one. {_SIGN_IN}",
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
        with _entra_errors():
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
                f"The saved sign-in of this app holds no refresh token. {_SIGN_IN}",
                state=SignInState.SIGN_IN_NEEDED,
                code="no_refresh_token",
            )
        if "error" in result:
            self._connection.forget_refusals()
        return dict(result)

    def _read_result(self, account: Account, result: Mapping[str, Any]) -> _InHand:
        if "access_token" not in result:
            raise _refused(result)
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


# --- device codes --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """A device code that waits for a person.

    Attributes:
        flow: what MSAL needs to ask about it; JSON values, secret.
        user_code: what the person types at `verification_uri`.
        interval_s: how often Entra may be asked, at most.
    """

    flow: dict[str, Any] = field(repr=False)
    user_code: str
    verification_uri: str
    message: str
    expires_at: datetime
    interval_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAnswer:
    """What Entra says of a device code.

    Attributes:
        flow: to ask with the next time.
        interval_s: grows when Entra says `slow_down`.
        tokens: once the person has signed in.
        state, reason_code, message: of a refusal.
    """

    outcome: Literal["pending", "signed_in", "expired", "declined", "refused"]
    flow: dict[str, Any] = field(repr=False)
    interval_s: int
    tokens: NewTokens | None = None
    state: SignInState | None = None
    reason_code: str | None = None
    message: str | None = None


class EntraDeviceCodes:
    """Starts device codes and asks about them, once per call.

    Args:
        connection: to Entra.
        scope: as for `EntraTokens`.
    """

    def __init__(self, connection: EntraConnection, *, scope: str) -> None:
        self._connection = connection
        self._scope = scope

    def start(self) -> DeviceCode:
        """A fresh device code.

        Raises:
            SignInNeeded: Entra refuses (wrong app, public client flows off, …).
            TryLater: `entra_unavailable`.
        """
        app = self._fresh_app()
        with _entra_errors():
            try:
                flow = app.initiate_device_flow(scopes=[self._scope])
            except ValueError:
                raise FixSetting(
                    "HUNTER_PARTNER_CENTER_SCOPE is no scope that can be signed in for, or the "
                    "authority offers no device codes.",
                    code="scope_invalid",
                ) from None
        if "user_code" not in flow:
            self._connection.forget_refusals()
            raise _refused(flow)
        return DeviceCode(
            flow=dict(flow),
            user_code=str(flow["user_code"]),
            verification_uri=str(flow.get("verification_uri") or flow.get("verification_url")),
            message=str(flow.get("message", "")),
            expires_at=datetime.fromtimestamp(flow["expires_at"], UTC),
            interval_s=max(1, int(flow["interval"])),
        )

    def ask(self, flow: Mapping[str, Any]) -> DeviceAnswer:
        """Ask once whether the person has signed in.

        Raises:
            TryLater: `entra_unavailable`.
        """
        cache = _msal().SerializableTokenCache()
        app = self._connection.app(cache)
        # MSAL waits `interval` seconds in steps of one before it looks at the exit condition,
        # but with an interval of 0 it would never look.
        asking = {**flow, "interval": max(1, int(flow.get("interval", 5)))}
        # The caller keeps to the interval; MSAL would compare with this process's clock and warn.
        asking.pop("latest_attempt_at", None)
        with _entra_errors():
            result = app.acquire_token_by_device_flow(asking, exit_condition=lambda _: True)
        interval_s = int(asking["interval"])
        error = result.get("error")
        if "access_token" in result:
            return DeviceAnswer(
                outcome="signed_in",
                flow=asking,
                interval_s=interval_s,
                tokens=_new_tokens(app, cache, result),
            )
        if error in ("authorization_pending", "slow_down"):
            return DeviceAnswer(outcome="pending", flow=asking, interval_s=interval_s)
        if error in ("expired_token", "code_expired"):
            return DeviceAnswer(outcome="expired", flow=asking, interval_s=interval_s)
        if error in ("authorization_declined", "access_denied"):
            return DeviceAnswer(outcome="declined", flow=asking, interval_s=interval_s)
        state, reason, hint = sign_in_state(result)
        return DeviceAnswer(
            outcome="refused",
            flow=asking,
            interval_s=interval_s,
            state=state,
            reason_code=reason,
            message=hint,
        )

    def tenant_id(self) -> str:
        """The configured tenant's GUID, as Entra tells it.

        Raises:
            SignInNeeded: `misconfigured`: Entra does not know the tenant.
            TryLater: `entra_unavailable`.
        """
        return str(self._fresh_app().authority.tenant)

    def _fresh_app(self) -> Any:
        return self._connection.app(_msal().SerializableTokenCache())


# --- MSAL's shapes -------------------------------------------------------------------------------


def _msal() -> Any:
    import msal

    return msal


def _new_tokens(app: Any, cache: Any, result: Mapping[str, Any]) -> NewTokens:
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


def _refused(result: Mapping[str, Any]) -> SignInNeeded | TryLater:
    state, reason, hint = sign_in_state(result)
    if state is SignInState.TRANSIENT:
        return TryLater(hint, code="entra_unavailable")
    return SignInNeeded(
        f"{hint} ({reason}) The saved sign-in and all referrals are unchanged.",
        state=state,
        code=reason,
        correlation_id=str(result["correlation_id"]) if result.get("correlation_id") else None,
    )


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
