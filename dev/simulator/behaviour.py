"""Switches for everything about the real services that is uncertain or changes.

Each dataclass here is one service's behaviour; its attributes may be set at any time and take
effect with the next request. The defaults are the best-founded guess.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How Partner Center's referrals API answers.

    Attributes:
        page_size: rows per page when the client does not say, and the largest it may ask for.
        top_means: what `$top` does: the size of a `page`, a cap on the `total` (as OData
            defines it), or nothing (`ignored`).
        paging: `offset` counts rows from the beginning of the list as it is at that moment;
            `keyset` goes on behind the last row served.
        next_link_form: `documented_odd` has the http scheme and no `/engagements`, as in
            Microsoft's samples; `foreign_host` leads to another host.
        next_link_loses_order: pages after the first come in the default order.
        next_link_ttl_s: seconds after which a nextLink is refused; None: never.
        expired_before_s: nextLinks of before this moment, Unix seconds, are refused too.
        expired_link: the status of these refusals, or `web_page`: 200 with HTML.
        next_link_repeats: every nextLink is the one of the page before.
        next_link_must_be_verbatim: refuse a `$skiptoken` whose percent-encoding was touched,
            even by changing the case of its hex digits.
        empty_page_with_next_link: after each full page comes an empty one with a nextLink.
        page_equal_always: every page holds the rows of the first one.
        default_order: what comes without a (heeded) `$orderby`.
        updated_order: whether `$orderby=updatedDateTime` is honoured, `ignored` (default
            order), honoured on the `first_page_only`, taken as `creation` order, or refused.
        created_order: the same for createdDateTime.
        fraction_digits: print all instants with exactly so many digits (0 to 7); None: as
            the referral has them.
        date_header: whether there is a Date header.
        date_offset_s: seconds that the Date header is ahead of the world's clock.
        organization_id: put in place of every referral's organizationId; None: as it is.
        by_id: whether one referral may be read, or is refused with this status; `without_id`
            answers 200 with an object that is no referral.
        by_id_only: the only referral that `by_id` is about; None: all.
        mfa_required: refuse tokens without the MFA claim (401, 900421).
        unauthorized_body: form of a 401's body for those refusals; which one the real
            service uses is not known.
        other_tenants: what a valid token of another tenant gets.
        latency_s: seconds that each list or item answer takes at least.
    """

    page_size: int = 100
    top_means: Literal["page", "total", "ignored"] = "page"
    paging: Literal["offset", "keyset"] = "offset"
    next_link_form: Literal["documented_odd", "absolute", "relative", "foreign_host"] = (
        "documented_odd"
    )
    next_link_loses_order: bool = False
    next_link_ttl_s: float | None = None
    expired_before_s: float = 0.0
    expired_link: Literal[400, 404, 410, 422, 500, 503, "web_page"] = 400
    next_link_repeats: bool = False
    next_link_must_be_verbatim: bool = False
    empty_page_with_next_link: bool = False
    page_equal_always: bool = False
    default_order: Literal[
        "createdDateTime desc",
        "createdDateTime asc",
        "updatedDateTime desc",
        "updatedDateTime asc",
    ] = "createdDateTime desc"
    updated_order: Literal["honoured", "ignored", "first_page_only", "creation", "refused"] = (
        "honoured"
    )
    created_order: Literal["honoured", "ignored", "first_page_only", "refused"] = "honoured"
    fraction_digits: int | None = None
    date_header: bool = True
    date_offset_s: float = 0.0
    organization_id: str | None = None
    by_id: Literal["normal", 400, 403, 410, 500, "without_id"] = "normal"
    by_id_only: str | None = None
    mfa_required: bool = False
    unauthorized_body: Literal["older_host", "odata", "empty"] = "older_host"
    other_tenants: Literal["forbidden", "served"] = "forbidden"
    latency_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class EntraBehaviour:
    """How Entra ID issues tokens.

    Attributes:
        access_token_lifetime_s: what expires_in says; Entra varies it around 75 minutes.
        old_refresh_tokens: whether a refresh token that was already exchanged for a newer one
            still works, as at Entra, or is refused as reused.
        mfa: whether sign-ins from now on did multi-factor authentication; the refresh
            tokens they yield keep what they began with.
        device_interval_s: what the device code answer says. MSAL never stops polling when the
            interval is 0.
        auto_approve_after_s: a device code approves itself after so many seconds; None: it
            waits for a person at /device, or for `approve`.
        other_accounts: whether an account of another tenant is `refused` (50020) at this
            tenant or `admitted`, with tokens of its own tenant.
    """

    access_token_lifetime_s: int = 4_500
    old_refresh_tokens: Literal["valid", "refused"] = "valid"
    mfa: bool = True
    device_interval_s: int = 5
    auto_approve_after_s: float | None = None
    other_accounts: Literal["refused", "admitted"] = "refused"


def reset(behaviour: Behaviour | EntraBehaviour) -> None:
    """Set every switch to its default."""
    fresh = type(behaviour)()
    for switch in fields(behaviour):
        setattr(behaviour, switch.name, getattr(fresh, switch.name))
