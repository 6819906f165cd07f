"""The URLs of the referrals API, exactly as they are sent. Pure.

A nextLink's token is opaque and percent-encoded in lower case, so it is never decoded or encoded
again. Only the query of a nextLink is used, with the configured host and path: the documented
sample has a wrong scheme and path, and the bearer token must not be sent to another host.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from pc_core.errors import InvalidResponse

REFERRALS_PATH = "/v1.0/engagements/referrals"
"""Source: Microsoft's documentation of "List referrals"."""

_INVALID_IN_A_TARGET = re.compile(r"[^\x21-\x7e]+")


def first_query(*, order: str | None, top: int | None) -> str:
    """The raw query of the first page; empty without options."""
    options = []
    if order is not None:
        options.append(f"$orderby={quote(order, safe=',')}")
    if top is not None:
        options.append(f"$top={top:d}")
    return "&".join(options)


def referral_path(referral_id: str) -> str:
    """The path of one referral, below the base URL."""
    return f"{REFERRALS_PATH}/{quote(referral_id, safe='')}"


def next_query(link: str, *, base_url: str) -> str:
    """The raw query of a nextLink: an absolute or relative URL, or a query alone.

    Characters that are invalid in a request line (blanks, controls, non-ASCII) are
    percent-encoded; all others are kept as they are.

    Raises:
        InvalidResponse: the link has another host or no query.
    """
    try:
        parts = urlsplit(link.strip())
        host = parts.hostname
    except ValueError:
        raise InvalidResponse(
            "Partner Center returned a nextLink that is not a URL. It was not followed. Saved "
            "pages are kept; the next run tries again.",
            code="next_link_unreadable",
        ) from None
    is_foreign = host != urlsplit(base_url).hostname if host or parts.netloc else False
    if is_foreign or parts.scheme not in ("", "http", "https") or "\\" in link.partition("?")[0]:
        raise InvalidResponse(
            "Partner Center returned a nextLink to another host than the configured one. It was "
            "not followed. Saved pages are kept. If the API has moved, set "
            "HUNTER_PARTNER_CENTER_API_URL.",
            code="next_link_foreign",
        )
    _, _, query = link.strip().partition("?")
    query, _, _ = query.partition("#")
    if not query:
        raise InvalidResponse(
            "Partner Center returned a nextLink without a query, so the next page cannot be "
            "requested. Saved pages are kept; the next run tries again.",
            code="next_link_unreadable",
        )
    return _INVALID_IN_A_TARGET.sub(lambda found: quote(found[0], safe=""), query)
