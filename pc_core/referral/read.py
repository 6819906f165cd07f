"""Partner Center's JSON in, a `Referral` or a `Malformed` out.

Pure. An item is decoded once; its exact bytes stay beside what was understood. Lenient where
Partner Center is known to vary, strict where a column could not be filled truthfully or where
PostgreSQL's jsonb could not hold the text: such an item is set aside with the field and the reason.

The wire's names and value sets are those of Microsoft's referral resource documentation.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from pc_core.errors import NonsenseAnswer

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

# --- what callers see ----------------------------------------------------------------------------


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


class Page(NamedTuple):
    """One answer of the list call: each item's exact JSON text, and where to go on (or None)."""

    items: list[bytes]
    next_link: str | None


# --- the wire ------------------------------------------------------------------------------------


class _Address(msgspec.Struct, gc=False):
    city: str | None = None
    country: str | None = None


class _Member(msgspec.Struct, gc=False):
    email: str | None = None


class _Customer(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    size: str | None = None
    address: _Address | None = None
    team: list[_Member | None] | None = None
    # None of the three is documented as read here: an object instead of a list has been seen in
    # `ids`, and the websites only appear in old clients.
    ids: Any = None
    website: Any = None
    company_website: Any = None


class _Details(msgspec.Struct, rename="camel", gc=False):
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
    """One of the partner's own people: an object, nothing of which is read."""


class _Wire(msgspec.Struct, rename="camel", gc=False):
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
    customer_profile: _Customer | None = None
    details: _Details | None = None
    team: list[_Person | None] | None = None
    invite_context: _InviteContext | None = None
    target: Any = None
    # Types of these are not documented or only matter as "filled or not".
    referral_source: Any = None
    call_to_action: Any = None
    customer_marketplace_intent: Any = None
    registrations: Any = None
    website: Any = None
    company_website: Any = None


class _WirePage(msgspec.Struct, gc=False):
    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)


_VALUES: Final[Mapping[str, Sequence[str]]] = {
    "type": ("Independent", "Shared"),
    "qualification": ("None", "Direct", "MarketingQualified", "SalesQualified"),
    "direction": ("Incoming", "Outgoing"),
    "status": ("None", "New", "Active", "Closed"),
    # "Error" stands in no documentation, but a client that leaves it out has been seen.
    "substatus": (
        *("None", "Pending", "Received", "Accepted"),
        *("Won", "Lost", "Declined", "Expired", "Error"),
    ),
}
_SPELLING: Final[Mapping[str, Mapping[str, str]]] = {
    field: {written: value for value in values for written in (value, value.lower())}
    for field, values in _VALUES.items()
}

# --- pages ---------------------------------------------------------------------------------------

_PAGE_DECODER: Final = msgspec.json.Decoder(_WirePage)
# Strings, brackets and commas are all that is needed to cut a page into its items.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_JSON_SPACE: Final = b" \t\r\n"


def parse_page(body: bytes) -> Page:
    """Cut an answer of the list call into its items, without judging them.

    An item that is broken in itself (a lone surrogate, `NaN`, invalid UTF-8, …) does not spoil its
    page: where the fast parser refuses, the page is cut at its brackets instead.

    Raises:
        NonsenseAnswer: the body is no JSON object with a list `value`, or it is cut off.
    """
    try:
        page = _PAGE_DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _cut_page(body)
    return Page([bytes(item) for item in page.value], page.next_link or None)


