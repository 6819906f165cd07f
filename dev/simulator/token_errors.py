"""The ways in which Entra's token endpoint refuses, as exact answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenError:
    """One way in which the token endpoint refuses.

    `code` is the AADSTS number; None where the service gives none.
    """

    error: str
    code: int | None
    text: str
    suberror: str | None = None
    claims: str | None = None
    status: int = 400


_POLICY_CLAIMS = (
    '{"access_token":{"capolids":{"essential":true,'
    '"values":["9c1e0000-0000-4000-8000-00000000ca01"]}}}'
)

# By AADSTS number, or by the `error` where there is none. Microsoft: branch on `error`, never on
# text or numbers; the suberrors are the values that MSAL knows.
TOKEN_ERRORS: dict[int | str, TokenError] = {
    50076: TokenError(
        error="invalid_grant",
        code=50076,
        text="Due to a configuration change made by your administrator, you must use "
        "multi-factor authentication to access the resource.",
        suberror="basic_action",
        claims=_POLICY_CLAIMS,
    ),
    50079: TokenError(
        error="invalid_grant",
        code=50079,
        text="Due to a configuration change made by your administrator, you must enroll in "
        "multi-factor authentication to access the resource.",
        suberror="basic_action",
        claims=_POLICY_CLAIMS,
    ),
    50078: TokenError(
        error="invalid_grant",
        code=50078,
        text="Presented multi-factor authentication has expired due to policies configured by "
        "your administrator, you must refresh your multi-factor authentication.",
        suberror="basic_action",
    ),
    50173: TokenError(
        error="invalid_grant",
        code=50173,
        text="The provided grant has expired due to it being revoked, a fresh auth token is "
        "needed. The user might have changed or reset their password.",
        suberror="bad_token",
    ),
    700082: TokenError(
        error="invalid_grant",
        code=700082,
        text="The refresh token has expired due to inactivity.",
        suberror="token_expired",
    ),
    70008: TokenError(
        error="invalid_grant",
        code=70008,
        text="The provided authorization code or refresh token has expired due to inactivity. "
        "Send a new interactive authorization request for this user and resource.",
        suberror="token_expired",
    ),
    70043: TokenError(
        error="invalid_grant",
        code=70043,
        text="The refresh token has expired or is invalid due to sign-in frequency checks by "
        "conditional access.",
        suberror="bad_token",
    ),
    700084: TokenError(
        error="invalid_grant",
        code=700084,
        text="The refresh token was issued to a single page app (SPA), and therefore has a "
        "fixed, limited lifetime of 1.00:00:00, which cannot be extended.",
    ),
    70000: TokenError(
        error="invalid_grant",
        code=70000,
        text="The provided value for the input parameter 'refresh_token' or 'assertion' is not "
        "valid.",
        suberror="bad_token",
    ),
    65001: TokenError(
        error="invalid_grant",
        code=65001,
        text="The user or administrator has not consented to use the application. Send an "
        "interactive authorization request for this user and resource.",
        suberror="consent_required",
    ),
    53003: TokenError(
        error="invalid_grant",
        code=53003,
        text="Access has been blocked by Conditional Access policies. The access policy does "
        "not allow token issuance.",
        suberror="message_only",
        claims=_POLICY_CLAIMS,
    ),
    53000: TokenError(
        error="invalid_grant",
        code=53000,
        text="Device is not in required device state: compliant. Conditional Access policy "
        "requires a compliant device, and the device is not compliant.",
        suberror="message_only",
        claims=_POLICY_CLAIMS,
    ),
    7000218: TokenError(
        error="invalid_client",
        code=7000218,
        text="The request body must contain the following parameter: 'client_assertion' or "
        "'client_secret'.",
        status=401,
    ),
    700016: TokenError(
        error="unauthorized_client",
        code=700016,
        text="Application was not found in the directory. This can happen if the application "
        "has not been installed by the administrator of the tenant.",
    ),
    90002: TokenError(
        error="invalid_request",
        code=90002,
        text="Tenant not found. Check to make sure you have the correct tenant ID and are "
        "signing into the correct cloud.",
    ),
    70011: TokenError(
        error="invalid_scope",
        code=70011,
        text="The provided request must include a 'scope' input parameter. The provided value "
        "for the input parameter 'scope' is not valid.",
    ),
    50057: TokenError(error="invalid_grant", code=50057, text="The user account is disabled."),
    50034: TokenError(
        error="invalid_grant",
        code=50034,
        text="The user account does not exist in the directory. To sign into this application, "
        "the account must be added to the directory.",
    ),
    50020: TokenError(
        error="invalid_grant",
        code=50020,
        text="User account from another identity provider does not exist in the tenant and "
        "cannot access the application in that tenant.",
    ),
    "authorization_pending": TokenError(
        error="authorization_pending",
        code=70016,
        text="OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    ),
    "slow_down": TokenError(
        error="slow_down", code=None, text="The client polls more often than it may."
    ),
    "authorization_declined": TokenError(
        error="authorization_declined", code=None, text="The end user denied the request."
    ),
    "bad_verification_code": TokenError(
        error="bad_verification_code",
        code=70018,
        text="The device code sent was not recognized.",
    ),
    "expired_token": TokenError(
        error="expired_token", code=70019, text="The verification code has expired."
    ),
    "temporarily_unavailable": TokenError(
        error="temporarily_unavailable",
        code=90033,
        text="A transient error has occurred. Please try again.",
        status=503,
    ),
    "server_error": TokenError(
        error="server_error", code=90002, text="The server met an unexpected error.", status=500
    ),
    "unsupported_grant_type": TokenError(
        error="unsupported_grant_type", code=70003, text="The grant type is not supported."
    ),
}
