"""A simulated Entra ID: device codes, access tokens, refresh tokens and their ends.

It follows the real clock, because MSAL does. Tokens are signed with a key of this process and
worth nothing anywhere else.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from typing import Any, Literal

import jwt

from dev.simulator.behaviour import EntraBehaviour
from dev.simulator.device_page import make_form, make_page
from dev.simulator.message import Request, Response, answer_html, answer_json
from dev.simulator.token_errors import TOKEN_ERRORS, TokenError

TENANT_ID = "7a11c0de-0000-4000-8000-00000000d0c5"
OTHER_TENANT_ID = "07e4c0de-0000-4000-8000-00000000d0c5"
CLIENT_ID = "c11e47a0-0000-4000-8000-00000000a445"

API_RESOURCE = "https://api.partner.microsoft.com"

_DEVICE_CODE_LIFETIME_S = 900
# Without use; 90 days is Entra's fixed value.
_REFRESH_TOKEN_LIFETIME_S = 90 * 86_400.0

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_GRANT = "refresh_token"

# Letters that cannot spell a word and digits that look like no letter.
_USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"
_USER_CODE_LENGTH = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An invented person with a work account."""

    name: str
    username: str
    object_id: str
    tenant_id: str = TENANT_ID


ADA = Account(
    name="Ada Satış",
    username="ada.satis@tailspin-sentetik.com.tr",
    object_id="ada00000-0000-4000-8000-000000000001",
)
BORA = Account(
    name="Bora Kurgu",
    username="bora.kurgu@tailspin-sentetik.com.tr",
    object_id="b0ba0000-0000-4000-8000-000000000002",
)
OUTSIDER = Account(
    name="Jo Outsider",
    username="jo@litware-sample.co.uk",
    object_id="00750000-0000-4000-8000-000000000003",
    tenant_id=OTHER_TENANT_ID,
)


type Grant = Literal["any", "device_code", "refresh_token"]


class UnknownUserCode(LookupError):
    """No device code with this user code waits for a person."""


class AccessRefused(Exception):
    """A bearer token that the API does not accept.

    Attributes:
        code: Partner Center's number for the reason, None where it gives none.
    """

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        self.code = code
        super().__init__(reason)


@dataclass(slots=True, kw_only=True)
class _DeviceCode:
    user_code: str
    tenant: str
    scope: str
    created_s: float
    expires_s: float
    last_poll_s: float = 0.0
    interval_s: int = 5
    account: Account | None = None
    declined: bool = False
    redeemed: bool = False


@dataclass(slots=True, kw_only=True)
class _RefreshToken:
    account: Account
    tenant: str
    mfa: bool
    issued_s: float
    replaced_s: float | None = None
    dead_code: int | None = None


@dataclass(slots=True, kw_only=True)
class _Failure:
    error: TokenError
    grant: Grant
    times_left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """What a valid access token says about its bearer."""

    object_id: str
    tenant_id: str
    mfa: bool