def _cut_page(body: bytes) -> Page:
    """What `parse_page` does, for bodies that are not quite JSON."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip(_JSON_SPACE)
    if not body.startswith(b"{"):
        raise _nonsense(body, "is no JSON object" if body else "is empty")
    members = dict(_members(body))
    value = members.get(b"value", b"")
    if not value.startswith(b"["):
        raise _nonsense(body, "has no list `value`")
    if not value.endswith(b"]"):
        raise _nonsense(body, "is cut off")
    try:
        next_link = json.loads(members.get(b"@odata.nextLink", b"null"))
    except ValueError:
        next_link = ...
    if next_link is not None and not isinstance(next_link, str):
        raise _nonsense(body, "has an `@odata.nextLink` that is no text")
    return Page([item for item in _split(value, body) if item], next_link or None)


def _members(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    for member in _split(body, body):
        key, colon, value = member.partition(b":")
        if not colon and member:
            raise _nonsense(body, "is no JSON object")
        yield key.strip(_JSON_SPACE).strip(b'"'), value.strip(_JSON_SPACE)


def _split(container: bytes, body: bytes) -> Iterator[bytes]:
    """The parts of a bracketed list or object between its own commas."""
    depth = 0
    start = 1
    for token in _TOKEN.finditer(container):
        sign = token.group()
        if sign in (b"[", b"{"):
            depth += 1
        elif sign in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                yield container[start : token.start()].strip(_JSON_SPACE)
                if container[token.end() :].strip(_JSON_SPACE):
                    raise _nonsense(body, "goes on after its end")
                return
        elif sign == b"," and depth == 1:
            yield container[start : token.start()].strip(_JSON_SPACE)
            start = token.end()
        elif sign == b'"':
            break
    raise _nonsense(body, "is cut off")


def _nonsense(body: bytes, what: str) -> NonsenseAnswer:
    return NonsenseAnswer(
        f"Partner Center's list answer of {len(body)} bytes {what}. Nothing was concluded from it; "
        "what was saved stays saved. The next run asks again."
    )


# --- items ---------------------------------------------------------------------------------------


class _RefusalError(Exception):
    """Why an item is set aside; becomes a `Malformed`."""

    def __init__(self, reason: str, field: str | None, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.detail = detail


_EXACT: Final = Context(prec=2 * MAX_NUMBER_CHARS)


@lru_cache(maxsize=1024)
def _read_fraction(text: str) -> int | Decimal:
    """A JSON number with a point or an exponent, such that 50000, 50000.0 and 5e4 are equal."""
    try:
        number = Decimal(text)
    except ArithmeticError as error:  # an exponent beyond what Decimal knows
        raise ValueError("number out of range") from error
    if not number:
        return 0
    if len(text) > MAX_NUMBER_CHARS or abs(number.adjusted()) > MAX_NUMBER_CHARS:
        raise ValueError("number out of range")
    number = number.normalize(_EXACT)
    exponent = number.as_tuple().exponent
    return int(number) if isinstance(exponent, int) and exponent >= 0 else number


_DECODER: Final = msgspec.json.Decoder(float_hook=_read_fraction)
# msgspec completes a type when it is first used. Two threads that did so at the same moment have
# ended the interpreter with a segmentation fault: it is done here, where there is only one.
msgspec.json.Decoder(_Wire)
_CANONICAL: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def parse(item: bytes) -> Referral | Malformed:
    """Understand one item of a page, or say exactly why not. Never raises, whatever the bytes."""
    try:
        content = _DECODER.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _explain_unreadable(item)
    if type(content) is not dict:
        detail = f"is of type {_json_type(content)} instead of an object"
        return _set_aside(item, content, _RefusalError("not_an_object", None, detail), None)
    content_hash: bytes | None = None
    try:
        _check_storable(item, content)
        content_hash = _hash_content(item, content)
        return _understand(item, content, msgspec.convert(content, _Wire), content_hash)
    except msgspec.ValidationError as error:
        return _set_aside(item, content, _wrong_type(error), content_hash)
    except _RefusalError as refusal:
        return _set_aside(item, content, refusal, content_hash)


def _understand(item: bytes, content: dict[str, Any], wire: _Wire, content_hash: bytes) -> Referral:
    unknown: list[tuple[str, str]] = []
    customer = wire.customer_profile or _NO_CUSTOMER
    address = customer.address or _NO_ADDRESS
    details = wire.details or _NO_DETAILS
    invited_by = wire.invite_context.invited_by if wire.invite_context else None
    updated_at = _instant(wire.updated_date_time, "updatedDateTime")
    country = _text(address.country)
    return Referral(
        referral_id=_referral_id(wire.id),
        engagement_id=_id(wire.engagement_id),
        external_reference_id=_text(wire.external_reference_id),
        organization_id=_id(wire.organization_id),
        name=_readable(wire.name),
        type=_value("type", wire.type, unknown),
        qualification=_value("qualification", wire.qualification, unknown),
        direction=_value("direction", wire.direction, unknown),
        status=_value("status", wire.status, unknown),
        substatus=_value("substatus", wire.substatus, unknown),
        status_reason=_readable(wire.status_reason),
        registration_status=_text(wire.registration_status),
        sales_stage=_text(wire.sales_stage),
        company_name=_readable(customer.name),
        country=country and country.upper(),
        city=_readable(address.city),
        size=_text(customer.size),
        contacts=_people(content["customerProfile"]["team"]) if customer.team else [],
        contact_emails=tuple([m.email for m in customer.team if m]) if customer.team else (),
        team=_people(content["team"]) if wire.team else [],
        websites=_websites(wire, customer, details),
        external_ids=_external_ids(customer.ids) if customer.ids else (),
        target=_targets(wire.target) if wire.target is not None else (),
        invited_by_organization_id=_id(invited_by.organization_id) if invited_by else None,
        marketplace_signs=_marketplace_signs(wire, details),
        deal_value=_amount(details.deal_value, "details.dealValue"),
        currency=_text(details.currency),
        closing_at=_instant(details.closing_date_time, "details.closingDateTime"),
        expires_at=_instant(wire.expiration_date_time, "expirationDateTime"),
        accepted_at=_instant(wire.accepted_date_time, "acceptedDateTime"),
        closed_at=_instant(wire.closed_date_time, "closedDateTime"),
        created_at=_instant(wire.created_date_time, "createdDateTime"),
        updated_at=updated_at,
        updated_ticks=_ticks(updated_at, wire.updated_date_time) if updated_at else None,
        etag=_text(wire.e_tag),
        content_hash=content_hash,
        raw=item,
        unknown=tuple(unknown),
    )


_NO_CUSTOMER: Final = _Customer()
_NO_ADDRESS: Final = _Address()
_NO_DETAILS: Final = _Details()

# --- values --------------------------------------------------------------------------------------

_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_AMOUNT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_YEAR: Final = re.compile(r"(?:[+-]?0000|[+-]?[0-9]{5,}|[+-][0-9]{4})-[0-9]{2}-[0-9]{2}(?![0-9])")
_YEARS: Final = "lies outside the years 1 to 9999"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS_PER_S: Final = 10_000_000
_TICK_DIGITS: Final = 7
_SEVEN_DIGITS: Final = slice(len("2026-03-02T08:14:55."), len("2026-03-02T08:14:55.1234567"))
_UNFILLED: Final = frozenset({"", "none", "unknown", "null", "false", "0"})


def _text(value: str | None) -> str | None:
    return (value.strip() or None) if value else None


def _readable(value: str | None) -> str | None:
    """A trimmed text whose HTML entities are decoded, once.

    Only entities that end in a semicolon: "Foto&copyshop" is a name and no copyright sign.
    """
    if not value:
        return None
    if "&" in value:
        value = _ENTITY.sub(lambda entity: html.unescape(entity.group()), value)
    return value.strip() or None


def _id(value: str | None) -> str | None:
    """A trimmed id; GUIDs in lower case, since they are equal whatever their case."""
    if not value:
        return None
    value = value.strip()
    lower = value.lower()
    if lower != value and _GUID.fullmatch(lower):
        return lower
    return value or None


def _referral_id(value: str | None) -> str:
    referral_id = _id(value)
    if referral_id is None:
        raise _RefusalError("id_missing", "id", "is missing, null or blank")
    if len(referral_id) > MAX_ID_CHARS:
        detail = f"has {len(referral_id)} characters, more than {MAX_ID_CHARS}"
        raise _RefusalError("id_too_long", "id", detail)
    return referral_id


def _value(field: str, value: str | None, unknown: list[tuple[str, str]]) -> str | None:
    if value is None:
        return None
    spelling = _SPELLING[field]
    known = spelling.get(value)
    if known is not None:
        return known
    value = value.strip()
    known = spelling.get(value.lower())
    if known is not None:
        return known
    if not value:
        return None
    unknown.append((field, value))
    return value


def _instant(value: str | None, field: str) -> datetime | None:
    """ISO 8601 in any fraction, cut to microseconds; without a zone it is UTC."""
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is UTC:
            return instant
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise _RefusalError("date_out_of_range", field, _YEARS) from None
    except ValueError:
        pass
    plain = value.strip().removesuffix("z")
    if not plain:
        return None
    if plain != value:
        return _instant(plain, field)
    if _YEAR.match(value):
        raise _RefusalError("date_out_of_range", field, _YEARS)
    detail = f"is a text of {len(value)} characters, not an ISO 8601 date"
    raise _RefusalError("not_a_date", field, detail)


def _ticks(instant: datetime, value: str | None) -> int:
    """100 ns since 1970 with the seventh digit that `instant` has lost; further ones are cut."""
    delta = instant - _EPOCH
    ticks = (delta.days * 86_400 + delta.seconds) * _TICKS_PER_S + delta.microseconds * 10
    digits = value.strip()[_SEVEN_DIGITS] if value else ""
    return ticks + int(digits[-1]) if len(digits) == _TICK_DIGITS and digits.isdigit() else ticks


def _amount(value: Any, field: str) -> Decimal | None:
    """A JSON number, or one written as a text with a decimal point."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if not _AMOUNT.fullmatch(text):
            raise _RefusalError("not_a_number", field, f"is a text of {len(text)} characters")
        try:
            value = _read_fraction(text)
        except ValueError:
            raise _RefusalError("number_out_of_range", field, "is too large or too small") from None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        detail = f"expected a number, got {_json_type(value)}"
        raise _RefusalError("wrong_type", field, detail)
    if isinstance(value, int):
        digits = len(str(abs(value)))
        amount = Decimal(value)
    else:
        amount = value
        places = -int(amount.as_tuple().exponent)
        digits = max(amount.adjusted() + 1, 1) + places
    if digits > MAX_AMOUNT_DIGITS:
        detail = f"has {digits} digits, more than {MAX_AMOUNT_DIGITS}"
        raise _RefusalError("number_out_of_range", field, detail)
    return amount


