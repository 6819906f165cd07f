"""What a refusal by Entra ID means: the sign-in state and the hint for each error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pc_core.errors import SignInNeeded, SignInState, TryLater

_S = SignInState

SIGN_IN = "Sign in again: on the page, or with `python -m pc_core sign-in`."

_BY_NUMBER: Mapping[int, tuple[SignInState, str]] = {
    50076: (_S.SIGN_IN_NEEDED, f"Multi-factor authentication is demanded. {SIGN_IN}"),
    50079: (
        _S.SIGN_IN_NEEDED,
        f"The account must first enrol in multi-factor authentication. {SIGN_IN}",
    ),
    50078: (_S.SIGN_IN_NEEDED, f"The multi-factor authentication has expired. {SIGN_IN}"),
    50173: (
        _S.SIGN_IN_NEEDED,
        f"The sign-in was revoked, or the account's password was changed. {SIGN_IN}",
    ),
    700082: (_S.SIGN_IN_NEEDED, f"The sign-in was not used for too long and expired. {SIGN_IN}"),
    70008: (_S.SIGN_IN_NEEDED, f"The sign-in expired. {SIGN_IN}"),
    70043: (
        _S.SIGN_IN_NEEDED,
        (
            f"A sign-in frequency policy ended the sign-in, and will again. {SIGN_IN} Exempting "
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

_TRANSIENT = (_S.TRANSIENT, "Entra ID is temporarily unavailable; the next run tries again.")

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

_UNKNOWN = (_S.SIGN_IN_NEEDED, f"Entra ID refused the saved sign-in. {SIGN_IN}")

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
        f"The account's password has expired. Change it. {SIGN_IN}",
    ),
}


def sign_in_state(error: Mapping[str, Any]) -> tuple[SignInState, str, str]:
    """What a refusal by Entra's token endpoint means: state, reason code, what has to be done.

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


def refusal_of(result: Mapping[str, Any]) -> SignInNeeded | TryLater:
    """The error to raise for MSAL's result without a token.

    TryLater (`entra_unavailable`) if the refusal is transient.
    """
    state, reason, hint = sign_in_state(result)
    if state is SignInState.TRANSIENT:
        return TryLater(hint, code="entra_unavailable")
    return SignInNeeded(
        f"{hint} ({reason}) The saved sign-in and all referrals are unchanged.",
        state=state,
        code=reason,
        correlation_id=str(result["correlation_id"]) if result.get("correlation_id") else None,
    )
