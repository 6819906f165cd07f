"""Microsoft's category table, combination by combination, and what Hunter calls each."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from pc_core.referral.classification import Classification, classify
from pc_core.referral.read import parse
from pc_core.referral.referral import Referral

TYPES = ("Independent", "Shared")
QUALIFICATIONS = ("None", "Direct", "MarketingQualified", "SalesQualified")
OWN = "5f0c7a51-22aa-4e0b-9d3e-0a1b2c3d4e5f"
INVITERS = {"nobody": None, "microsoft": "msft", "own": OWN, "partner": "9" * 8 + OWN[8:]}
DIRECTORY = [{"type": "BusinessProfileLocation", "id": "0d2e"}]

MARKETPLACE = Classification("marketplace_lead", "marketplace", "independent_direct")
DIRECTORY_LEAD = Classification(
    "marketplace_lead", "solution-provider", "independent_direct_directory"
)
QUALIFIED = Classification("qualified_lead", "solution-provider", "qualified_by_microsoft")
CO_SELL = Classification("co_sell_opportunity", "co-sell", "invited_by_partner")
UNKNOWN = Classification("unknown", None, "outside_table")

EVERY_COMBINATION = list(itertools.product(TYPES, QUALIFICATIONS, INVITERS))
IN_THE_TABLE = {
    ("Independent", "Direct", "nobody"): MARKETPLACE,
    ("Independent", "Direct", "microsoft"): MARKETPLACE,
    ("Independent", "SalesQualified", "microsoft"): QUALIFIED,
    ("Independent", "MarketingQualified", "microsoft"): QUALIFIED,
    ("Independent", "SalesQualified", "own"): CO_SELL,
    ("Independent", "SalesQualified", "partner"): CO_SELL,
    ("Independent", "None", "own"): CO_SELL,
    ("Independent", "None", "partner"): CO_SELL,
    ("Shared", "SalesQualified", "own"): CO_SELL,
    ("Shared", "SalesQualified", "partner"): CO_SELL,
    ("Shared", "None", "own"): CO_SELL,
    ("Shared", "None", "partner"): CO_SELL,
}


def a_referral(kind: Any, qualification: Any, inviter: str | None, **more: Any) -> Referral:
    wire = {
        "id": "ref-1",
        "organizationId": OWN,
        "type": kind,
        "qualification": qualification,
        "inviteContext": {"invitedBy": {"organizationId": inviter}},
        **more,
    }
    referral = parse(json.dumps(wire).encode())
    assert isinstance(referral, Referral)
    return referral


@pytest.mark.parametrize(("kind", "qualification", "inviter"), EVERY_COMBINATION)
def test_every_combination_is_what_microsofts_table_says(
    kind: str, qualification: str, inviter: str
) -> None:
    referral = a_referral(kind, qualification, INVITERS[inviter])

    found = classify(referral)

    assert found == IN_THE_TABLE.get((kind, qualification, inviter), UNKNOWN)


@pytest.mark.parametrize(("kind", "qualification", "inviter"), EVERY_COMBINATION)
def test_a_profile_location_as_target_changes_marketplace_leads_only(
    kind: str, qualification: str, inviter: str
) -> None:
    before = classify(a_referral(kind, qualification, INVITERS[inviter]))

    after = classify(a_referral(kind, qualification, INVITERS[inviter], target=DIRECTORY))

    assert after == (DIRECTORY_LEAD if before == MARKETPLACE else before)


@pytest.mark.parametrize(
    "sign",
    [
        {"referralSource": "AzureMarketplace"},
        {"callToAction": "ContactMe"},
        {"customerMarketplaceIntent": "Purchase"},
        {"customerMarketplaceIntent": True},
        {"details": {"customerMarketplaceIntent": "Purchase"}},
        {
            "registrations": [
                {
                    "solutionDetails": [
                        {"marketplaceTransactionDetails": {"isMarketplaceTransacted": True}}
                    ]
                }
            ]
        },
    ],
)
def test_a_marketplace_sign_keeps_a_profile_location_lead_in_the_marketplace(
    sign: dict[str, Any],
) -> None:
    assert classify(a_referral("Independent", "Direct", "msft", target=DIRECTORY, **sign)) == (
        MARKETPLACE
    )


@pytest.mark.parametrize(
    "no_sign",
    [
        {"referralSource": None, "callToAction": ""},
        {"referralSource": " None ", "customerMarketplaceIntent": "Unknown"},
        {"customerMarketplaceIntent": False},
        {"registrations": []},
        {"registrations": [{"solutionDetails": [{"marketplaceTransactionDetails": None}]}]},
        {
            "registrations": [
                {
                    "solutionDetails": [
                        {"marketplaceTransactionDetails": {"isMarketplaceTransacted": False}}
                    ]
                }
            ]
        },
        {"registrations": "later", "target": DIRECTORY[0]},
    ],
)
def test_fields_that_say_nothing_are_no_marketplace_sign(no_sign: dict[str, Any]) -> None:
    wire = {"target": DIRECTORY, **no_sign}

    assert classify(a_referral("Independent", "Direct", None, **wire)) == DIRECTORY_LEAD


@pytest.mark.parametrize("sign", ["referralSource", "callToAction"])
def test_a_marketplace_sign_alone_makes_no_marketplace_lead(sign: str) -> None:
    shared = a_referral("Shared", "SalesQualified", OWN, **{sign: "AppSource"})
    outside = a_referral("Shared", "Direct", "msft", **{sign: "AppSource"})

    assert classify(shared) == CO_SELL
    assert classify(outside) == UNKNOWN


@pytest.mark.parametrize(
    "target",
    [[], None, [{"type": "SolutionProfile", "id": "s"}], [{"type": None}], [{}], [None]],
)
def test_other_targets_make_no_directory_lead(target: Any) -> None:
    assert classify(a_referral("Independent", "Direct", None, target=target)) == MARKETPLACE


@pytest.mark.parametrize("msft", ["msft", "MSFT", " Msft "])
def test_microsoft_is_recognised_in_any_case(msft: str) -> None:
    assert classify(a_referral("Independent", "MarketingQualified", msft)) == QUALIFIED


@pytest.mark.parametrize(
    "invite",
    [
        {},
        {"inviteContext": None},
        {"inviteContext": {}},
        {"inviteContext": {"invitedBy": None}},
        {"inviteContext": {"invitedBy": {}}},
        {"inviteContext": {"invitedBy": {"organizationId": "  "}}},
    ],
)
def test_an_absent_inviter_counts_as_null(invite: dict[str, Any]) -> None:
    wire = {"id": "r", "type": "Independent", "qualification": "Direct", **invite}

    referral = parse(json.dumps(wire).encode())

    assert isinstance(referral, Referral)
    assert classify(referral) == MARKETPLACE


def test_a_missing_qualification_reads_as_none() -> None:
    assert classify(a_referral("Shared", None, OWN)) == CO_SELL


@pytest.mark.parametrize(
    ("kind", "qualification", "rule"),
    [
        (None, "Direct", "type_missing"),
        ("", "Direct", "type_missing"),
        ("Joint", "Direct", "type_unknown"),
        ("Shared", "AgentQualified", "qualification_unknown"),
    ],
)
def test_new_values_are_unknown_and_say_which(kind: Any, qualification: str, rule: str) -> None:
    assert classify(a_referral(kind, qualification, OWN)) == Classification("unknown", None, rule)


@pytest.mark.parametrize("direction", ["Incoming", "Outgoing", None])
def test_direction_decides_nothing(direction: Any) -> None:
    assert classify(a_referral("Shared", "None", OWN, direction=direction)) == CO_SELL
