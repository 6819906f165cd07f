"""Partner Center's error responses, and the errors of this app that they become. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pc_core.errors import FixSetting, InvalidResponse, SignInNeeded, SignInState, TryLater

MFA_MISSING = "900421"
WRONG_AUDIENCE = "900420"
"""Error codes of a 401. Source: Partner Center's announcement of mandatory MFA for App+User."""

# One page of the documentation spells it without the second "i".
_CHALLENGE = re.compile(r'error="?insuffici?ent_claims"?', re.IGNORECASE)
_CLAIMS = re.compile(r'claims="([^"]+)"', re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_MAX_NESTING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """A response whose status is not 200.

    Attributes:
        codes: the error codes in the body, outermost first.
        claims: the claims challenge as JSON text; None if there was none.
    """

    status: int
    codes: tuple[str, ...]
    claims: str | None

    @property
    def code(self) -> str | None:
        """The outermost error code."""
        return self.codes[0] if self.codes else None


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ErrorResponse:
    """Read an error response; empty, text and HTML bodies have no codes.

    Args:
        headers: with case-insensitive names.
    """
    challenge = headers.get("WWW-Authenticate", "")
    codes = [code for code in _error_codes(body) if _CODE.fullmatch(code)]
    shown = body[:4096].decode("utf-8", "replace") + challenge
    for known in (MFA_MISSING, WRONG_AUDIENCE):
        if known not in codes and re.search(rf"(?<!\d){known}(?!\d)", shown):
            codes.append(known)
    claims = _claims(challenge) if status in (401, 403) else None
    return ErrorResponse(status=status, codes=tuple(codes), claims=claims)


def _claims(challenge: str) -> str | None:
    if not _CHALLENGE.search(challenge):
        return None
    found = _CLAIMS.search(challenge)
    if found is None:
        return None
    text = found[1].replace("-", "+").replace("_", "/").rstrip("=")
    try:
        claims = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8")
        is_object = isinstance(json.loads(claims), dict)
    except (binascii.Error, ValueError):
        return None
    return claims if is_object else None


def _error_codes(body: bytes) -> Iterator[str]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return
    # `{"error": {"code", …, "innerError": {…}}}`; the older host has the code at the top level.
    error: Any = content.get("error", content) if isinstance(content, dict) else None
    for _ in range(_MAX_NESTING):
        if not isinstance(error, dict):
            return
        if isinstance(error.get("code"), str | int):
            yield str(error["code"])
        error = error.get("innerError", error.get("innererror"))


def not_allowed(error: ErrorResponse, path: str) -> SignInNeeded | FixSetting:
    """The error for a 401 or 403."""
    if error.status == 401:
        return _unauthorized(error, path)
    return _forbidden(error, path)


def _unauthorized(error: ErrorResponse, path: str) -> SignInNeeded:
    """The error for a 401 although the token is new."""
    if WRONG_AUDIENCE in error.codes:
        return SignInNeeded(
            f"Partner Center reports that the token was issued for another audience (401, "
            f"{WRONG_AUDIENCE}, GET {path}). Set HUNTER_PARTNER_CENTER_SCOPE to "
            "https://api.partner.microsoft.com/.default and check the app registration's API "
            "permissions, then sign in again. No data was lost.",
            state=SignInState.MISCONFIGURED,
            code="wrong_audience",
        )
    if MFA_MISSING in error.codes:
        return SignInNeeded(
            f"Partner Center requires multi-factor authentication, which the last sign-in did not "
            f"use (401, {MFA_MISSING}, GET {path}). Sign in again with an account that uses it. "
            "No data was lost.",
            state=SignInState.SIGN_IN_NEEDED,
            code="mfa_missing",
        )
    return SignInNeeded(
        f"Partner Center rejected a new token (401 on GET {path}). Sign in again; if that does "
        "not help, check the app registration's API permissions. No data was lost.",
        state=SignInState.SIGN_IN_NEEDED,
        code="api_unauthorized",
    )


def _forbidden(error: ErrorResponse, path: str) -> FixSetting:
    """The error for a 403."""
    named = f", {error.code}" if error.code else ""
    return FixSetting(
        f"Partner Center denied GET {path} (403{named}). The signed-in account needs the role "
        "Referrals Admin (all referrals) or Referrals User (referrals with the account in their "
        "team) in Partner Center, under Account settings > User management. No data was lost; the "
        "next run continues.",
        code="api_forbidden",
    )


def first_page_refused(status: int, path: str) -> FixSetting:
    """The error for a 400, 404 or 410 of the first page."""
    if status == 400:
        return FixSetting(
            f"Partner Center rejected GET {path} as a bad request (400). Check "
            "HUNTER_PARTNER_CENTER_PAGE_SIZE: leave it out to use the API's own page size. No "
            "data was lost.",
            code="api_bad_request",
        )
    return FixSetting(
        f"There is no referrals API at GET {path} ({status}). Check "
        "HUNTER_PARTNER_CENTER_API_URL. No data was lost.",
        code="api_not_found",
    )


def unexpected(error: ErrorResponse, path: str) -> InvalidResponse:
    """The error for a status that the API does not document."""
    if 300 <= error.status < 400:
        return InvalidResponse(
            f"Partner Center returned a redirect for GET {path} ({error.status}). It was not "
            "followed, because the token is sent to the configured host only. If the API has "
            "moved, set HUNTER_PARTNER_CENTER_API_URL. No data was lost.",
            code="redirect_not_followed",
        )
    named = f", {error.code}" if error.code else ""
    return InvalidResponse(
        f"Partner Center returned an unexpected status for GET {path} ({error.status}{named}). "
        "Saved pages are kept; the next run tries again.",
        code="api_unexpected_status",
    )


def gave_up(
    status: int | None, path: str, *, attempt: int, spent_s: float, retry_after_s: float | None
) -> TryLater:
    """The error for a request whose retries are used up; `status` is None without a response."""
    times = "once" if attempt == 1 else f"{attempt} times"
    if status is None:
        problem, code = "sent no complete response", "partner_center_unreachable"
    elif status == 429:
        problem, code = "is throttling requests (429)", "partner_center_throttled"
    else:
        problem, code = f"has a transient error ({status})", "partner_center_unavailable"
    wait = "" if retry_after_s is None else f" It asks to wait {retry_after_s:.0f} s."
    return TryLater(
        f"Partner Center {problem}: GET {path} was sent {times} in {spent_s:.0f} s.{wait} Saved "
        "pages are kept; the next run continues.",
        code=code,
        retry_after_s=retry_after_s,
    )