def _people(members: list[Any]) -> list[Any]:
    return [member for member in members if member is not None] if None in members else members


def _websites(wire: _Wire, customer: _Customer, details: _Details) -> tuple[str, ...]:
    found = (
        customer.website,
        customer.company_website,
        wire.website,
        wire.company_website,
        details.website,
    )
    if found == _NO_WEBSITES:
        return ()
    return tuple(website for website in found if isinstance(website, str))


_NO_WEBSITES: Final = (None,) * 5


def _external_ids(ids: Any) -> tuple[tuple[str | None, str], ...]:
    """(profileType, id) pairs; a single object counts as a list of one, or as type → id."""
    if isinstance(ids, dict) and "id" not in ids:
        pairs = list(ids.items())
    else:
        objects = _objects(ids, "customerProfile.ids")
        pairs = [(one.get("profileType"), one.get("id")) for one in objects]
    return tuple(
        [
            (kind if type(kind) is str else None, str(value))
            for kind, value in pairs
            if type(value) is str or type(value) is int
        ]
    )


def _targets(target: Any) -> tuple[tuple[str | None, str | None], ...]:
    pairs = [(one.get("type"), one.get("id")) for one in _objects(target, "target")]
    return tuple(
        [
            (kind if type(kind) is str else None, value if type(value) is str else None)
            for kind, value in pairs
        ]
    )


