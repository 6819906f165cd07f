"""One field of the JSON at a time: texts, ids, enums, instants, amounts, lists.

Every function here may raise InvalidItem, which sets the whole item aside.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final

from pc_core.referral.referral import MAX_AMOUNT_DIGITS, MAX_ID_CHARS, MAX_NUMBER_CHARS
from pc_core.referral.ticks import to_ticks
from pc_core.referral.wire import DOCUMENTED_VALUES, WireCustomer, WireDetails, WireReferral

_EXACT: Final = Context(prec=2 * MAX_NUMBER_CHARS)
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_AMOUNT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_IMPOSSIBLE_YEAR: Final = re.compile(
    r"(?:[+-]?0000|[+-]?[0-9]{5,}|[+-][0-9]{4})-[0-9]{2}-[0-9]{2}(?![0-9])"
)
_OUTSIDE_YEARS: Final = "lies outside the years 1 to 9999"
_TICK_DIGITS: Final = 7
_SEVEN_DIGITS: Final = slice(len("2026-03-02T08:14:55."), len("2026-03-02T08:14:55.1234567"))
_UNFILLED: Final = frozenset({"", "none", "unknown", "null", "false", "0"})
_NO_WEBSITES: Final = (None,) * 5
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


class InvalidItem(Exception):
    """An item that is set aside; `read.parse` turns it into a `Malformed`."""

    def __init__(self, reason: str, field: str | None, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.detail = detail


@lru_cache(maxsize=1024)
def read_fraction(text: str) -> int | Decimal:
    """A JSON number with a point or an exponent: 50000.0 and 5e4 become the integer 50000.

    Raises:
        ValueError: the number is too large or too small to be stored.
    """
    try:
        number = Decimal(text)
    except ArithmeticError as error:  # an exponent that Decimal cannot hold
        raise ValueError("number out of range") from error
    if not number:
        return 0
    if len(text) > MAX_NUMBER_CHARS or abs(number.adjusted()) > MAX_NUMBER_CHARS:
        raise ValueError("number out of range")
    number = number.normalize(_EXACT)
    exponent = number.as_tuple().exponent
    return int(number) if isinstance(exponent, int) and exponent >= 0 else number


def read_text(value: str | None) -> str | None:
    """A trimmed text; None if nothing is left."""
    return (value.strip() or None) if value else None


def read_html_text(value: str | None) -> str | None:
    """A trimmed text with its HTML entities decoded once.

    Only entities that end in a semicolon: "Foto&copyshop" is a name, not a copyright sign.
    """
    if not value:
        return None
    if "&" in value:
        value = _ENTITY.sub(lambda entity: html.unescape(entity.group()), value)
    return value.strip() or None


def read_id(value: str | None) -> str | None:
    """A trimmed id; GUIDs in lower case, because their case has no meaning."""
    if not value:
        return None
    value = value.strip()
    lower = value.lower()
    if lower != value and _GUID.fullmatch(lower):
        return lower
    return value or None


def read_referral_id(value: str | None) -> str:
    """The referral's id, which is required."""
    referral_id = read_id(value)
    if referral_id is None:
        raise InvalidItem("id_missing", "id", "is missing, null or blank")
    if len(referral_id) > MAX_ID_CHARS:
        detail = f"has {len(referral_id)} characters, more than {MAX_ID_CHARS}"
        raise InvalidItem("id_too_long", "id", detail)
    return referral_id


def read_enum(field: str, value: str | None, unknown: list[tuple[str, str]]) -> str | None:
    """An enum value in its documented spelling; others are kept and added to `unknown`."""
    if value is None:
        return None
    spelling = DOCUMENTED_VALUES[field]
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


def read_instant(value: str | None, field: str) -> datetime | None:
    """ISO 8601 with any number of fraction digits, cut to microseconds; UTC without a zone."""
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is UTC:
            return instant
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise InvalidItem("date_out_of_range", field, _OUTSIDE_YEARS) from None
    except ValueError:
        pass
    plain = value.strip().removesuffix("z")
    if not plain:
        return None
    if plain != value:
        return read_instant(plain, field)
    if _IMPOSSIBLE_YEAR.match(value):
        raise InvalidItem("date_out_of_range", field, _OUTSIDE_YEARS)
    detail = f"is a text of {len(value)} characters, not an ISO 8601 date"
    raise InvalidItem("not_a_date", field, detail)


def read_ticks(instant: datetime, value: str | None) -> int:
    """`instant` in ticks, with the seventh fraction digit of its text `value`."""
    ticks = to_ticks(instant)
    digits = value.strip()[_SEVEN_DIGITS] if value else ""
    return ticks + int(digits[-1]) if len(digits) == _TICK_DIGITS and digits.isdigit() else ticks


def read_amount(value: Any, field: str) -> Decimal | None:
    """A JSON number, or a number in a text, with a decimal point."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if not _AMOUNT.fullmatch(text):
            raise InvalidItem("not_a_number", field, f"is a text of {len(text)} characters")
        try:
            value = read_fraction(text)
        except ValueError:
            raise InvalidItem("number_out_of_range", field, "is too large or too small") from None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        detail = f"expected a number, got {json_type(value)}"
        raise InvalidItem("wrong_type", field, detail)
    if isinstance(value, int):
        digits = len(str(abs(value)))
        amount = Decimal(value)
    else:
        amount = value
        places = -int(amount.as_tuple().exponent)
        digits = max(amount.adjusted() + 1, 1) + places
    if digits > MAX_AMOUNT_DIGITS:
        detail = f"has {digits} digits, more than {MAX_AMOUNT_DIGITS}"
        raise InvalidItem("number_out_of_range", field, detail)
    return amount


def read_people(members: list[Any]) -> list[Any]:
    """The members that are not null."""
    return [member for member in members if member is not None] if None in members else members


def read_websites(
    wire: WireReferral, customer: WireCustomer, details: WireDetails
) -> tuple[str, ...]:
    """Every website field that is filled."""
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


def read_external_ids(ids: Any) -> tuple[tuple[str | None, str], ...]:
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


def read_targets(target: Any) -> tuple[tuple[str | None, str | None], ...]:
    """Type and id of each target."""
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
        raise InvalidItem("wrong_type", field, f"expected a list, got {json_type(value)}")
    objects = []
    for place, one in enumerate(value):
        if one is None:
            continue
        if not isinstance(one, dict):
            detail = f"expected an object, got {json_type(one)}"
            raise InvalidItem("wrong_type", f"{field}[{place}]", detail)
        objects.append(one)
    return objects


def read_marketplace_signs(wire: WireReferral, details: WireDetails) -> tuple[str, ...]:
    """The filled fields among those that only the marketplace fills."""
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


def json_type(value: Any) -> str:
    """JSON's name for the type of a value."""
    return _JSON_TYPES.get(type(value), "an unknown type")