@dataclass(slots=True)
class Entra:
    """The state of the simulated Entra ID; safe to use from any thread.

    Attributes:
        account: who signs in at the next approval.
        claims_received: the `claims` parameters that token requests carried.
        verification_uri: where a person types the user code.
    """

    behaviour: EntraBehaviour = field(default_factory=EntraBehaviour)
    account: Account = ADA
    tenant_id: str = TENANT_ID
    client_id: str = CLIENT_ID
    base_url: str = ""
    verification_uri: str = ""
    claims_received: list[str] = field(default_factory=list)
    _key: str = field(default_factory=lambda: secrets.token_hex(32))
    _epoch: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _device_codes: dict[str, _DeviceCode] = field(default_factory=dict)
    _refresh_tokens: dict[str, _RefreshToken] = field(default_factory=dict)
    _failures: list[_Failure] = field(default_factory=list)
    _token_requests: Counter[str] = field(default_factory=Counter)

    # What tests and people do

    @property
    def token_requests(self) -> dict[str, int]:
        """How many token requests came, by grant: `device_code`, `refresh_token`, `other`."""
        with self._lock:
            return dict(self._token_requests)

    def clear_token_requests(self) -> None:
        """Begin to count token requests anew."""
        with self._lock:
            self._token_requests.clear()
            self.claims_received.clear()

    def pending_user_codes(self) -> list[str]:
        """User codes that wait for a person, oldest first."""
        now = time.time()
        with self._lock:
            return [
                code.user_code
                for code in self._device_codes.values()
                if code.account is None and not code.declined and code.expires_s > now
            ]

    def approve(self, user_code: str | None = None, account: Account | None = None) -> None:
        """A person types the code and signs in.

        Args:
            user_code: in any case, blanks and hyphens do not matter; None: the newest.
            account: who signs in; None: `self.account`.

        Raises:
            UnknownUserCode: if no such code waits.
        """
        with self._lock:
            self._find_pending(user_code).account = account or self.account

    def decline(self, user_code: str | None = None) -> None:
        """A person types the code and says no.

        Raises:
            UnknownUserCode: if no such code waits.
        """
        with self._lock:
            self._find_pending(user_code).declined = True

    def expire_device_codes(self) -> None:
        """Let all device codes run out now."""
        with self._lock:
            for code in self._device_codes.values():
                code.expires_s = 0.0

    def revoke(self, *, access_tokens: bool = False) -> None:
        """End all sessions: refresh tokens fail with 50173 until someone signs in again.

        Args:
            access_tokens: end the access tokens too; at Entra they mostly live on.
        """
        self._kill_refresh_tokens(50173)
        if access_tokens:
            with self._lock:
                self._epoch += 1

    def fail_with(
        self,
        code: int | str | None,
        *,
        times: int | None = None,
        grant: Grant = "any",
        error: str | None = None,
        suberror: str | None = None,
        claims: str | None = None,
        status: int | None = None,
    ) -> None:
        """Refuse token requests.

        Args:
            code: a key of `TOKEN_ERRORS`; None ends all refusals.
            times: how many requests; None: until `fail_with(None)`.
            grant: which requests. Polls of a device code that is not approved yet still
                get `authorization_pending`, because policies are checked after it.
            error, suberror, claims, status: in place of the table's.

        Raises:
            ValueError: for a code that is not in the table.
        """
        with self._lock:
            if code is None:
                self._failures.clear()
                return
            known = TOKEN_ERRORS.get(code)
            if known is None:
                raise ValueError(f"there is no token error {code!r}")
            chosen = TokenError(
                error=error or known.error,
                code=known.code,
                text=known.text,
                suberror=suberror if suberror is not None else known.suberror,
                claims=claims if claims is not None else known.claims,
                status=status or known.status,
            )
            self._failures.append(_Failure(error=chosen, grant=grant, times_left=times))

    def reset(self) -> None:
        """Forget all codes, tokens, refusals and counts; tokens in use become invalid."""
        with self._lock:
            self._device_codes.clear()
            self._refresh_tokens.clear()
            self._failures.clear()
            self.clear_token_requests()
            self.account = ADA
            self._epoch += 1

    def export(self) -> dict[str, Any]:
        """What survives a restart, as JSON values: the key and the refresh tokens."""
        with self._lock:
            return {
                "key": self._key,
                "epoch": self._epoch,
                "refresh_tokens": {
                    digest: asdict(token) for digest, token in self._refresh_tokens.items()
                },
            }

    def restore(self, exported: Mapping[str, Any]) -> None:
        """Take over what `export` gave."""
        with self._lock:
            self._key = exported["key"]
            self._epoch = exported["epoch"]
            self._refresh_tokens = {
                digest: _RefreshToken(**(token | {"account": Account(**token["account"])}))
                for digest, token in exported["refresh_tokens"].items()
            }

    # Access tokens

    def issue_access_token(
        self,
        account: Account | None = None,
        *,
        resource: str = API_RESOURCE,
        mfa: bool | None = None,
        lifetime_s: float | None = None,
    ) -> str:
        """A signed access token, for tests that need one without a sign-in."""
        person = account or self.account
        now = time.time()
        lifetime = self.behaviour.access_token_lifetime_s if lifetime_s is None else lifetime_s
        with_mfa = self.behaviour.mfa if mfa is None else mfa
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{person.tenant_id}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + lifetime),
            "amr": ["pwd", "mfa"] if with_mfa else ["pwd"],
            "appid": self.client_id,
            "name": person.name,
            "oid": person.object_id,
            "scp": "user_impersonation",
            "tid": person.tenant_id,
            "upn": person.username,
            "uti": secrets.token_urlsafe(16),
            "epoch": self._epoch,
            "ver": "1.0",
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def check_access_token(self, token: str) -> AccessClaims:
        """Who bears this token, if the referrals API accepts it.

        Raises:
            AccessRefused: expired, revoked, made elsewhere, or for another audience (900420).
        """
        try:
            claims = jwt.decode(
                token, self._key, algorithms=["HS256"], options={"verify_aud": False}
            )
        except jwt.ExpiredSignatureError as error:
            raise AccessRefused("the token has expired") from error
        except jwt.InvalidTokenError as error:
            raise AccessRefused("the token is not valid") from error
        if claims["epoch"] != self._epoch:
            raise AccessRefused("the token was revoked")
        if claims["aud"] != API_RESOURCE:
            raise AccessRefused("the token is for another audience", code=900420)
        return AccessClaims(
            object_id=claims["oid"], tenant_id=claims["tid"], mfa="mfa" in claims["amr"]
        )

    # Endpoints

    def answer_discovery(self, tenant: str, request: Request) -> Response:
        """`/{tenant}/v2.0/.well-known/openid-configuration`."""
        if not self._knows_tenant(tenant):
            return self._refuse(TOKEN_ERRORS[90002], request)
        root = f"{self.base_url}/{tenant}"
        return answer_json(
            200,
            {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["HS256"],
            },
        )

    def answer_device_code(self, tenant: str, request: Request) -> Response:
        """`POST /{tenant}/oauth2/v2.0/devicecode`."""
        form = request.form()
        refusal = self._check_client(tenant, form)
        if refusal is None and _resource_of(form.get("scope", "")) is None:
            refusal = TOKEN_ERRORS[70011]
        if refusal is not None:
            return self._refuse(refusal, request)
        now = time.time()
        device_code = secrets.token_urlsafe(120)
        user_code = "".join(secrets.choice(_USER_CODE_LETTERS) for _ in range(_USER_CODE_LENGTH))
        code = _DeviceCode(
            user_code=user_code,
            tenant=tenant,
            scope=form["scope"],
            created_s=now,
            expires_s=now + _DEVICE_CODE_LIFETIME_S,
            interval_s=self.behaviour.device_interval_s,
        )
        with self._lock:
            self._device_codes[device_code] = code
        return answer_json(
            200,
            {
                "user_code": user_code,
                "device_code": device_code,
                "verification_uri": self.verification_uri,
                "expires_in": _DEVICE_CODE_LIFETIME_S,
                "interval": code.interval_s,
                "message": (
                    "To sign in, use a web browser to open the page "
                    f"{self.verification_uri} and enter the code {user_code} to authenticate."
                ),
            },
        )

    def answer_token(self, tenant: str, request: Request) -> Response:
        """`POST /{tenant}/oauth2/v2.0/token`."""
        form = request.form()
        grant = grant_name(form)
        with self._lock:
            self._token_requests[grant] += 1
            if form.get("claims"):
                self.claims_received.append(form["claims"])
            refusal = self._check_client(tenant, form)
            if refusal is not None:
                return self._refuse(refusal, request)
            if grant == "device_code":
                return self._redeem_device_code(tenant, form, request)
            if grant == "refresh_token":
                return self._redeem_refresh_token(tenant, form, request)
        return self._refuse(TOKEN_ERRORS["unsupported_grant_type"], request)

    def answer_device_page(self, request: Request) -> Response:
        """`/device`: the page where a person types the code."""
        if request.method == "POST":
            form = request.form()
            user_code = form.get("user_code", "")
            try:
                if form.get("answer") == "no":
                    self.decline(user_code)
                    return answer_html(200, make_page("<p>Declined. You can close this page.</p>"))
                self.approve(user_code)
            except UnknownUserCode:
                note = "<p><strong>No sign-in waits for this code.</strong> Is it expired?</p>"
                return answer_html(404, make_page(note + self._make_form("")))
            note = f"<p>Signed in as {escape(self.account.name)}. You can close this page.</p>"
            return answer_html(200, make_page(note))
        asked = dict(
            pair.split("=", 1) for pair in request.query.split("&") if pair.count("=") == 1
        )
        return answer_html(200, make_page(self._make_form(asked.get("user_code", ""))))

    # Inside

    def _make_form(self, user_code: str) -> str:
        return make_form(user_code, self.account.name, self.account.username)

    def _find_pending(self, user_code: str | None) -> _DeviceCode:
        now = time.time()
        wanted = None if user_code is None else _tidy(user_code)
        for code in reversed(self._device_codes.values()):
            waits = code.account is None and not code.declined and code.expires_s > now
            if waits and wanted in (None, code.user_code):
                return code
        raise UnknownUserCode("no device code waits" if wanted is None else wanted)

    def _kill_refresh_tokens(self, code: int) -> None:
        with self._lock:
            for token in self._refresh_tokens.values():
                token.dead_code = code

    def _knows_tenant(self, tenant: str) -> bool:
        return tenant.lower() in (self.tenant_id, "organizations", OTHER_TENANT_ID)

    def _check_client(self, tenant: str, form: Mapping[str, str]) -> TokenError | None:
        if not self._knows_tenant(tenant):
            return TOKEN_ERRORS[90002]
        if form.get("client_id", "").lower() != self.client_id:
            return TOKEN_ERRORS[700016]
        return None

    def _take_failure(self, grant: Grant) -> TokenError | None:
        for failure in self._failures:
            if failure.grant not in ("any", grant):
                continue
            if failure.times_left is not None:
                failure.times_left -= 1
                if failure.times_left == 0:
                    self._failures.remove(failure)
            return failure.error
        return None

    def _redeem_device_code(
        self, tenant: str, form: Mapping[str, str], request: Request
    ) -> Response:
        code = self._device_codes.get(form.get("device_code") or form.get("code", ""))
        if code is None or code.tenant != tenant or code.redeemed:
            return self._refuse(TOKEN_ERRORS["bad_verification_code"], request)
        now = time.time()
        if code.expires_s <= now:
            return self._refuse(TOKEN_ERRORS["expired_token"], request)
        if code.declined:
            return self._refuse(TOKEN_ERRORS["authorization_declined"], request)
        wait_s = self.behaviour.auto_approve_after_s
        if code.account is None and wait_s is not None and now >= code.created_s + wait_s:
            code.account = self.account
        if code.account is None:
            # Half a second less, for clients that count from when they sent their poll.
            early = now < code.last_poll_s + code.interval_s - 0.5
            code.last_poll_s = now
            waiting = "slow_down" if early else "authorization_pending"
            return self._refuse(TOKEN_ERRORS[waiting], request)
        failure = self._take_failure("device_code")
        if failure is None and not self._admits(code.account, tenant):
            failure = TOKEN_ERRORS[50020]
        if failure is not None:
            return self._refuse(failure, request)
        code.redeemed = True
        return self._issue(
            code.account, tenant, mfa=self.behaviour.mfa, scope=form.get("scope") or code.scope
        )

    def _redeem_refresh_token(
        self, tenant: str, form: Mapping[str, str], request: Request
    ) -> Response:
        token = self._refresh_tokens.get(_digest(form.get("refresh_token", "")))
        failure = self._take_failure("refresh_token")
        if failure is None:
            failure = self._judge(token)
        if failure is None and _resource_of(form.get("scope", "")) is None:
            failure = TOKEN_ERRORS[70011]
        if failure is not None or token is None:
            return self._refuse(failure or TOKEN_ERRORS[70000], request)
        if token.replaced_s is None:
            token.replaced_s = time.time()
        return self._issue(token.account, tenant, mfa=token.mfa, scope=form["scope"])

    def _judge(self, token: _RefreshToken | None) -> TokenError | None:
        if token is None:
            return TOKEN_ERRORS[70000]
        if token.dead_code is not None:
            return TOKEN_ERRORS[token.dead_code]
        if time.time() > token.issued_s + _REFRESH_TOKEN_LIFETIME_S:
            return TOKEN_ERRORS[700082]
        reused = token.replaced_s is not None and self.behaviour.old_refresh_tokens == "refused"
        return TOKEN_ERRORS[70000] if reused else None

    def _admits(self, account: Account, tenant: str) -> bool:
        return (
            tenant.lower() in (account.tenant_id, "organizations")
            or self.behaviour.other_accounts == "admitted"
        )

    def _issue(self, account: Account, tenant: str, *, mfa: bool, scope: str) -> Response:
        resource = _resource_of(scope) or API_RESOURCE
        refresh_token = f"1.{secrets.token_urlsafe(480)}"
        self._refresh_tokens[_digest(refresh_token)] = _RefreshToken(
            account=account, tenant=tenant, mfa=mfa, issued_s=time.time()
        )
        lifetime_s = self.behaviour.access_token_lifetime_s
        return answer_json(
            200,
            {
                "token_type": "Bearer",
                "scope": f"{resource}/user_impersonation {resource}/.default",
                "expires_in": lifetime_s,
                "ext_expires_in": lifetime_s,
                "access_token": self.issue_access_token(account, resource=resource, mfa=mfa),
                "refresh_token": refresh_token,
                "id_token": self._make_id_token(account),
                "client_info": _encode({"uid": account.object_id, "utid": account.tenant_id}),
            },
            [("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache")],
        )

    def _make_id_token(self, account: Account) -> str:
        now = int(time.time())
        claims = {
            "aud": self.client_id,
            "iss": f"{self.base_url}/{account.tenant_id}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3_600,
            "name": account.name,
            "oid": account.object_id,
            "preferred_username": account.username,
            "sub": sha256(f"{self.client_id}{account.object_id}".encode()).hexdigest(),
            "tid": account.tenant_id,
            "ver": "2.0",
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def _refuse(self, refusal: TokenError, request: Request) -> Response:
        trace_id = str(uuid.uuid4())
        correlation_id = request.headers.get("client-request-id") or str(uuid.uuid4())
        timestamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        prefix = "" if refusal.code is None else f"AADSTS{refusal.code}: "
        body: dict[str, Any] = {
            "error": refusal.error,
            "error_description": (
                f"{prefix}{refusal.text} Trace ID: {trace_id} "
                f"Correlation ID: {correlation_id} Timestamp: {timestamp}"
            ),
            "error_codes": [] if refusal.code is None else [refusal.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
        }
        if refusal.suberror is not None:
            body["suberror"] = refusal.suberror
        if refusal.claims is not None:
            body["claims"] = refusal.claims
        return answer_json(refusal.status, body, [("Cache-Control", "no-store, no-cache")])


def grant_name(form: Mapping[str, str]) -> str:
    """`device_code`, `refresh_token` or `other`."""
    grant = form.get("grant_type", "")
    if grant == DEVICE_GRANT:
        return "device_code"
    return "refresh_token" if grant == REFRESH_GRANT else "other"


def _resource_of(scope: str) -> str | None:
    for word in scope.split():
        if word.startswith("https://"):
            return word.rsplit("/", 1)[0]
    return None


def _digest(refresh_token: str) -> str:
    return sha256(refresh_token.encode()).hexdigest()


def _encode(value: Mapping[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _tidy(user_code: str) -> str:
    return "".join(char for char in user_code.upper() if char.isalnum())
