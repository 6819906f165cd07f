"""The invented referrals, and the ways in which the world changes them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.simulator import Simulator, UnknownReferral, World, generate_referrals
from dev.simulator.instants import from_wire, to_datetime, to_ticks, to_wire
from dev.simulator.people import OWN_ORGANIZATION_ID
from dev.simulator.referrals import PATTERN_COUNT, invent_guid, serialize
from tests.simulator.conftest import NOW, Walker

REFERRALS = list(generate_referrals(1_000, 1, NOW))


def test_the_same_seed_gives_the_same_referrals() -> None:
    assert list(generate_referrals(50, 3, NOW)) == list(generate_referrals(50, 3, NOW))
    assert list(generate_referrals(50, 4, NOW)) != list(generate_referrals(50, 3, NOW))
    assert World(50, seed=3, now=NOW).ids() == sorted_ids(generate_referrals(50, 3, NOW))


def sorted_ids(referrals: Any) -> list[str]:
    rows = [(from_wire(row["createdDateTime"]), row["id"]) for row in referrals]
    return [referral_id for _, referral_id in sorted(rows)]


def test_a_referral_is_about_as_large_as_the_benchmark_assumes() -> None:
    average = sum(len(serialize(row)) for row in REFERRALS) / len(REFERRALS)

    assert 2_500 <= average <= 2_800


def test_every_category_state_and_oddity_occurs() -> None:
    kinds = Counter((row["type"], row["qualification"]) for row in REFERRALS)
    states = {(row["status"], row["substatus"]) for row in REFERRALS}
    inviters = [
        row.get("inviteContext", {}).get("invitedBy", {}).get("organizationId") for row in REFERRALS
    ]
    mails = [m["email"] for row in REFERRALS for m in row["customerProfile"]["team"]]
    digits = {len(row["createdDateTime"].partition(".")[2].rstrip("Z")) for row in REFERRALS}

    assert (
        min(
            kinds[pair]
            for pair in [
                ("Independent", "Direct"),
                ("Independent", "SalesQualified"),
                ("Independent", "MarketingQualified"),
                ("Independent", "None"),
                ("Shared", "SalesQualified"),
            ]
        )
        > 0
    )
    assert {
        ("New", "Pending"),
        ("New", "Received"),
        ("Active", "Accepted"),
        ("Closed", "Won"),
        ("Closed", "Lost"),
        ("Closed", "Declined"),
        ("Closed", "Expired"),
    } <= states
    assert {"msft", OWN_ORGANIZATION_ID, None} < set(inviters)
    assert {row["direction"] for row in REFERRALS} == {"Incoming", "Outgoing"}
    assert any(row["target"] and row["qualification"] == "Direct" for row in REFERRALS)
    assert any(row["customerProfile"]["ids"] == {} for row in REFERRALS)
    assert any("team" not in row for row in REFERRALS)
    assert any("futureField" in row for row in REFERRALS)
    assert any(row["name"] is None for row in REFERRALS)
    assert any("&amp;" in (row["name"] or "") for row in REFERRALS)
    assert any(mail.endswith("@hotmail.com.tr") for mail in mails)
    assert any(mail.endswith(".onmicrosoft.com") for mail in mails)
    assert any(mail.endswith(".com.tr") for mail in mails)
    assert {0, 6, 7} <= digits
    assert len({row["engagementId"] for row in REFERRALS}) < len(REFERRALS)


def test_instants_lie_in_the_past_year_and_the_etag_tells_the_second_of_the_change() -> None:
    for row in REFERRALS:
        created, updated = from_wire(row["createdDateTime"]), from_wire(row["updatedDateTime"])
        written = int(row["eTag"].strip('"').split("-")[-1][:8], 16)
        assert to_ticks(NOW - timedelta(days=366)) < created <= updated <= to_ticks(NOW)
        assert written == updated // 10_000_000


def test_beyond_the_patterns_identities_are_new_and_domains_differ() -> None:
    world = World(PATTERN_COUNT + 10, seed=1, now=NOW)
    pairs = [
        tuple(world.get(invent_guid(1, "referral", m)) for m in (n, n + PATTERN_COUNT))
        for n in range(10)
    ]

    assert len(set(world.ids())) == PATTERN_COUNT + 10
    assert all(first["details"] == again["details"] for first, again in pairs)
    assert all(first["engagementId"] != again["engagementId"] for first, again in pairs)
    assert any(first["customerProfile"] != again["customerProfile"] for first, again in pairs)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)), st.integers(0, 9))  # noqa: DTZ001
def test_instants_survive_their_wire_form(at: datetime, hundred_ns: int) -> None:
    ticks = to_ticks(at.replace(tzinfo=UTC)) + hundred_ns

    assert from_wire(to_wire(ticks)) == ticks
    assert from_wire(to_wire(ticks, 7)) == ticks
    assert to_datetime(ticks) == at.replace(tzinfo=UTC)


def test_a_change_moves_the_referral_to_the_front_of_the_changed_ones(
    simulator: Simulator, walker: Walker
) -> None:
    referral_id = simulator.state.ids()[0]
    before = simulator.state.get(referral_id)

    after = simulator.state.change(referral_id, status="Active", details={"notes": "Yeni not"})

    first = walker.get("$orderby=updatedDateTime%20desc").json()["value"][0]
    assert first == after
    assert after["eTag"] != before["eTag"]
    assert from_wire(after["updatedDateTime"]) > from_wire(before["updatedDateTime"])
    assert after["details"] == before["details"] | {"notes": "Yeni not"}


def test_a_silent_change_keeps_its_date_and_its_place(simulator: Simulator) -> None:
    referral_id = simulator.state.ids()[0]
    before = simulator.state.get(referral_id)

    after = simulator.state.change(referral_id, silent=True, keep_etag=True, name="Sessiz")

    assert after == before | {"name": "Sessiz"}


def test_a_callable_edits_freely(simulator: Simulator) -> None:
    referral_id = simulator.state.ids()[0]

    after = simulator.state.change(referral_id, lambda referral: referral.pop("customerProfile"))

    assert "customerProfile" not in after
    assert simulator.state.get(referral_id) == after


def test_a_standing_clock_dates_changes_and_can_be_moved(simulator: Simulator) -> None:
    simulator.state.now = NOW
    simulator.state.advance(90)
    after = simulator.state.close(simulator.state.ids()[0], "Lost")

    assert after["updatedDateTime"] == "2026-11-24T09:01:30Z"
    assert (after["status"], after["substatus"]) == ("Closed", "Lost")


def test_added_removed_and_restored(simulator: Simulator) -> None:
    added = simulator.state.add(status="Active", substatus="Accepted")
    given_one = simulator.state.add({"id": "c0c0c0c0-0000-4000-8000-000000000001", "name": "Az"})
    simulator.state.remove(added["id"])
    with pytest.raises(UnknownReferral):
        simulator.state.get(added["id"])
    simulator.state.restore(added["id"])

    assert simulator.state.get(added["id"]) == added
    assert given_one == {"id": "c0c0c0c0-0000-4000-8000-000000000001", "name": "Az"}
    assert len(simulator.state) == 62


def test_a_lesser_role_sees_less_without_an_error(simulator: Simulator, walker: Walker) -> None:
    everything = set(simulator.state.ids())
    count = simulator.state.set_visible(0.5)
    half = {row["id"] for row in walker.walk()}
    simulator.state.set_visible(lambda referral: referral["status"] == "New")
    new = walker.walk()
    simulator.state.set_visible(1.0)

    assert half < everything
    assert 15 <= count == len(half) <= 45
    assert {row["status"] for row in new} == {"New"}
    assert set(simulator.state.ids()) == everything


def test_raw_poison_is_served_byte_by_byte(simulator: Simulator, walker: Walker) -> None:
    simulator.state.set_visible([])
    simulator.state.set_visible(["x", "y"])
    simulator.state.add_raw("x", b'{"id": 5, "name": "\\ud800"}')
    simulator.state.add_raw("y", b"nonsense")

    body = walker.get().content
    assert b'{"id": 5, "name": "\\ud800"}' in body
    assert b"nonsense" in body
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert [row["id"] for row in simulator.state.truth()] == [5]


def test_truth_is_what_a_walk_serves(simulator: Simulator, walker: Walker) -> None:
    simulator.state.change_some(0.2)

    assert walker.walk("$orderby=createdDateTime%20asc") == simulator.state.truth()


def test_changing_some_changes_that_many(simulator: Simulator) -> None:
    before = {row["id"]: row for row in simulator.state.truth()}

    changed = simulator.state.change_some(0.1)

    after = {row["id"]: row for row in simulator.state.truth()}
    assert len(changed) == 6
    assert {i for i in after if after[i] != before[i]} == set(changed)


def test_rendering_beforehand_changes_nothing() -> None:
    world, rendered = World(40, now=NOW), World(40, now=NOW)
    rendered.render_all()

    assert rendered.truth() == world.truth()


def test_a_world_comes_back_from_what_was_kept() -> None:
    world = World(40, now=NOW)
    world.add()
    world.remove(world.ids()[0])
    world.change_some(5)
    world.add_raw("x", b"broken")

    again = World.from_export(json.loads(json.dumps(world.export())))

    assert again.truth() == world.truth()
