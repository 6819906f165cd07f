"""A referral, an item that cannot be understood, and the limits of both."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

MAX_ID_CHARS: Final = 255
"""Longest `id` that is believed; real ones are GUIDs of 36 characters."""


MAX_AMOUNT_DIGITS: Final = 30
"""Most digits of a deal value, before and after the point together; more is no amount of money."""


MAX_NUMBER_CHARS: Final = 1000
"""Longest number, written out without an exponent, that is believed anywhere in a referral.

PostgreSQL's numeric ends at 131,072 digits before the point and 16,383 after it; Python refuses
to convert integers of more than 4,300 digits. Nothing real comes near.
"""


MAX_DEPTH: Final = 4000
"""Deepest nesting that is believed: what the strict decoder, Python's recursion limit for C code
(10,000) and PostgreSQL's JSON parser all hold with room to spare."""


MAX_ITEM_BYTES: Final = 16 * 1024 * 1024
"""Largest referral that is believed; jsonb ends at 256 MB, real ones have a few kB."""


class Referral(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one wire referral means to us. Texts are trimmed; empty texts are None.

    Attributes:
        referral_id: the wire's `id`; lower-case if it is a GUID, like every other id here.
        name, company_name, city, status_reason: with HTML entities decoded.
        country: as sent, upper-case.
        type, qualification, direction, status, substatus: Microsoft's spelling; a value we do not
            know is kept as it came and listed in `unknown`.
        contacts: `customerProfile.team`, members as sent.
        contact_emails: their e-mail fields as sent, in order.
        team: the partner's own people, as sent.
        websites: what stands in any website field, as sent.
        external_ids: (profileType, id) pairs of the customer profile.
        target: (type, id) pairs of whom the referral is addressed to.
        marketplace_signs: the wire fields that speak of the marketplace and are filled.
        deal_value: exact, at most `MAX_AMOUNT_DIGITS` digits.
        closing_at … updated_at: aware UTC, cut (not rounded) to microseconds.
        updated_ticks: `updatedDateTime` with all its digits, in 100 ns since 1970-01-01 UTC.
        content_hash: 16 bytes; equal for content that differs only in key order, in how numbers
            are written, in `links` or in `@odata.*`.
        raw: the item's exact JSON text in UTF-8, fit for jsonb.
        unknown: (field, value) of values that are new to us.
    """

    referral_id: str
    engagement_id: str | None
    external_reference_id: str | None
    organization_id: str | None
    name: str | None
    type: str | None
    qualification: str | None
    direction: str | None
    status: str | None
    substatus: str | None
    status_reason: str | None
    registration_status: str | None
    sales_stage: str | None
    company_name: str | None
    country: str | None
    city: str | None
    size: str | None
    contacts: list[Any]
    contact_emails: tuple[str | None, ...]
    team: list[Any]
    websites: tuple[str, ...]
    external_ids: tuple[tuple[str | None, str], ...]
    target: tuple[tuple[str | None, str | None], ...]
    invited_by_organization_id: str | None
    marketplace_signs: tuple[str, ...]
    deal_value: Decimal | None
    currency: str | None
    closing_at: datetime | None
    expires_at: datetime | None
    accepted_at: datetime | None
    closed_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    updated_ticks: int | None
    etag: str | None
    content_hash: bytes
    raw: bytes
    unknown: tuple[tuple[str, str], ...]


class Malformed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An item that goes to quarantine.

    Attributes:
        referral_id: as far as one could be read.
        reason: stable code: `invalid_json`, `invalid_utf8`, `control_character`,
            `lone_surrogate`, `nul_character`, `number_not_finite`, `number_out_of_range`,
            `nested_too_deeply`, `too_large`, `not_an_object`, `id_missing`, `id_too_long`,
            `wrong_type`, `not_a_number`, `not_a_date`, `date_out_of_range`.
        field: JSON path, such as `details.dealValue`; None if the item as a whole is at fault.
        detail: for a person; tells types and lengths, never a value.
        content_hash: as for `Referral`; of the bytes where they are no JSON.
        raw_text: the item as text that a PostgreSQL text column can hold; see `restore_raw`.
        updated_ticks: as for `Referral`, as far as it could be read.
    """

    referral_id: str | None
    reason: str
    field: str | None
    detail: str
    content_hash: bytes
    raw_text: str
    updated_ticks: int | None
