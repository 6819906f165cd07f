"""Wire JSON in, a Referral or a Malformed out; never an exception, never a lost byte."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pc_core.referral.read import parse
from pc_core.referral.referral import MAX_DEPTH, MAX_ITEM_BYTES, Malformed, Referral
from pc_core.referral.storable import restore_raw

GUID = "3d5c9f10-7a4e-4b7b-8c55-1e2d3c4b5a60"

MARKETPLACE_LEAD: dict[str, Any] = {
    "id": "1B7C0D33-52E8-4B69-9F0A-6A1D2C3B4E51",
    "engagementId": "8a9b7c6d-1122-4334-9556-778899aabb01",
    "name": None,
    "organizationId": "d0c1b2a3-4455-4667-8899-aabbccddee01",
    "organizationName": "Wingtip Bilişim",
    "createdDateTime": "2026-02-11T06:40:12.3456789Z",
    "updatedDateTime": "2026-02-11T06:40:12.3456789Z",
    "expirationDateTime": "2026-02-25T00:00:00Z",
    "status": "New",
    "substatus": "Received",
    "qualification": "Direct",
    "type": "Independent",
    "referralSource": "AppSource",
    "callToAction": "RequestTrial",
    "eTag": '"1100aa01-0000-0d00-0000-698c4e2c0000"',
    "salesStage": None,
    "direction": "Incoming",
    "registrationStatus": "None",
    "target": [],
    "customerProfile": {
        "name": "Kırmızı Fener Kırtasiye",
        "size": "",
        "address": {"city": " Çanakkale ", "state": None, "country": "tr", "region": None},
        "team": [
            {"firstName": "Umay", "lastName": "Düşsel ", "email": "umay@fener.example"},
            {"firstName": "Ilgaz", "lastName": "Düşsel", "email": None},
        ],
        "ids": [],
    },
    "details": {"notes": "Deneme", "dealValue": None, "currency": None, "closingDateTime": None},
    "team": [],
    "inviteContext": {"notes": None, "invitedBy": {"organizationId": "msft"}},
}
CO_SELL: dict[str, Any] = {
    "id": "44f0e1d2-c3b4-4a59-8687-786950413203",
    "engagementId": "0FEDCBA9-8765-4321-8FED-CBA987654321",
    "name": "  Depo &amp; sevkiyat ",
    "organizationId": "d0c1b2a3-4455-4667-8899-aabbccddee01",
    "externalReferenceId": "OPP-7731",
    "createdDateTime": "2026-05-02T11:20:00.5Z",
    "updatedDateTime": "2026-06-30T21:59:59.9999999Z",
    "acceptedDateTime": "2026-05-02T11:20:00.5Z",
    "closedDateTime": None,
    "status": "Active",
    "substatus": "Accepted",
    "qualification": "SalesQualified",
    "type": "Shared",
    "salesStage": "100",
    "direction": "Outgoing",
    "customerProfile": {
        "name": "Vadi Tarım &amp; Gıda A.Ş.",
        "size": "251to1000employees",
        "address": {"city": "Polatlı", "country": "TR", "region": "Ankara"},
        "team": [{"firstName": "Kurgu", "lastName": "Kişi", "email": "kurgu@vadi.example"}],
        "ids": [{"profileType": "Duns", "id": "111111111"}, {"profileType": "External", "id": 7}],
    },
    "details": {
        "dealValue": 120500.25,
        "currency": "EUR",
        "closingDateTime": "2026-12-31T20:59:59Z",
        "requirements": {"solutions": [{"id": "S-1", "price": 10.50}]},
    },
    "team": [{"firstName": "Lale", "lastName": "Satış", "email": "lale@wingtip.example"}],
    "inviteContext": {"invitedBy": {"organizationId": "d0c1b2a3-4455-4667-8899-aabbccddee01"}},
    "links": {
        "self": {
            "uri": "https://api.partner.example/v1.0/engagements/referrals/44f0",
            "method": "GET",
        }
    },
}
QUALIFIED_LEAD: dict[str, Any] = {
    "id": GUID,
    "createdDateTime": "2026-07-01T00:00:00Z",
    "updatedDateTime": "2026-07-09T03:04:05.0000001Z",
    "status": "New",
    "substatus": "Pending",
    "qualification": "MarketingQualified",
    "type": "Independent",
    "direction": "Incoming",
    "somethingNew": {"deep": [1, None, {"er": "x"}]},
    "target": [{"type": "BusinessProfileLocation", "id": "77aa"}],
    "customerProfile": {
        "name": "Ağva Ölçüm Sanayi",
        "size": None,
        "address": {"city": "Şile", "country": "TR"},
        "team": [{"email": "bir@gmail.com"}, {"email": "IKI@Olcum.example"}],
        "ids": {},
    },
    "details": {"dealValue": 75000, "currency": "TRY"},
    "inviteContext": {"notes": "n", "invitedBy": {"organizationId": "MSFT"}},
}


def encode(wire: Any) -> bytes:
    return json.dumps(wire, ensure_ascii=False).encode("utf-8", "surrogatepass")


def read(wire: Any) -> Referral:
    referral = parse(wire if isinstance(wire, bytes) else encode(wire))
    assert isinstance(referral, Referral), referral
    return referral


def refuse(wire: Any) -> Malformed:
    malformed = parse(wire if isinstance(wire, bytes) else encode(wire))
    assert isinstance(malformed, Malformed), malformed
    return malformed


# --- lifelike referrals --------------------------------------------------------------------------


def test_a_marketplace_lead_is_understood() -> None:
    referral = read(MARKETPLACE_LEAD)

    assert referral.referral_id == "1b7c0d33-52e8-4b69-9f0a-6a1d2c3b4e51"
    assert (referral.name, referral.size, referral.sales_stage) == (None, None, None)
    assert (referral.company_name, referral.city, referral.country) == (
        *("Kırmızı Fener Kırtasiye", "Çanakkale", "TR"),
    )
    assert referral.contacts == MARKETPLACE_LEAD["customerProfile"]["team"]
    assert referral.contact_emails == ("umay@fener.example", None)
    assert referral.created_at == datetime(2026, 2, 11, 6, 40, 12, 345678, tzinfo=UTC)
    assert referral.expires_at == datetime(2026, 2, 25, tzinfo=UTC)
    assert referral.invited_by_organization_id == "msft"
    assert referral.marketplace_signs == ("referralSource", "callToAction")
    assert referral.etag == '"1100aa01-0000-0d00-0000-698c4e2c0000"'
    assert referral.unknown == ()
    assert referral.raw == encode(MARKETPLACE_LEAD)


def test_a_co_sell_opportunity_is_understood() -> None:
    referral = read(CO_SELL)

    assert referral.name == "Depo & sevkiyat"
    assert referral.company_name == "Vadi Tarım & Gıda A.Ş."
    assert referral.engagement_id == "0fedcba9-8765-4321-8fed-cba987654321"
    assert referral.external_reference_id == "OPP-7731"
    assert (referral.deal_value, referral.currency) == (Decimal("120500.25"), "EUR")
    assert referral.updated_at == datetime(2026, 6, 30, 21, 59, 59, 999999, tzinfo=UTC)
    assert referral.updated_ticks is not None
    assert referral.updated_ticks % 10_000_000 == 9_999_999
    assert referral.closing_at == datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC)
    assert referral.external_ids == (("Duns", "111111111"), ("External", "7"))
    assert referral.team == CO_SELL["team"]
    assert referral.marketplace_signs == ()


def test_a_qualified_lead_with_odd_fields_is_understood() -> None:
    referral = read(QUALIFIED_LEAD)

    assert referral.external_ids == ()
    assert referral.target == (("BusinessProfileLocation", "77aa"),)
    assert (referral.deal_value, referral.team, referral.etag) == (Decimal(75000), [], None)
    assert b"somethingNew" in referral.raw


def test_everything_but_the_id_may_be_missing_or_null() -> None:
    bare = read({"id": "r-1"})
    nulls = read({**dict.fromkeys(MARKETPLACE_LEAD), "id": "r-1"})

    for field in Referral.__struct_fields__:
        if field not in ("raw", "content_hash"):
            assert getattr(bare, field) == getattr(nulls, field)
    assert (bare.contacts, bare.team, bare.target, bare.websites) == ([], [], (), ())


def test_websites_are_kept_where_they_are_texts() -> None:
    wire = {
        "id": "r",
        "website": "b.example",
        "companyWebsite": ["no"],
        "customerProfile": {"website": "a.example", "companyWebsite": None},
        "details": {"website": "c.example"},
    }

    assert read(wire).websites == ("a.example", "b.example", "c.example")


@pytest.mark.parametrize(
    ("ids", "pairs"),
    [
        ({}, ()),
        ({"profileType": "External", "id": "x"}, (("External", "x"),)),
        ({"External": "x", "Duns": 1}, (("External", "x"), ("Duns", "1"))),
        ([{"id": "x"}, None, {"profileType": "Duns"}], ((None, "x"),)),
        (None, ()),
    ],
)
def test_external_ids_may_be_a_list_or_an_object(ids: Any, pairs: Any) -> None:
    assert read({"id": "r", "customerProfile": {"ids": ids}}).external_ids == pairs


# --- texts and known values ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  Acme ", "Acme"),
        ("\u00a0\t", None),
        ("R&amp;D &lt;3", "R&D <3"),
        ("&#199;ay &#xC7;ay", "Çay Çay"),
        ("&amp;amp;", "&amp;"),
        ("Foto&copyshop", "Foto&copyshop"),
        ("A & B; C", "A & B; C"),
        ("&#0;&#xD800;", "\ufffd\ufffd"),
        ("&nosuchthing;", "&nosuchthing;"),
    ],
)
def test_names_are_trimmed_and_decoded_once(sent: str, kept: str | None) -> None:
    assert read({"id": "r", "name": sent}).name == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (GUID.upper(), GUID),
        (f" {GUID} ", GUID),
        ("Ref-ABC", "Ref-ABC"),
        (GUID.upper() + "X", GUID.upper() + "X"),
    ],
)
def test_only_guids_are_compared_without_regard_to_case(sent: str, kept: str) -> None:
    assert read({"id": sent, "engagementId": sent}).referral_id == kept
    assert read({"id": sent, "engagementId": sent}).engagement_id == kept


def test_known_values_get_microsofts_spelling_and_new_ones_are_counted() -> None:
    referral = read(
        {
            "id": "r",
            "type": "shared",
            "qualification": " DIRECT ",
            "direction": "Sideways",
            "status": "",
            "substatus": "Snoozed ",
        }
    )

    assert (referral.type, referral.qualification) == ("Shared", "Direct")
    assert (referral.direction, referral.status, referral.substatus) == (
        *("Sideways", None, "Snoozed"),
    )
    assert referral.unknown == (("direction", "Sideways"), ("substatus", "Snoozed"))


# --- amounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("50000", "50000"),
        ("50000.0", "50000"),
        ("5e4", "50000"),
        ("48500.7500", "48500.75"),
        ("-1.5", "-1.5"),
        ("0", "0"),
        ("-0.0", "0"),
        ('"48500.75"', "48500.75"),
        ('" 1e3 "', "1000"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("0.00000000000000000000000000001", "1E-29"),
        ("1234567890123456.1234567890123", "1234567890123456.1234567890123"),
    ],
)
def test_a_deal_value_is_exact(sent: str, amount: str) -> None:
    referral = read(f'{{"id":"r","details":{{"dealValue":{sent}}}}}'.encode())

    assert referral.deal_value == Decimal(amount)


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_blank_deal_value_is_none(blank: Any) -> None:
    assert read({"id": "r", "details": {"dealValue": blank}}).deal_value is None


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("1e30", "number_out_of_range"),
        ("1234567890123456789012345678901", "number_out_of_range"),
        ("1234567890123456.123456789012345", "number_out_of_range"),
        ('"1e9999"', "number_out_of_range"),
        ("1e99999", "number_out_of_range"),
        ("1e99999999999999999999", "number_out_of_range"),
        ("NaN", "number_not_finite"),
        ("-Infinity", "number_not_finite"),
        ('"NaN"', "not_a_number"),
        ('"Infinity"', "not_a_number"),
        ('"48.500,75"', "not_a_number"),
        ('"1_000"', "not_a_number"),
        ('"٣"', "not_a_number"),
        ("true", "wrong_type"),
        ("[1]", "wrong_type"),
        ('{"amount":1}', "wrong_type"),
    ],
)
def test_an_amount_that_no_column_could_hold_is_set_aside(sent: str, reason: str) -> None:
    malformed = refuse(f'{{"id":"r","details":{{"dealValue":{sent}}}}}'.encode())

    assert (malformed.referral_id, malformed.reason, malformed.field) == (
        *("r", reason, "details.dealValue"),
    )


# --- instants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "instant"),
    [
        ("2026-03-02T08:14:55Z", datetime(2026, 3, 2, 8, 14, 55, tzinfo=UTC)),
        ("2026-03-02T08:14:55.5Z", datetime(2026, 3, 2, 8, 14, 55, 500000, tzinfo=UTC)),
        ("2026-03-02T08:14:55.0000000Z", datetime(2026, 3, 2, 8, 14, 55, tzinfo=UTC)),
        ("2026-03-02T08:14:55.1234567+00:00", datetime(2026, 3, 2, 8, 14, 55, 123456, tzinfo=UTC)),
        ("2026-03-02T11:14:55+03:00", datetime(2026, 3, 2, 8, 14, 55, tzinfo=UTC)),
        ("2026-03-02T08:14:55", datetime(2026, 3, 2, 8, 14, 55, tzinfo=UTC)),
        (" 2026-03-02t08:14:55z ", datetime(2026, 3, 2, 8, 14, 55, tzinfo=UTC)),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("2026-12-31T23:59:59.9999999Z", datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_as_utc_and_cut_to_microseconds(sent: Any, instant: Any) -> None:
    referral = read({"id": "r", "updatedDateTime": sent, "details": {"closingDateTime": sent}})

    assert referral.updated_at == instant
    assert referral.closing_at == instant
    if instant is not None:
        assert referral.updated_at is not None
        assert referral.updated_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("yesterday", "not_a_date"),
        ("02.03.2026", "not_a_date"),
        ("2026-13-01T00:00:00Z", "not_a_date"),
        ("2026-02-29T00:00:00Z", "not_a_date"),
        ("2026-03-02T25:00:00Z", "not_a_date"),
        ("0000-01-01T00:00:00Z", "date_out_of_range"),
        ("10000-01-01T00:00:00Z", "date_out_of_range"),
        ("-0044-03-15T00:00:00Z", "date_out_of_range"),
        ("0001-01-01T00:00:00+03:00", "date_out_of_range"),
        ("9999-12-31T23:59:59-03:00", "date_out_of_range"),
        (1772439295, "wrong_type"),
    ],
)
@pytest.mark.parametrize(
    "field", ["createdDateTime", "updatedDateTime", "expirationDateTime", "acceptedDateTime"]
)
def test_what_is_no_date_is_set_aside(field: str, sent: Any, reason: str) -> None:
    malformed = refuse({"id": "r", field: sent})

    assert (malformed.reason, malformed.field) == (reason, field)
    assert str(sent) not in malformed.detail


@pytest.mark.parametrize(
    ("sent", "ticks"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.0000001Z", 1),
        ("1970-01-01T00:00:01.23Z", 12_300_000),
        ("1970-01-01T00:00:00.123456+03:00", -3 * 36_000_000_000 + 1_234_560),
        ("1970-01-01T00:00:00.12345678999Z", 1_234_567),
        ("1969-12-31T23:59:59.9999999Z", -1),
    ],
)
def test_ticks_keep_seven_digits_and_cut_the_rest(sent: str, ticks: int) -> None:
    assert read({"id": "r", "updatedDateTime": sent}).updated_ticks == ticks


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.text("0123456789", max_size=12),
    st.integers(-23 * 60, 23 * 60),
)
def test_times_are_never_rounded_up(moment: datetime, fraction: str, offset_min: int) -> None:
    moment = moment.replace(microsecond=0)
    sign = "-" if offset_min < 0 else "+"
    hours, minutes = divmod(abs(offset_min), 60)
    zone = f"{sign}{hours:02}:{minutes:02}" if offset_min else "Z"
    text = moment.isoformat() + (f".{fraction}" if fraction else "") + zone

    referral = read({"id": "r", "updatedDateTime": text})

    whole = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    beyond = Decimal(f"0.{fraction}") if fraction else Decimal(0)
    assert referral.updated_at == whole + timedelta(microseconds=int(beyond * 1_000_000))
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    assert referral.updated_ticks == (
        (since.days * 86_400 + since.seconds) * 10_000_000 + int(beyond * 10_000_000)
    )


# --- setting aside -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "reason", "field"),
    [
        ({}, "id_missing", "id"),
        ({"id": None}, "id_missing", "id"),
        ({"id": "  "}, "id_missing", "id"),
        ({"id": 7}, "wrong_type", "id"),
        ({"id": "x" * 256}, "id_too_long", "id"),
        ({"id": "r", "name": 5}, "wrong_type", "name"),
        ({"id": "r", "status": ["New"]}, "wrong_type", "status"),
        ({"id": "r", "details": []}, "wrong_type", "details"),
        ({"id": "r", "customerProfile": "x"}, "wrong_type", "customerProfile"),
        (
            {"id": "r", "customerProfile": {"address": {"city": 1}}},
            *("wrong_type", "customerProfile.address.city"),
        ),
        (
            {"id": "r", "customerProfile": {"team": [{}, {"email": 5}]}},
            *("wrong_type", "customerProfile.team[1].email"),
        ),
        ({"id": "r", "customerProfile": {"team": {}}}, "wrong_type", "customerProfile.team"),
        ({"id": "r", "customerProfile": {"ids": "x"}}, "wrong_type", "customerProfile.ids"),
        ({"id": "r", "customerProfile": {"ids": [3]}}, "wrong_type", "customerProfile.ids[0]"),
        ({"id": "r", "team": ["Ada"]}, "wrong_type", "team[0]"),
        ({"id": "r", "target": "x"}, "wrong_type", "target"),
        ({"id": "r", "inviteContext": {"invitedBy": 1}}, "wrong_type", "inviteContext.invitedBy"),
        ({"id": "r", "etc": {"a": ["\0"]}}, "nul_character", "etc.a[0]"),
        ({"id": "r", "n\0": 1}, "nul_character", "n\\x00"),
        ({"id": "r", "etc": ["ok", "\ud83d"]}, "lone_surrogate", "etc[1]"),
        ([], "not_an_object", None),
        (None, "not_an_object", None),
        ("r", "not_an_object", None),
        (3, "not_an_object", None),
    ],
)
def test_the_reason_and_the_field_are_exact(wire: Any, reason: str, field: str | None) -> None:
    # json.dumps escapes NUL and, with ensure_ascii, lone surrogates, as they arrive on the wire.
    malformed = refuse(json.dumps(wire).encode())

    assert (malformed.reason, malformed.field) == (reason, field)


@pytest.mark.parametrize(
    ("item", "reason", "field"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"id":"r",}', "invalid_json", None),
        (b'{"id":"r","n":1.}', "invalid_json", None),
        (b'{"id":"r"} x', "invalid_json", None),
        (b"<html></html>", "invalid_json", None),
        (b'{"id":"r","name":"a\nb"}', "control_character", None),
        (b'{"id":"r","name":"a\x00b"}', "nul_character", "name"),
        (b'{"id":"r","name":"\xff"}', "invalid_utf8", "name"),
        (b'{"id":"r","name":"\xed\xa0\x80"}', "invalid_utf8", "name"),
        (b'{"id":"r","x":{"y":1e5000}}', "number_out_of_range", "x.y"),
        (b'{"id":"r","x":[1,-1e-5000]}', "number_out_of_range", "x[1]"),
        (b'{"id":"r","x":' + b"9" * 5000 + b"}", "number_out_of_range", "x"),
        (b'{"id":"r","x":0.' + b"1" * 5000 + b"}", "number_out_of_range", "x"),
        (b'{"id":"r","x":NaN}', "number_not_finite", "x"),
    ],
)
def test_what_is_no_json_or_no_jsonb_says_why(item: bytes, reason: str, field: str | None) -> None:
    malformed = refuse(item)

    assert (malformed.reason, malformed.field) == (reason, field)
    assert restore_raw(malformed.raw_text) == item


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 20_000, 200_000])
def test_bottomless_nesting_is_set_aside(depth: int) -> None:
    item = b'{"id":"r","x":' + b"[" * depth + b"]" * depth + b"}"

    malformed = refuse(item)

    assert malformed.reason == "nested_too_deeply"
    assert len(malformed.field or "") <= 200


def test_deep_but_bounded_nesting_is_kept() -> None:
    depth = MAX_DEPTH - 2

    assert read(b'{"id":"r","x":' + b"[" * depth + b"]" * depth + b"}").referral_id == "r"


def test_an_oversized_item_is_set_aside() -> None:
    assert refuse({"id": "r", "x": "y" * MAX_ITEM_BYTES}).reason == "too_large"


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert read(b'{"id":"r","name":"C:\\\\u0000"}').name == "C:\\u0000"


def test_what_is_set_aside_keeps_its_id_and_date_where_they_can_be_read() -> None:
    malformed = refuse(
        {"id": GUID.upper(), "updatedDateTime": "1970-01-01T00:00:00.0000003Z", "name": 3}
    )

    assert (malformed.referral_id, malformed.updated_ticks) == (GUID, 3)


@pytest.mark.parametrize("bad_id", ["", "x" * 300, "a\0b", 5, None])
def test_an_unusable_id_is_none(bad_id: Any) -> None:
    wire = {"id": bad_id, "name": "\0", "updatedDateTime": "never"}

    malformed = refuse(json.dumps(wire).encode())

    assert (malformed.referral_id, malformed.updated_ticks) == (None, None)


def test_details_never_hold_a_value() -> None:
    secret = "Umay Düşsel"
    for wire in (
        {"id": "r", "updatedDateTime": secret},
        {"id": "r", "details": {"dealValue": secret}},
        {"id": "r", "details": secret},
        {"id": "r", "x": secret + "\0"},
        {"id": secret + "x" * 300},
    ):
        malformed = refuse(json.dumps(wire).encode())
        assert secret not in malformed.detail
        assert secret not in (malformed.field or "")


# --- content hash --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {**CO_SELL, "links": None},
        {key: value for key, value in CO_SELL.items() if key != "links"},
        {**CO_SELL, "@odata.context": "https://x/$metadata"},
        {**CO_SELL, "details": {**CO_SELL["details"], "@odata.type": "#details"}},
        {**CO_SELL, "team@odata.count": 1},
        dict(reversed(CO_SELL.items())),
    ],
)
def test_links_annotations_and_key_order_do_not_change_the_hash(other: dict[str, Any]) -> None:
    assert read(other).content_hash == read(CO_SELL).content_hash


@pytest.mark.parametrize(
    "other",
    [
        {**CO_SELL, "favorite": True},
        {**CO_SELL, "eTag": "x"},
        {**CO_SELL, "tags": []},
        {**CO_SELL, "name": None},
        {**CO_SELL, "updatedDateTime": "2026-06-30T21:59:59.9999998Z"},
        {**CO_SELL, "details": {**CO_SELL["details"], "links": 1}},
        {**CO_SELL, "details": {**CO_SELL["details"], "dealValue": 120500.26}},
        {**CO_SELL, "details": {**CO_SELL["details"], "dealValue": "120500.25"}},
    ],
)
def test_whatever_has_meaning_changes_the_hash(other: dict[str, Any]) -> None:
    assert read(other).content_hash != read(CO_SELL).content_hash


@pytest.mark.parametrize(
    ("one", "two"),
    [("50000", "50000.0"), ("1.5", "1.50"), ("100", "1e2"), ("0", "-0.0"), ("1e-7", "0.0000001")],
)
def test_how_a_number_is_written_does_not_change_the_hash(one: str, two: str) -> None:
    first = read(f'{{"id":"r","n":[{one}]}}'.encode())
    second = read(f'{{"id":"r","n":[{two}]}}'.encode())

    assert first.content_hash == second.content_hash


def test_the_hash_of_what_is_set_aside_is_independent_of_key_order_too() -> None:
    first = refuse({"id": "r", "name": 1, "x": 2.0})
    second = refuse({"x": 2, "name": 1, "id": "r", "links": {}})

    assert first.content_hash == second.content_hash


JSON_TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | JSON_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(JSON_TEXT, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("id", "engagementId", "name", "status", "substatus", "type", "qualification"),
        *("direction", "updatedDateTime", "createdDateTime", "customerProfile", "details"),
        *("team", "inviteContext", "target", "registrations", "links", "@odata.etag", "website"),
        *("address", "city", "email", "ids", "dealValue", "invitedBy", "organizationId"),
    ]
)
WIRE = st.dictionaries(
    FIELDS,
    JSON
    | st.dictionaries(FIELDS, JSON, max_size=4)
    | st.lists(st.dictionaries(FIELDS, JSON, max_size=3), max_size=3),
    max_size=8,
)


def shuffle(value: Any) -> Any:
    """The same JSON with every object's keys in reverse."""
    if isinstance(value, dict):
        return {key: shuffle(member) for key, member in reversed(value.items())}
    return [shuffle(member) for member in value] if isinstance(value, list) else value


@given(WIRE)
def test_key_order_never_changes_the_hash(wire: dict[str, Any]) -> None:
    one = parse(encode({**wire, "id": "r"}))
    two = parse(encode(shuffle({**wire, "id": "r"})))

    if isinstance(one, Referral) or one.reason == "wrong_type":
        assert one.content_hash == two.content_hash


@given(JSON | WIRE, st.booleans())
@example({"id": "r", "x": math.inf}, True)
def test_no_json_makes_parse_stumble(wire: Any, ascii_only: bool) -> None:
    item = json.dumps(wire, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    found = parse(item)

    if isinstance(found, Referral):
        assert found.raw == item
        assert json.loads(found.raw)["id"].strip().lower() == found.referral_id.lower()
    else:
        assert restore_raw(found.raw_text) == item
        assert found.reason != "invalid_json"


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: b'{"id":"' + text.encode()))
@example("␛ff\0".encode() + b"\xff")
def test_raw_text_fits_a_text_column_and_turns_back_into_the_bytes(item: bytes) -> None:
    found = parse(item)

    assert isinstance(found, Malformed)
    assert "\0" not in found.raw_text
    found.raw_text.encode("utf-8")
    assert restore_raw(found.raw_text) == item
