"""Partner Center's JSON in, a `Referral` or a `Malformed` out.

Pure. An item is decoded once; its exact bytes stay beside what was understood. Lenient where
Partner Center is known to vary, strict where a column could not be filled truthfully or where
PostgreSQL's jsonb could not hold the text: such an item is set aside with the field and the reason.

The wire's names and value sets are those of Microsoft's referral resource documentation.
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
    Unbelievable,
    check_storable,
    check_texts,
    escape_raw,
    walk_content,
)
from pc_core.referral.values import (
    RefusalError,
    json_type,
    read_amount,
    read_external_ids,
    read_fraction,
    read_id,
    read_instant,
    read_marketplace_signs,
    read_people,
    read_readable,
    read_referral_id,
    read_targets,
    read_text,
    read_ticks,
    read_value,
    read_websites,
)
from pc_core.referral.wire import WireAddress, WireCustomer, WireDetails, WireReferral

# --- what callers see ----------------------------------------------------------------------------


# --- the wire ------------------------------------------------------------------------------------


# --- pages ---------------------------------------------------------------------------------------


# --- items ---------------------------------------------------------------------------------------


_DECODER: Final = msgspec.json.Decoder(float_hook=read_fraction)
# msgspec completes a type when it is first used. Two threads that did so at the same moment have
# ended the interpreter with a segmentation fault: it is done here, where there is only one.
msgspec.json.Decoder(WireReferral)


def parse(item: bytes) -> Referral | Malformed:
    """Understand one item of a page, or say exactly why not. Never raises, whatever the bytes."""
    try:
        content = _DECODER.decode(item)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _explain_unreadable(item)
    if type(content) is not dict:
        detail = f"is of type {json_type(content)} instead of an object"
        return _set_aside(item, content, RefusalError("not_an_object", None, detail), None)
    content_hash: bytes | None = None
    try:
        check_storable(item, content)
        content_hash = hash_content(item, content)
        return _understand(item, content, msgspec.convert(content, WireReferral), content_hash)
    except msgspec.ValidationError as error:
        return _set_aside(item, content, _wrong_type(error), content_hash)
    except RefusalError as refusal:
        return _set_aside(item, content, refusal, content_hash)


def _understand(
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
        name=read_readable(wire.name),
        type=read_value("type", wire.type, unknown),
        qualification=read_value("qualification", wire.qualification, unknown),
        direction=read_value("direction", wire.direction, unknown),
        status=read_value("status", wire.status, unknown),
        substatus=read_value("substatus", wire.substatus, unknown),
        status_reason=read_readable(wire.status_reason),
        registration_status=read_text(wire.registration_status),
        sales_stage=read_text(wire.sales_stage),
        company_name=read_readable(customer.name),
        country=country and country.upper(),
        city=read_readable(address.city),
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


_NO_CUSTOMER: Final = WireCustomer()
_NO_ADDRESS: Final = WireAddress()
_NO_DETAILS: Final = WireDetails()

# --- values --------------------------------------------------------------------------------------


# --- what PostgreSQL can hold --------------------------------------------------------------------


# --- setting aside -------------------------------------------------------------------------------

_MISMATCH: Final = re.compile(r"(?P<detail>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)


def _wrong_type(error: msgspec.ValidationError) -> RefusalError:
    match = _MISMATCH.fullmatch(str(error))
    detail, field = (match["detail"], match["field"]) if match else ("unexpected type", None)
    return RefusalError("wrong_type", field, detail[:1].lower() + detail[1:])


def _set_aside(
    item: bytes, content: Any, refusal: RefusalError, content_hash: bytes | None
) -> Malformed:
    fields = content if isinstance(content, dict) else {}
    return Malformed(
        referral_id=_salvage(_salvage_id, fields.get("id")),
        reason=refusal.reason,
        field=refusal.field or None,
        detail=refusal.detail,
        content_hash=content_hash or hash_bytes(item),
        raw_text=escape_raw(item),
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
        raw_text=escape_raw(referral.raw),
        updated_ticks=referral.updated_ticks,
    )


def _salvage[T](read: Callable[[str], T], value: Any) -> T | None:
    if not isinstance(value, str):
        return None
    try:
        return read(value)
    except RefusalError:
        return None


def _salvage_id(value: str) -> str | None:
    referral_id = read_referral_id(value)
    return None if "\0" in referral_id or SURROGATE.search(referral_id) else referral_id


def _salvage_ticks(value: str) -> int | None:
    instant = read_instant(value, "updatedDateTime")
    return read_ticks(instant, value) if instant else None


def _explain_unreadable(item: bytes) -> Malformed:
    """Find out why the strict decoder refused, with a parser that lets more pass."""
    content: Any = None
    try:
        text = item.decode("utf-8", "surrogateescape")
        content = json.loads(
            text,
            strict=False,
            parse_float=_tolerate(read_fraction),
            parse_int=_tolerate(_read_integer),
            parse_constant=lambda _: Unbelievable("number_not_finite", "is NaN or infinite"),
        )
        if not _is_utf8(item):
            refusal = RefusalError("invalid_utf8", _invalid_utf8_path(content), "is not UTF-8")
        else:
            check_texts(content)
            refusal = RefusalError("control_character", None, "an unescaped control character")
            json.loads(text)
            refusal = RefusalError("invalid_json", None, "is refused by the strict decoder")
    except RefusalError as found:
        refusal = found
    except json.JSONDecodeError as error:
        if content is None:
            detail = f"breaks at character {error.pos} of {len(error.doc)}"
            refusal = RefusalError("invalid_json", None, detail)
    except RecursionError:
        refusal = RefusalError(
            "nested_too_deeply", None, f"is nested more than {MAX_DEPTH} levels deep"
        )
    return _set_aside(item, content, refusal, None)


def _tolerate(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def read_tolerantly(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            detail = f"number of {len(text)} characters is too large or too small"
            return Unbelievable("number_out_of_range", detail)

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
    for path, value, _ in walk_content(content):
        if isinstance(value, str) and _ESCAPED_BYTE.search(value):
            return path
    return None


# What Python's "surrogateescape" makes of bytes that are no UTF-8.
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")

# --- hashes and raw text -------------------------------------------------------------------------
