"""One item of Partner Center's JSON in, a `Referral` or a `Malformed` out.

An item is decoded once, and its exact bytes are kept. Reading is lenient where Partner Center is
known to vary. It is strict where a column could not be filled correctly or where PostgreSQL's
jsonb could not hold the text: such an item is set aside with the field and the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pc_core.referral.content_hash import hash_bytes, hash_content
from pc_core.referral.referral import MAX_DEPTH, Malformed, Referral
from pc_core.referral.storable import (
    SURROGATE,
    InvalidNumber,
    check_storable,
    check_texts,
    escape_raw,
    iter_values,
)
from pc_core.referral.values import (
    InvalidItem,
    json_type,
    read_amount,
    read_enum,
    read_external_ids,
    read_fraction,
    read_html_text,
    read_id,
    read_instant,
    read_marketplace_signs,
    read_people,
    read_referral_id,
    read_targets,
    read_text,
    read_ticks,
    read_websites,
)
from pc_core.referral.wire import WireAddress, WireCustomer, WireDetails, WireReferral

_DECODER: Final = msgspec.json.Decoder(float_hook=read_fraction)
_NO_CUSTOMER: Final = WireCustomer()
_NO_ADDRESS: Final = WireAddress()
_NO_DETAILS: Final = WireDetails()
# The message of a msgspec.ValidationError, such as "Expected `str`, got `int` - at `$.name`".
_WRONG_TYPE: Final = re.compile(r"(?P<detail>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)
# What "surrogateescape" makes of bytes that are not UTF-8.
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")


def parse(item: bytes) -> Referral | Malformed:
    """Read one item of a page, or say why it cannot be read. Never raises, whatever the bytes."""
    try:
        content = _DECODER.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _explain_unreadable(item)
    if type(content) is not dict:
        detail = f"is of type {json_type(content)} instead of an object"
        return _malformed(item, content, InvalidItem("not_an_object", None, detail), None)
    content_hash: bytes | None = None
    try:
        check_storable(item, content)
        content_hash = hash_content(item, content)
        return _referral(item, content, msgspec.convert(content, WireReferral), content_hash)
    except msgspec.ValidationError as error:
        return _malformed(item, content, _wrong_type(error), content_hash)
    except InvalidItem as error:
        return _malformed(item, content, error, content_hash)


def _referral(
    item: bytes, content: dict[str, Any], wire: WireReferral, content_hash: bytes
) -> Referral:
    unknown: list[tuple[str, str]] = []
    customer = wire.customer_profile or _NO_CUSTOMER
    address = customer.address or _NO_ADDRESS
    details = wire.details or _NO_DETAILS
    invited_by = wire.invite_context.invited_by if wire.invite_context else None
    updated_at = read_instant(wire.updated_date_time, "updatedDateTime")
    country = read_text(address.country)
    return Referral(
        referral_id=read_referral_id(wire.id),
        engagement_id=read_id(wire.engagement_id),
        external_reference_id=read_text(wire.external_reference_id),
        organization_id=read_id(wire.organization_id),
        name=read_html_text(wire.name),
        type=read_enum("type", wire.type, unknown),
        qualification=read_enum("qualification", wire.qualification, unknown),
        direction=read_enum("direction", wire.direction, unknown),
        status=read_enum("status", wire.status, unknown),
        substatus=read_enum("substatus", wire.substatus, unknown),
        status_reason=read_html_text(wire.status_reason),
        registration_status=read_text(wire.registration_status),
        sales_stage=read_text(wire.sales_stage),
        company_name=read_html_text(customer.name),
        country=country and country.upper(),
        city=read_html_text(address.city),
        size=read_text(customer.size),
        contacts=read_people(content["customerProfile"]["team"]) if customer.team else [],
        contact_emails=tuple([m.email for m in customer.team if m]) if customer.team else (),
        team=read_people(content["team"]) if wire.team else [],
        websites=read_websites(wire, customer, details),
        external_ids=read_external_ids(customer.ids) if customer.ids else (),
        target=read_targets(wire.target) if wire.target is not None else (),
        invited_by_organization_id=read_id(invited_by.organization_id) if invited_by else None,
        marketplace_signs=read_marketplace_signs(wire, details),
        deal_value=read_amount(details.deal_value, "details.dealValue"),
        currency=read_text(details.currency),
        closing_at=read_instant(details.closing_date_time, "details.closingDateTime"),
        expires_at=read_instant(wire.expiration_date_time, "expirationDateTime"),
        accepted_at=read_instant(wire.accepted_date_time, "acceptedDateTime"),
        closed_at=read_instant(wire.closed_date_time, "closedDateTime"),
        created_at=read_instant(wire.created_date_time, "createdDateTime"),
        updated_at=updated_at,
        updated_ticks=read_ticks(updated_at, wire.updated_date_time) if updated_at else None,
        etag=read_text(wire.e_tag),
        content_hash=content_hash,
        raw=item,
        unknown=tuple(unknown),
    )


def _wrong_type(error: msgspec.ValidationError) -> InvalidItem:
    match = _WRONG_TYPE.fullmatch(str(error))
    detail, field = (match["detail"], match["field"]) if match else ("unexpected type", None)
    return InvalidItem("wrong_type", field, detail[:1].lower() + detail[1:])


def _malformed(
    item: bytes, content: Any, error: InvalidItem, content_hash: bytes | None
) -> Malformed:
    fields = content if isinstance(content, dict) else {}
    return Malformed(
        referral_id=_salvage(_salvage_id, fields.get("id")),
        reason=error.reason,
        field=error.field or None,
        detail=error.detail,
        content_hash=content_hash or hash_bytes(item),
        raw_text=escape_raw(item),
        updated_ticks=_salvage(_salvage_ticks, fields.get("updatedDateTime")),
    )


def set_aside(referral: Referral, *, reason: str, detail: str) -> Malformed:
    """A referral that could be read, but was refused later, as by the database."""
    return Malformed(
        referral_id=referral.referral_id,
        reason=reason,
        field=None,
        detail=detail,
        content_hash=referral.content_hash,
        raw_text=escape_raw(referral.raw),
        updated_ticks=referral.updated_ticks,
    )


def _salvage[T](read: Callable[[str], T], value: Any) -> T | None:
    if not isinstance(value, str):
        return None
    try:
        return read(value)
    except InvalidItem:
        return None


def _salvage_id(value: str) -> str | None:
    referral_id = read_referral_id(value)
    return None if "\0" in referral_id or SURROGATE.search(referral_id) else referral_id


def _salvage_ticks(value: str) -> int | None:
    instant = read_instant(value, "updatedDateTime")
    return read_ticks(instant, value) if instant else None


def _explain_unreadable(item: bytes) -> Malformed:
    """Find out with a more lenient parser why the strict one refused."""
    content: Any = None
    try:
        text = item.decode("utf-8", "surrogateescape")
        content = json.loads(
            text,
            strict=False,
            parse_float=_lenient(read_fraction),
            parse_int=_lenient(int),
            parse_constant=lambda _: InvalidNumber("number_not_finite", "is NaN or infinite"),
        )
        if _ESCAPED_BYTE.search(text):
            problem = InvalidItem("invalid_utf8", _invalid_utf8_path(content), "is not UTF-8")
        else:
            check_texts(content)
            problem = InvalidItem("control_character", None, "an unescaped control character")
            json.loads(text)
            problem = InvalidItem("invalid_json", None, "is refused by the strict decoder")
    except InvalidItem as found:
        problem = found
    except json.JSONDecodeError as error:
        if content is None:
            detail = f"breaks at character {error.pos} of {len(error.doc)}"
            problem = InvalidItem("invalid_json", None, detail)
    except RecursionError:
        problem = InvalidItem(
            "nested_too_deeply", None, f"is nested more than {MAX_DEPTH} levels deep"
        )
    return _malformed(item, content, problem, None)


def _lenient(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def read_number(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            detail = f"number of {len(text)} characters is too large or too small"
            return InvalidNumber("number_out_of_range", detail)

    return read_number


def _invalid_utf8_path(content: Any) -> str | None:
    for path, value, _ in iter_values(content):
        if isinstance(value, str) and _ESCAPED_BYTE.search(value):
            return path
    return None
