"""Access: the caller's role, the host names served, and the requests a browser may send.

Where App Service Authentication is on, the platform signs the caller in and sets the header
`x-ms-client-principal`. Where it is off, any caller could send that header, so it is ignored and a
key makes the caller an operator. Where neither is set up, no caller gets in.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

READ_ROLE = "Referrals.Read"
OPERATE_ROLE = "Referrals.Operate"
LOGIN_URL = "/.auth/login/aad?post_login_redirect_uri=/mini-ui/"
MAX_BODY_BYTES = 16 * 1024
"""No route needs more than a few dozen bytes."""

_ROLE_TYPES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
"""App Service Authentication leaves Entra's app roles under `roles`, although its `role_typ` is the
long URI; for some users it sends the URI. Sources: azure-functions-host issue 3898 (2018),
static-web-apps issue 655 (2021)."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NO_HOST = re.compile(r"[@/\\?#\s]")
"""With one of these, only a part of the text would be read as the host name."""
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}

Standing = Literal["signed_in", "login_needed", "role_missing", "api_key_needed", "closed"]


class Role(IntEnum):
    """What a caller may do; each role includes those below it."""

    NONE = 0
    READER = 1
    OPERATOR = 2


class Caller(Struct, frozen=True, kw_only=True):
    """The caller and the role.

    Attributes:
        standing: why the role is what it is.
        name: the sign-in name, to be shown to its owner; never logged.
    """

    role: Role
    standing: Standing
    name: str | None = None


class AccessRefusal(Struct, frozen=True, kw_only=True):
    """Why a request is not served: its HTTP status, a stable code, and words for people."""

    status: int
    code: str
    detail: str


def decide(headers: Mapping[str, str], *, auth_enabled: bool, key: str | None) -> Caller:
    """The caller's role.

    Args:
        headers: by lower-case name.
        auth_enabled: the platform says that App Service Authentication is on.
        key: the operator's key, for where it is off; None: there is none.
    """
    if auth_enabled:
        return _from_principal(headers.get("x-ms-client-principal"))
    if not key:
        return Caller(role=Role.NONE, standing="closed")
    given = headers.get("x-api-key", "")
    if hmac.compare_digest(given.encode("utf-8", "surrogatepass"), key.encode()):
        return Caller(role=Role.OPERATOR, standing="signed_in")
    return Caller(role=Role.NONE, standing="api_key_needed")


def refuse_role(caller: Caller, needed: Role) -> AccessRefusal | None:
    """The refusal if the caller lacks this role."""
    if caller.role >= needed:
        return None
    match caller.standing:
        case "login_needed":
            return AccessRefusal(
                status=401,
                code="login_needed",
                detail=f"Sign in at {LOGIN_URL}, or send an Entra ID token of this app.",
            )
        case "api_key_needed":
            return AccessRefusal(
                status=401,
                code="api_key_needed",
                detail="Send the operator's key in the header X-API-Key.",
            )
        case "closed":
            return AccessRefusal(
                status=403,
                code="access_not_configured",
                detail=(
                    "Nobody has access yet: turn App Service Authentication on, or set "
                    "HUNTER_API_KEY (in Azure: the Key Vault secret api-key)."
                ),
            )
        case "signed_in" | "role_missing":
            wanted = OPERATE_ROLE if needed is Role.OPERATOR else READ_ROLE
            return AccessRefusal(
                status=403,
                code="role_missing",
                detail=(
                    f"This account lacks the app role {wanted}. An administrator assigns it in "
                    "Entra ID, under Enterprise applications; then sign in again."
                ),
            )


def refuse_host(
    headers: Mapping[str, str], *, known_hosts: Collection[str]
) -> AccessRefusal | None:
    """The refusal if the Host is neither ours nor a loopback name.

    This stops DNS rebinding: a foreign name that was made to point at this app.
    """
    host = _host_name(headers.get("host", ""))
    if not host:
        return AccessRefusal(
            status=400, code="host_missing", detail="The Host header is missing or no name."
        )
    if host in _LOOPBACK or host in {_host_name(known) for known in known_hosts}:
        return None
    return AccessRefusal(
        status=421,
        code="host_unknown",
        detail="This app does not answer to that name; HUNTER_PUBLIC_HOSTS lists further ones.",
    )


def refuse_cross_site(headers: Mapping[str, str]) -> AccessRefusal | None:
    """The refusal if a browser sends this POST from another page than ours."""
    refusal = AccessRefusal(
        status=403,
        code="cross_site",
        detail="A browser may send this only from this app's own page.",
    )
    site = headers.get("sec-fetch-site")
    if site is not None and site.strip().lower() != "same-origin":
        return refusal
    origin = headers.get("origin")
    if origin is None:
        return None
    try:
        parts = urlsplit(origin.strip().lower())
        ours = headers.get("host", "").strip().lower()
        is_ours = bool(parts.netloc) and _without_port(parts.netloc, parts.scheme) == (
            _without_port(ours, parts.scheme)
        )
    except ValueError:
        return refusal
    is_safe = parts.scheme == "https" or _host_name(parts.netloc) in _LOOPBACK
    return None if is_ours and is_safe else refusal


def refuse_body(headers: Mapping[str, str], body: bytes) -> AccessRefusal | None:
    """The refusal if the body is too large or not declared as JSON."""
    if len(body) > MAX_BODY_BYTES:
        return AccessRefusal(
            status=413, code="body_too_large", detail=f"At most {MAX_BODY_BYTES} bytes are read."
        )
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body.strip() and media_type != "application/json":
        return AccessRefusal(
            status=415,
            code="body_not_json",
            detail="Send the body as Content-Type: application/json.",
        )
    return None


def _from_principal(header: str | None) -> Caller:
    nobody = Caller(role=Role.NONE, standing="login_needed")
    if not header:
        return nobody
    try:
        padded = header.strip() + "=" * (-len(header.strip()) % 4)
        principal: Any = json.loads(base64.b64decode(padded, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return nobody
    claims = principal.get("claims") if isinstance(principal, dict) else None
    if not isinstance(claims, list):
        return nobody
    roles = {
        role
        for claim_type in (principal.get("role_typ"), *_ROLE_TYPES)
        for role in _values(claims, claim_type)
    }
    names = (
        name
        for claim_type in (principal.get("name_typ"), "preferred_username", "name")
        for name in _values(claims, claim_type)
    )
    name = next(names, None)
    if OPERATE_ROLE in roles:
        return Caller(role=Role.OPERATOR, standing="signed_in", name=name)
    if READ_ROLE in roles:
        return Caller(role=Role.READER, standing="signed_in", name=name)
    return Caller(role=Role.NONE, standing="role_missing", name=name)


def _values(claims: list[Any], claim_type: object) -> list[str]:
    if not isinstance(claim_type, str) or not claim_type:
        return []
    return [
        claim["val"]
        for claim in claims
        if isinstance(claim, dict)
        and claim.get("typ") == claim_type
        and isinstance(claim.get("val"), str)
    ]


def _host_name(host: str) -> str:
    if _NO_HOST.search(host.strip()):
        return host.strip()
    try:
        return (urlsplit(f"//{host.strip()}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


def _without_port(netloc: str, scheme: str) -> str:
    return netloc.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
