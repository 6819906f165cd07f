"""Walks over the simulated lists, under each behaviour that is uncertain about the real ones."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

import pytest

from dev.simulator import Simulator
from dev.simulator.instants import from_wire
from tests.simulator.conftest import Walker

NEWEST_CHANGE = "$orderby=updatedDateTime%20desc"
OLDEST_CREATION = "$orderby=createdDateTime%20asc"


def updated(rows: list[dict[str, Any]]) -> list[int]:
    return [from_wire(row["updatedDateTime"]) for row in rows]


def created(rows: list[dict[str, Any]]) -> list[int]:
    return [from_wire(row["createdDateTime"]) for row in rows]


def switch(simulator: Simulator, **switches: Any) -> None:
    for name, value in switches.items():
        setattr(simulator.behaviour, name, value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"page_size": 7},
        {"page_size": 100},
        {"paging": "keyset"},
        {"next_link_form": "absolute"},
        {"next_link_form": "relative"},
        {"next_link_form": "foreign_host"},
        {"empty_page_with_next_link": True},
        {"top_means": "ignored"},
        {"fraction_digits": 0},
        {"fraction_digits": 7},
    ],
    ids=str,
)
def test_a_walk_meets_every_referral_once_and_in_order(
    simulator: Simulator, walker: Walker, changes: dict[str, Any]
) -> None:
    switch(simulator, **changes)

    by_change = walker.walk(NEWEST_CHANGE)
    by_creation = walker.walk(OLDEST_CREATION)

    truth = sorted(simulator.state.ids())
    assert sorted(row["id"] for row in by_change) == truth
    assert sorted(row["id"] for row in by_creation) == truth
    assert updated(by_change) == sorted(updated(by_change), reverse=True)
    assert created(by_creation) == sorted(created(by_creation))


def test_pages_have_the_documented_shape_and_headers(simulator: Simulator, walker: Walker) -> None:
    answer = walker.get(client_request_id="6f1f0c0e-0000-4000-8000-000000000001")
    body = answer.json()
    link = body["@odata.nextLink"]
    token = link.partition("=")[2]

    assert list(body) == ["@odata.context", "@odata.count", "value", "@odata.nextLink"]
    assert body["@odata.count"] == 25
    assert link.startswith(f"http://localhost:{simulator.port}/v1.0/referrals?$skiptoken=")
    assert 900 <= len(token) <= 1_200
    assert token == token.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")
    assert answer.headers["client-request-id"] == "6f1f0c0e-0000-4000-8000-000000000001"
    assert answer.headers["Request-ID"]
    assert answer.headers["Date"]


def test_without_orderby_the_newest_creation_comes_first(walker: Walker) -> None:
    rows = walker.walk()

    assert created(rows) == sorted(created(rows), reverse=True)


@pytest.mark.parametrize(
    ("top_means", "sizes"),
    [("page", [10, 10, 10, 10, 10, 10]), ("total", [10]), ("ignored", [25, 25, 10])],
)
def test_top_is_a_page_size_or_a_cap_or_nothing(
    simulator: Simulator, walker: Walker, top_means: str, sizes: list[int]
) -> None:
    switch(simulator, top_means=top_means)

    assert [len(page) for page in walker.pages("$top=10")] == sizes


def test_a_total_larger_than_a_page_comes_in_pages(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.top_means = "total"

    assert [len(page) for page in walker.pages("$top=40")] == [25, 15]


@pytest.mark.parametrize("rule", ["ignored", "creation"])
def test_order_by_change_may_turn_out_as_order_by_creation(
    simulator: Simulator, walker: Walker, rule: str
) -> None:
    switch(simulator, updated_order=rule)
    rows = walker.walk(NEWEST_CHANGE)

    assert created(rows) == sorted(created(rows), reverse=True)
    assert updated(rows) != sorted(updated(rows), reverse=True)


@pytest.mark.parametrize(
    "changes", [{"updated_order": "first_page_only"}, {"next_link_loses_order": True}], ids=str
)
def test_order_by_change_may_hold_for_the_first_page_only(
    simulator: Simulator, walker: Walker, changes: dict[str, Any]
) -> None:
    in_order = next(walker.pages(NEWEST_CHANGE))
    switch(simulator, **changes)
    first, *later = walker.pages(NEWEST_CHANGE)
    rest = [row for page in later for row in page]

    assert first == in_order
    assert created(rest) == sorted(created(rest), reverse=True)
    assert updated(rest) != sorted(updated(rest), reverse=True)


def test_an_order_may_be_refused(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.updated_order = "refused"
    answers = [walker.get(query).status_code for query in (NEWEST_CHANGE, OLDEST_CREATION)]

    assert answers == [400, 200]
    assert walker.get("$orderby=name").json()["error"]["code"] == "invalidRequest"


def test_a_next_link_may_die(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.next_link_ttl_s = 0.05
    query = walker.get().json()["@odata.nextLink"].partition("?")[2]
    at_once = walker.get(query).status_code
    time.sleep(0.06)

    assert [at_once, walker.get(query).status_code] == [200, 400]


def test_a_next_link_may_repeat(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.next_link_repeats = True
    first, second, third = walker.pages(most=3)

    assert first != second
    assert second == third


def test_every_page_may_be_the_first(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.page_equal_always = True
    pages = list(walker.pages(most=4))

    assert len(pages) == 4
    assert pages == [pages[0]] * 4


def test_an_empty_page_may_come_with_a_next_link(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.empty_page_with_next_link = True

    assert [len(page) for page in walker.pages()] == [25, 0, 25, 0, 10]


def test_a_touched_skip_token_can_be_told(simulator: Simulator, walker: Walker) -> None:
    query = walker.get().json()["@odata.nextLink"].partition("?")[2]
    simulator.behaviour.next_link_must_be_verbatim = True
    # The library below this client rewrites the hex digits in upper case.
    rewritten = walker.get(query).status_code
    simulator.behaviour.next_link_must_be_verbatim = False
    invented = walker.get("$skiptoken=abc").status_code

    assert [rewritten, walker.get(query).status_code, invented] == [400, 200, 400]


def test_a_row_removed_during_a_walk_hides_another_behind_the_page_border(
    simulator: Simulator, walker: Walker
) -> None:
    newest = simulator.state.ids()[-1]
    simulator.state.after_request(1, lambda: simulator.state.remove(newest))

    seen = {row["id"] for row in walker.walk()}

    assert len(set(simulator.state.ids()) - seen) == 1


def test_a_row_changed_during_a_walk_by_creation_hides_none(
    simulator: Simulator, walker: Walker
) -> None:
    oldest = simulator.state.ids()[0]
    simulator.state.after_request(1, lambda: simulator.state.change(oldest, status="Active"))
    simulator.state.after_request(2, simulator.state.add)

    seen = {row["id"] for row in walker.walk(OLDEST_CREATION)}

    assert seen == set(simulator.state.ids())
    assert len(seen) == 61


def test_the_query_is_recorded_as_it_arrived(simulator: Simulator, walker: Walker) -> None:
    walker.get(f"{NEWEST_CHANGE}&$top=50&$filter=status%20eq%20'New'&$skip=3")

    recorded = simulator.requests[-1]
    assert recorded.query == f"{NEWEST_CHANGE}&$top=50&$filter=status%20eq%20'New'&$skip=3"
    assert unquote(recorded.query).startswith("$orderby=updatedDateTime desc")
    assert (recorded.method, recorded.target, recorded.status) == ("GET", "list", 200)
    simulator.clear_requests()
    assert simulator.requests == []


def test_instants_may_have_any_number_of_digits(simulator: Simulator, walker: Walker) -> None:
    shown = {}
    for digits in (0, 3, 7):
        simulator.behaviour.fraction_digits = digits
        shown[digits] = {
            len(row["updatedDateTime"].partition(".")[2].rstrip("Z")) for row in walker.walk()
        }

    assert shown == {0: {0}, 3: {3}, 7: {7}}


def test_the_date_header_may_be_off_or_missing(simulator: Simulator, walker: Walker) -> None:
    simulator.state.now = simulator.state.now.replace(
        year=2026, month=3, day=1, hour=12, minute=0, second=0, microsecond=0
    )
    exact = walker.get().headers["Date"]
    simulator.behaviour.date_offset_s = -3_600
    behind = walker.get().headers["Date"]
    simulator.behaviour.date_header = False

    assert exact == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert behind == "Sun, 01 Mar 2026 11:00:00 GMT"
    assert "Date" not in walker.get().headers


def test_the_organization_may_be_another(simulator: Simulator, walker: Walker) -> None:
    simulator.behaviour.organization_id = "ffffffff-0000-4000-8000-000000000009"
    row = walker.walk()[0]

    assert row["organizationId"] == "ffffffff-0000-4000-8000-000000000009"
    assert (
        row.get("inviteContext", {}).get("invitedBy", {}).get("organizationId")
        != (row["organizationId"])
    )


def test_one_referral_by_id_has_its_context_and_a_missing_one_is_not_found(
    simulator: Simulator, walker: Walker
) -> None:
    referral_id = simulator.state.ids()[0]
    found = walker.get(path=f"/v1.0/engagements/referrals/{referral_id}")
    simulator.state.remove(referral_id)
    gone = walker.get(path=f"/v1.0/engagements/referrals/{referral_id}")
    simulator.state.restore(referral_id)
    simulator.behaviour.by_id = 403
    forbidden = walker.get(path=f"/v1.0/engagements/referrals/{referral_id}")

    body = found.json()
    assert body.pop("@odata.context")
    assert body == simulator.state.get(referral_id)
    assert found.headers["ETag"] == body["eTag"]
    assert [gone.status_code, gone.json()["error"]["code"]] == [404, "itemNotFound"]
    assert forbidden.status_code == 403


def test_a_request_without_its_id_is_refused(simulator: Simulator, walker: Walker) -> None:
    answer = walker.session.get(
        f"{simulator.base_url}/v1.0/engagements/referrals",
        headers={"Authorization": f"Bearer {walker.token}"},
        timeout=5,
    )

    assert [answer.status_code, answer.json()["error"]["code"]] == [400, "invalidRequest"]


def test_the_documented_next_link_path_is_not_served(walker: Walker) -> None:
    assert walker.get(path="/v1.0/referrals").status_code == 404
