"""A referral as Partner Center sends it: the shape of its JSON, and the values of its enums.

Names and values are those of Microsoft's referral resource documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec


class WireAddress(msgspec.Struct, gc=False):
    """The customer's address."""

    city: str | None = None
    country: str | None = None


class _Member(msgspec.Struct, gc=False):
    email: str | None = None


class WireCustomer(msgspec.Struct, rename="camel", gc=False):
    """The customer's profile."""

    name: str | None = None
    size: str | None = None
    address: WireAddress | None = None
    team: list[_Member | None] | None = None
    # Not documented in this form: `ids` has been seen as an object instead of a list, and the
    # websites only occur in old clients.
    ids: Any = None
    website: Any = None
    company_website: Any = None


class WireDetails(msgspec.Struct, rename="camel", gc=False):
    """The referral's details: deal, closing date, notes."""

    deal_value: Any = None
    currency: str | None = None
    closing_date_time: str | None = None
    website: Any = None
    customer_marketplace_intent: Any = None


class _InvitedBy(msgspec.Struct, rename="camel", gc=False):
    organization_id: str | None = None


class _InviteContext(msgspec.Struct, rename="camel", gc=False):
    invited_by: _InvitedBy | None = None


class _Person(msgspec.Struct, gc=False):
    """One of the partner's own people: must be an object; none of its fields is read."""


class WireReferral(msgspec.Struct, rename="camel", gc=False):
    """One referral as Partner Center sends it."""

    id: str | None = None
    engagement_id: str | None = None
    name: str | None = None
    organization_id: str | None = None
    external_reference_id: str | None = None
    created_date_time: str | None = None
    updated_date_time: str | None = None
    expiration_date_time: str | None = None
    accepted_date_time: str | None = None
    closed_date_time: str | None = None
    status: str | None = None
    substatus: str | None = None
    status_reason: str | None = None
    qualification: str | None = None
    type: str | None = None
    direction: str | None = None
    registration_status: str | None = None
    sales_stage: str | None = None
    e_tag: str | None = None
    customer_profile: WireCustomer | None = None
    details: WireDetails | None = None
    team: list[_Person | None] | None = None
    invite_context: _InviteContext | None = None
    target: Any = None
    # The types of these are not documented, or all that matters is whether they are filled.
    referral_source: Any = None
    call_to_action: Any = None
    customer_marketplace_intent: Any = None
    registrations: Any = None
    website: Any = None
    company_website: Any = None


# msgspec completes a type on first use. When two threads did so at the same moment, the interpreter
# crashed with a segmentation fault. Therefore it is done at import, where there is only one thread.
msgspec.json.Decoder(WireReferral)


_VALUES: Final[Mapping[str, Sequence[str]]] = {
    "type": ("Independent", "Shared"),
    "qualification": ("None", "Direct", "MarketingQualified", "SalesQualified"),
    "direction": ("Incoming", "Outgoing"),
    "status": ("None", "New", "Active", "Closed"),
    # "Error" is not documented, but an existing client filters it out, so it occurs.
    "substatus": (
        *("None", "Pending", "Received", "Accepted"),
        *("Won", "Lost", "Declined", "Expired", "Error"),
    ),
}


DOCUMENTED_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    field: {written: value for value in values for written in (value, value.lower())}
    for field, values in _VALUES.items()
}
"""For each enum field: the documented value by itself and by its lower-case spelling."""
