"""The addresses of the referrals API, byte for byte as they go over the wire. Pure.

A nextLink's token is opaque and percent-encoded in lower case: it is never decoded, re-encoded or
put in order. Only its query is used, on our own host and path, because the documented sample has
the wrong scheme and path, and because the bearer token goes nowhere else.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from pc_core.errors import NonsenseAnswer

REFERRALS_PATH = "/v1.0/engagements/referrals"
"""Source: Microsoft's documentation of "List referrals"."""

_MAY_NOT_STAND_IN_A_REQUEST = re.compile(r"[^\x21-\x7e]+")


def first_query(*, order: str | None, top: int | None) -> str:
    """The raw query of the first page; empty if nothing is asked for."""
    options = []
    if order is not None:
        options.append(f"$orderby={quote(order, safe=',')}")
    if top is not None:
        options.append(f"$top={top:d}")
    return "&".join(options)


def referral_path(referral_id: str) -> str:
    """The path of one referral, below the base address."""
    return f"{REFERRALS_PATH}/{quote(referral_id, safe='')}"


def next_query(link: str, *, base_url: str) -> str:
    """The raw query of a nextLink in any of its forms: absolute, relative, or a query alone.

    What may not stand in a request line (blanks, controls, non-ASCII) is percent-encoded;
    everything else stays as it came.

    Raises:
        NonsenseAnswer: the link names another host or has no query.
    """
    try:
        parts = urlsplit(link.strip())
        host = parts.hostname
    except ValueError:
        raise NonsenseAnswer(
            "Partner Center sent a nextLink that is no address. Nothing was sent there; saved "
            "pages are kept and the next run tries again.",
            code="next_link_unreadable",
        ) from None
    is_foreign = host != urlsplit(base_url).hostname if host or parts.netloc else False
    if is_foreign or parts.scheme not in ("", "http", "https") or "\\" in link.partition("?")[0]:
        raise NonsenseAnswer(
            "Partner Center sent a nextLink to a host other than the configured one. Nothing was "
            "sent there; saved pages are kept. If the API has moved, set "
            "HUNTER_PARTNER_CENTER_API_URL.",
            code="next_link_foreign",
        )
    _, _, query = link.strip().partition("?")
    query, _, _ = query.partition("#")
    if not query:
        raise NonsenseAnswer(
            "Partner Center sent a nextLink without a query, so the next page cannot be asked "
            "for. Saved pages are kept and the next run tries again.",
            code="next_link_unreadable",
        )
    return _MAY_NOT_STAND_IN_A_REQUEST.sub(lambda found: quote(found[0], safe=""), query)