def _objects(value: Any, field: str) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value] if value else []
    if not isinstance(value, list):
        raise _RefusalError("wrong_type", field, f"expected a list, got {_json_type(value)}")
    objects = []
    for place, one in enumerate(value):
        if one is None:
            continue
        if not isinstance(one, dict):
            detail = f"expected an object, got {_json_type(one)}"
            raise _RefusalError("wrong_type", f"{field}[{place}]", detail)
        objects.append(one)
    return objects


def _marketplace_signs(wire: _Wire, details: _Details) -> tuple[str, ...]:
    """Which fields that only the marketplace fills are filled; their values are not documented."""
    intent = wire.customer_marketplace_intent or details.customer_marketplace_intent
    if not (wire.referral_source or wire.call_to_action or intent or wire.registrations):
        return ()
    signs = []
    if _is_filled(wire.referral_source):
        signs.append("referralSource")
    if _is_filled(wire.call_to_action):
        signs.append("callToAction")
    if _is_filled(intent):
        signs.append("customerMarketplaceIntent")
    if _is_transacted(wire.registrations):
        signs.append("isMarketplaceTransacted")
    return tuple(signs)


def _is_filled(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in _UNFILLED
    return bool(value)


def _is_transacted(registrations: Any) -> bool:
    for registration in _dicts(registrations):
        for solution in _dicts(registration.get("solutionDetails")):
            transaction = solution.get("marketplaceTransactionDetails")
            if isinstance(transaction, dict) and transaction.get("isMarketplaceTransacted") is True:
                return True
    return False


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


# --- what PostgreSQL can hold --------------------------------------------------------------------


def _check_storable(item: bytes, content: Any) -> None:
    """Refuse what is JSON but no jsonb. Costs next to nothing where there is nothing to find."""
    if len(item) > MAX_ITEM_BYTES:
        detail = f"has {len(item)} bytes, more than {MAX_ITEM_BYTES}"
        raise _RefusalError("too_large", None, detail)
    if len(item) > 2 * MAX_DEPTH and item.count(b"[") + item.count(b"{") > MAX_DEPTH:
        for path, _, depth in _walk(content):
            if depth > MAX_DEPTH:
                detail = f"is nested more than {MAX_DEPTH} levels deep"
                raise _RefusalError("nested_too_deeply", path, detail)
    # The escape may also be an escaped backslash before the letters u0000, which is harmless.
    if b"\\u0000" in item:
        _check_texts(content)


def _check_texts(content: Any) -> None:
    for path, value, _ in _walk(content):
        if isinstance(value, str):
            if "\0" in value:
                raise _RefusalError(
                    "nul_character", path, f"text of {len(value)} characters holds NUL"
                )
            if not value.isascii() and _SURROGATE.search(value):
                detail = f"text of {len(value)} characters holds half a surrogate pair"
                raise _RefusalError("lone_surrogate", path, detail)
        elif isinstance(value, _Unbelievable):
            raise _RefusalError(value.reason, path, value.detail)


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _walk(content: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value and every key below `content`, in order, as (path, value, depth)."""
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        yield path, value, depth
        below: list[tuple[str, Any, int]] = []
        if isinstance(value, dict):
            for key, member in value.items():
                here = f"{path}.{_safe_key(key)}".removeprefix(".")[:_MAX_PATH_CHARS]
                below += [(here, key, depth), (here, member, depth + 1)]
        elif isinstance(value, list):
            below = [
                (f"{path}[{place}]"[:_MAX_PATH_CHARS], member, depth + 1)
                for place, member in enumerate(value)
            ]
        waiting.extend(reversed(below))


_MAX_PATH_CHARS: Final = 200


def _safe_key(key: str) -> str:
    """A wire field's name, fit for logs and text columns."""
    return key if key.isascii() and key.isprintable() else ascii(key)[1:-1]


# --- setting aside -------------------------------------------------------------------------------

_JSON_TYPES: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    Decimal: "number",
    float: "number",
    type(None): "null",
}
_MISMATCH: Final = re.compile(r"(?P<detail>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)


def _json_type(value: Any) -> str:
    return _JSON_TYPES.get(type(value), "nothing known")


def _wrong_type(error: msgspec.ValidationError) -> _RefusalError:
    match = _MISMATCH.fullmatch(str(error))
    detail, field = (match["detail"], match["field"]) if match else ("unexpected type", None)
    return _RefusalError("wrong_type", field, detail[:1].lower() + detail[1:])


def _set_aside(
    item: bytes, content: Any, refusal: _RefusalError, content_hash: bytes | None
) -> Malformed:
    fields = content if isinstance(content, dict) else {}
    return Malformed(
        referral_id=_salvage(_salvage_id, fields.get("id")),
        reason=refusal.reason,
        field=refusal.field or None,
        detail=refusal.detail,
        content_hash=content_hash or _hash_bytes(item),
        raw_text=_escape_raw(item),
        updated_ticks=_salvage(_salvage_ticks, fields.get("updatedDateTime")),
    )


def set_aside(referral: Referral, *, reason: str, detail: str) -> Malformed:
    """A referral that passed every check here and was refused further on."""
    return Malformed(
        referral_id=referral.referral_id,
        reason=reason,
        field=None,
        detail=detail,
        content_hash=referral.content_hash,
        raw_text=_escape_raw(referral.raw),
        updated_ticks=referral.updated_ticks,
    )


def _salvage[T](read: Callable[[str], T], value: Any) -> T | None:
    if not isinstance(value, str):
        return None
    try:
        return read(value)
    except _RefusalError:
        return None


def _salvage_id(value: str) -> str | None:
    referral_id = _referral_id(value)
    return None if "\0" in referral_id or _SURROGATE.search(referral_id) else referral_id


def _salvage_ticks(value: str) -> int | None:
    instant = _instant(value, "updatedDateTime")
    return _ticks(instant, value) if instant else None


class _Unbelievable(NamedTuple):
    """Stands in a tolerantly read item for a number that cannot be kept."""

    reason: str
    detail: str


def _explain_unreadable(item: bytes) -> Malformed:
    """Find out why the strict decoder refused, with a parser that lets more pass."""
    content: Any = None
    try:
        text = item.decode("utf-8", "surrogateescape")
        content = json.loads(
            text,
            strict=False,
            parse_float=_tolerate(_read_fraction),
            parse_int=_tolerate(_read_integer),
            parse_constant=lambda _: _Unbelievable("number_not_finite", "is NaN or infinite"),
        )
        if not _is_utf8(item):
            refusal = _RefusalError("invalid_utf8", _invalid_utf8_path(content), "is not UTF-8")
        else:
            _check_texts(content)
            refusal = _RefusalError("control_character", None, "an unescaped control character")
            json.loads(text)
            refusal = _RefusalError("invalid_json", None, "is refused by the strict decoder")
    except _RefusalError as found:
        refusal = found
    except json.JSONDecodeError as error:
        if content is None:
            detail = f"breaks at character {error.pos} of {len(error.doc)}"
            refusal = _RefusalError("invalid_json", None, detail)
    except RecursionError:
        refusal = _RefusalError(
            "nested_too_deeply", None, f"is nested more than {MAX_DEPTH} levels deep"
        )
    return _set_aside(item, content, refusal, None)


def _tolerate(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def read_tolerantly(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            detail = f"number of {len(text)} characters is too large or too small"
            return _Unbelievable("number_out_of_range", detail)

    return read_tolerantly


def _read_integer(text: str) -> int:
    return int(text)


def _is_utf8(item: bytes) -> bool:
    try:
        item.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _invalid_utf8_path(content: Any) -> str | None:
    for path, value, _ in _walk(content):
        if isinstance(value, str) and _ESCAPED_BYTE.search(value):
            return path
    return None


# What Python's "surrogateescape" makes of bytes that are no UTF-8.
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")

# --- hashes and raw text -------------------------------------------------------------------------

_HASH_BYTES: Final = 16


# hashlib gives the interpreter's lock away for pieces longer than this. Beside a busy thread,
# getting it back takes longer than the hashing.
_HASHED_AT_ONCE: Final = 2047


def _hash_bytes(data: bytes) -> bytes:
    hashed = hashlib.sha256(data[:_HASHED_AT_ONCE])
    for start in range(_HASHED_AT_ONCE, len(data), _HASHED_AT_ONCE):
        hashed.update(data[start : start + _HASHED_AT_ONCE])
    return hashed.digest()[:_HASH_BYTES]


def _hash_content(item: bytes, content: dict[str, Any]) -> bytes:
    """Hash what has meaning. Removes the rest from `content`, which nobody reads afterwards."""
    content.pop("links", None)
    if _has_annotations(item):
        _drop_annotations(content)
    return _hash_bytes(_CANONICAL.encode(content))


def _has_annotations(item: bytes) -> bool:
    # Looking for the one rare byte first is several times faster than for the whole word.
    place = item.find(b"@")
    while place >= 0:
        if item.startswith(_ANNOTATION, place):
            return True
        place = item.find(b"@", place + 1)
    return False


_ANNOTATION: Final = b"@odata."


def _drop_annotations(content: Any) -> None:
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key in [key for key in value if "@odata." in key]:
                del value[key]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


# A character that stands for "escape" and hardly ever stands in a text; it escapes itself too.
_ESCAPE: Final = "\N{SYMBOL FOR ESCAPE}"
_ESCAPED: Final = re.compile(f"{_ESCAPE}([0-9a-f]{{2}})")
_TO_ESCAPE: Final = re.compile(f"[\0{_ESCAPE}\udc80-\udcff]")


def _escape_raw(item: bytes) -> str:
    """Any bytes as a text without NUL and lone surrogates; `restore_raw` turns it back."""
    text = item.decode("utf-8", "surrogateescape")
    return _TO_ESCAPE.sub(
        lambda match: "".join(
            f"{_ESCAPE}{byte:02x}" for byte in match.group().encode("utf-8", "surrogateescape")
        ),
        text,
    )


def restore_raw(raw_text: str) -> bytes:
    """The exact bytes that `Malformed.raw_text` was made from."""
    parts = _ESCAPED.split(raw_text)
    return b"".join(
        bytes.fromhex(part) if place % 2 else part.encode("utf-8")
        for place, part in enumerate(parts)
    )
