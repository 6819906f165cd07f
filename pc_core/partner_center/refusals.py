"""What Partner Center's refusals mean: error bodies and claims challenges. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pc_core.errors import FixSetting, NonsenseAnswer, SignInNeeded, SignInState, TryLater

MFA_MISSING = "900421"
WRONG_AUDIENCE = "900420"
"""Error codes of a 401. Source: Partner Center's announcement of mandatory MFA for App+User."""

# One page of the documentation spells it without the second "i".
_CHALLENGE = re.compile(r'error="?insuffici?ent_claims"?', re.IGNORECASE)
_CLAIMS = re.compile(r'claims="([^"]+)"', re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_MAX_NESTING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is not 200.

    Attributes:
        codes: the body's error codes, outermost first; empty if it named none.
        claims: the claims challenge as JSON text; None if there was none.
    """

    status: int
    codes: tuple[str, ...]
    claims: str | None

    @property
    def code(self) -> str | None:
        """The outermost error code."""
        return self.codes[0] if self.codes else None


def read_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Understand a refusal; empty, text and HTML bodies simply name no code.

    Args:
        status: of the answer.
        headers: of the answer, case-insensitive.
        body: of the answer.
    """
    challenge = headers.get("WWW-Authenticate", "")
    codes = [code for code in _error_codes(body) if _CODE.fullmatch(code)]
    shown = body[:4096].decode("utf-8", "replace") + challenge
    for known in (MFA_MISSING, WRONG_AUDIENCE):
        if known not in codes and re.search(rf"(?<!\d){known}(?!\d)", shown):
            codes.append(known)
    claims = _claims(challenge) if status in (401, 403) else None
    return Refusal(status=status, codes=tuple(codes), claims=claims)


def unauthorized(refusal: Refusal, *, path: str) -> SignInNeeded:
    """The error for a 401 that a fresh token did not cure."""
    if WRONG_AUDIENCE in refusal.codes:
        return SignInNeeded(
            f"Partner Center says that the token was issued for another audience (401, "
            f"{WRONG_AUDIENCE}, GET {path}). Set HUNTER_PARTNER_CENTER_SCOPE to "
            "https://api.partner.microsoft.com/.default and check the app registration's API "
            "permissions, then sign in again. Nothing was lost.",
            state=SignInState.MISCONFIGURED,
            code="wrong_audience",
        )
    if MFA_MISSING in refusal.codes:
        return SignInNeeded(
            f"Partner Center asks for multi-factor authentication, which the last sign-in did not "
            f"do (401, {MFA_MISSING}, GET {path}). Sign in again with an account that has it. "
            "Nothing was lost.",
            state=SignInState.SIGN_IN_NEEDED,
            code="mfa_missing",
        )
    return SignInNeeded(
        f"Partner Center refused a fresh token (401 on GET {path}). Sign in again; if that does "
        "not help, check the app registration's API permissions. Nothing was lost.",
        state=SignInState.SIGN_IN_NEEDED,
        code="api_unauthorized",
    )


def forbidden(refusal: Refusal, *, path: str) -> FixSetting:
    """The error for a 403."""
    named = f", {refusal.code}" if refusal.code else ""
    return FixSetting(
        f"Partner Center refused GET {path} (403{named}). The signed-in account needs the role "
        "Referrals Admin (all referrals) or Referrals User (those whose team it belongs to) in "
        "Partner Center, under Account settings > User management. Nothing was lost; the next "
        "run goes on.",
        code="api_forbidden",
    )


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
    # `{"error": {"code", …, "innerError": {…}}}` here; the older host has the code at the top.
    error: Any = content.get("error", content) if isinstance(content, dict) else None
    for _ in range(_MAX_NESTING):
        if not isinstance(error, dict):
            return
        if isinstance(error.get("code"), str | int):
            yield str(error["code"])
        error = error.get("innerError", error.get("innererror"))


def not_allowed(refusal: Refusal, path: str) -> SignInNeeded | FixSetting:
    """The error for a 401 or 403."""
    if refusal.status == 401:
        return unauthorized(refusal, path=path)
    return forbidden(refusal, path=path)


def unexpected(refusal: Refusal, path: str) -> NonsenseAnswer:
    """The error for a status that is no answer to the request."""
    if 300 <= refusal.status < 400:
        return NonsenseAnswer(
            f"Partner Center answered GET {path} with a redirect ({refusal.status}). It was not "
            "followed, because the token goes to the configured host only. If the API has moved, "
            "set HUNTER_PARTNER_CENTER_API_URL. Nothing was lost.",
            code="redirect_not_followed",
        )
    named = f", {refusal.code}" if refusal.code else ""
    return NonsenseAnswer(
        f"Partner Center answered {refusal.status}{named} to GET {path}, which is no answer to "
        "that question. Saved pages are kept; the next run tries again.",
        code="api_unexpected_status",
    )


def gave_up(
    status: int | None, path: str, *, attempt: int, spent_s: float, asked_for_s: float | None
) -> TryLater:
    """The error for a request whose retries are used up."""
    times = "once" if attempt == 1 else f"{attempt} times"
    if status is None:
        happened, code = "gave no complete answer", "partner_center_unreachable"
    elif status == 429:
        happened, code = "is throttling (429)", "partner_center_throttled"
    else:
        happened, code = f"has trouble ({status})", "partner_center_unavailable"
    wish = "" if asked_for_s is None else f" It asks to wait {asked_for_s:.0f} s."
    return TryLater(
        f"Partner Center {happened}: GET {path} was sent {times} in {spent_s:.0f} s.{wish} Saved "
        "pages are kept; the next run goes on.",
        code=code,
        retry_after_s=asked_for_s,
    )
