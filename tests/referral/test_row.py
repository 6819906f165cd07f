"""A Referral laid out in columns, and how texts are folded for search."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.referral.read import parse
from pc_core.referral.referral import Referral
from pc_core.referral.row import COLUMNS, RULES_VERSION, Row, build_row
from pc_core.referral.words import fold, split_words

OWN = frozenset({"wingtip.example"})
WIRE: dict[str, Any] = {
    "id": "9f8e7d6c-5b4a-4392-8180-7f6e5d4c3b2a",
    "engagementId": "00112233-4455-4677-8899-aabbccddeeff",
    "externalReferenceId": "OPP-İ-9",
    "name": "Bulut göçü",
    "type": "Shared",
    "qualification": "SalesQualified",
    "status": "Active",
    "substatus": "Accepted",
    "direction": "Incoming",
    "updatedDateTime": "2026-05-05T05:05:05.5555559Z",
    "organizationId": "d0c1b2a3-4455-4667-8899-aabbccddee01",
    "registrationStatus": "ReviewPending",
    "salesStage": "Develop",
    "customerProfile": {
        "name": "IŞIK &amp; Gölge A.Ş.",
        "size": "10to50employees",
        "address": {"city": "İzmir", "country": "TR"},
        "team": [
            {
                "firstName": "Gizli",
                "lastName": "Kişi",
                "phoneNumber": "555",
                "email": "g@gmail.com",
            },
            {"firstName": "Öbür", "lastName": "Kişi", "email": "o@mail.ışık.com.tr"},
        ],
    },
    "details": {"dealValue": 1000.10, "currency": "TRY"},
    "team": [{"firstName": "Lale", "weight": 1.5}],
    "inviteContext": {"invitedBy": {"organizationId": "d0c1b2a3-4455-4667-8899-aabbccddee01"}},
}


def row(wire: dict[str, Any]) -> Row:
    referral = parse(json.dumps(wire, ensure_ascii=False).encode())
    assert isinstance(referral, Referral)
    return build_row(referral, own_domains=OWN)


def test_every_column_is_filled_from_the_content() -> None:
    built = row(WIRE)

    assert built.referral_id == WIRE["id"]
    assert (built.category, built.referral_type, built.classification_rule) == (
        *("co_sell_opportunity", "co-sell", "invited_by_partner"),
    )
    assert (built.company_name, built.name) == ("IŞIK & Gölge A.Ş.", "Bulut göçü")
    assert (built.domain, built.domain_source, built.raw_domain) == (
        *("xn--k-ekaa7p.com.tr", "customer_email", "mail.xn--k-ekaa7p.com.tr"),
    )
    assert (built.customer_country, built.customer_city, built.customer_size) == (
        *("TR", "İzmir", "10to50employees"),
    )
    assert (built.deal_value, built.currency) == (Decimal("1000.1"), "TRY")
    assert built.pc_updated_ticks is not None
    assert built.pc_updated_ticks % 10_000_000 == 5_555_559
    assert json.loads(built.contacts) == WIRE["customerProfile"]["team"]
    assert json.loads(built.team) == WIRE["team"]
    assert json.loads(built.raw_data) == WIRE
    assert (built.registration_status, built.sales_stage) == ("ReviewPending", "Develop")


def test_the_columns_are_the_rows_fields_in_order() -> None:
    assert tuple(Row.__struct_fields__) == COLUMNS
    assert COLUMNS[0] == "referral_id"
    assert len(COLUMNS) == len(set(COLUMNS))


def test_a_bare_referral_has_empty_lists_and_no_domain() -> None:
    built = row({"id": "r-1"})

    assert (built.contacts, built.team) == (b"[]", b"[]")
    assert (built.domain, built.domain_source, built.raw_domain) == (None, None, None)
    assert (built.category, built.referral_type) == ("unknown", None)
    assert built.search_words == "r 1"


def test_the_search_words_hold_both_forms_of_a_domain_and_nobodys_name() -> None:
    words = row(WIRE).search_words.split(" ")

    for wanted in (
        *("ISIK", "ışık & gölge", "Bulut GOCU", "xn--k-ekaa7p.com.tr", "ışık.com.tr", "IZMIR"),
        *(WIRE["id"], WIRE["engagementId"].upper(), "opp-i-9"),
    ):
        assert set(split_words(fold(wanted))) <= set(words)
    for private in ("gizli", "kisi", "555", "gmail", "lale", "obur"):
        assert not any(private in word for word in words)


def test_the_rules_have_a_version() -> None:
    assert RULES_VERSION >= 1


# --- folding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        ("İZMİR", "izmir", "Izmir", "IZMIR", "ızmır", "i\u0307zmir", "Ízmir"),
        ("ŞİŞLİ", "şişli", "Sisli", "SISLI", "şışlı"),
        ("ÇAĞRI", "çağrı", "cagri", "CAGRI", "c\u0327ag\u0306ri"),
        ("Özgür Üğüt", "OZGUR UGUT", "o\u0308zgu\u0308r u\u0308g\u0306u\u0308t"),
        ("Straße", "STRASSE", "strasse"),
        ("Škoda Łódź", "skoda lodz"),
        ("Æther Øre", "aether ore"),
        ("\uff21\uff23\uff2d\uff25", "acme"),
        ("ΟΔΟΣ", "οδος", "οδοσ"),
        ("Hâlâ", "HALA"),
    ],
)
def test_case_accents_and_dots_do_not_matter(same: tuple[str, ...]) -> None:
    assert len({fold(text) for text in same}) == 1


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text("abcçdefgğhıiİIjklmnoöprsşŞtuüvyzâîûéè .-&'", max_size=30))
def test_upper_and_lower_case_are_equal_after_folding(text: str) -> None:
    assert fold(text) == fold(text.upper()) == fold(text.lower()) == fold(text.casefold())


@given(st.text())
def test_the_way_a_text_is_composed_does_not_matter(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


def test_guids_stay_whole_and_other_texts_fall_into_words() -> None:
    guid = "0a1b2c3d-0000-4000-8000-00000000d0c5"

    assert split_words(f"acme-gida ltd.\nacme-gida.com.tr\n{guid}") == [
        "acme",
        "gida",
        "ltd",
        "acme",
        "gida",
        "com",
        "tr",
        guid,
    ]
    assert max(map(len, split_words("x" * 5000))) == 100
