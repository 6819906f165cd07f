"""A referral, an item that cannot be read as one, and the limits of both."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

MAX_ID_CHARS: Final = 255
"""Longest `id` that is accepted; real ones are GUIDs of 36 characters."""

MAX_AMOUNT_DIGITS: Final = 30
"""Most digits of a deal value, before and after the point together."""

MAX_NUMBER_CHARS: Final = 1000
"""Longest number, written without an exponent, that is accepted anywhere in a referral.

PostgreSQL's numeric ends at 131,072 digits before the point and 16,383 after it; Python refuses
to convert integers of more than 4,300 digits. Real values are far below.
"""

MAX_DEPTH: Final = 4000
"""Deepest nesting that is accepted: well below the limits of the strict decoder, of Python's C
code (10,000) and of PostgreSQL's JSON parser."""

MAX_ITEM_BYTES: Final = 16 * 1024 * 1024
"""Largest referral that is accepted; jsonb ends at 256 MB, real ones have a few kB."""


class Referral(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One referral, read from its JSON. Texts are trimmed; empty texts are None.

    Attributes:
        referral_id: the JSON's `id`; lower-case if it is a GUID, like every other id here.
        name, company_name, city, status_reason: with HTML entities decoded.
        country: as sent, upper-case.
        type, qualification, direction, status, substatus: in Microsoft's spelling; an
            undocumented value is kept as sent and listed in `unknown`.
        contacts: `customerProfile.team`, members as sent.
        contact_emails: their e-mail fields as sent, in order.
        team: the partner's own people, as sent.
        websites: the values of all website fields, as sent.
        external_ids: (profileType, id) pairs of the customer profile.
        target: (type, id) pairs of those that the referral is addressed to.
        marketplace_signs: names of the filled fields that only the marketplace fills.
        deal_value: exact, at most `MAX_AMOUNT_DIGITS` digits.
        closing_at … updated_at: aware UTC, cut (not rounded) to microseconds.
        updated_ticks: `updatedDateTime` with its seventh digit, in 100 ns since 1970-01-01 UTC.
        content_hash: 16 bytes; the same for content that differs only in key order, in the
            notation of numbers, in `links` or in `@odata.*`.
        raw: the item's exact JSON text in UTF-8; jsonb can hold it.
        unknown: (field, value) of each undocumented value.
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
        referral_id: None if none could be read.
        reason: stable code: `invalid_json`, `invalid_utf8`, `control_character`,
            `lone_surrogate`, `nul_character`, `number_not_finite`, `number_out_of_range`,
            `nested_too_deeply`, `too_large`, `not_an_object`, `id_missing`, `id_too_long`,
            `wrong_type`, `not_a_number`, `not_a_date`, `date_out_of_range`.
        field: JSON path, such as `details.dealValue`; None if the whole item is invalid.
        detail: for a person; names types and lengths, never a value.
        content_hash: as for `Referral`; of the bytes if they are not JSON.
        raw_text: the item as text that a PostgreSQL text column can hold; see `restore_raw`.
        updated_ticks: as for `Referral`; None if it could not be read.
    """

    referral_id: str | None
    reason: str
    field: str | None
    detail: str
    content_hash: bytes
    raw_text: str
    updated_ticks: int | None
