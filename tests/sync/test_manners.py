"""Whatever Partner Center's manners are, the table ends equal to what it holds, row by row."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.sync.harness import Harness, assert_equals_truth

pytestmark = pytest.mark.long

Make = Callable[..., Harness]

ORDERS = ("honoured", "ignored", "first_page_only", "creation", "refused")
LINKS = ("documented_odd", "absolute", "relative")


def quiet_head_and_sweep(harness: Harness) -> None:
    """What the promise asks for after a walk during which things changed."""
    for _ in range(6):
        report = harness.run("full")
        assert report.state in {"completed", "partial"}, report.failure
        if report.sweep_completed_at is not None and report.state == "completed":
            return
    raise AssertionError("no sweep was completed in six runs")


@pytest.mark.parametrize("page_size", [25, 100, 200])
@pytest.mark.parametrize("asked", [None, 25, 50, 200])
@pytest.mark.parametrize("top_means", ["page", "total", "ignored"])
def test_any_page_size_and_meaning_of_top(
    make_harness: Make, page_size: int, asked: int | None, top_means: str
) -> None:
    harness = make_harness(page_size=asked)
    harness.simulator.behaviour.page_size = page_size
    harness.simulator.behaviour.top_means = top_means  # type: ignore[assignment]

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


@pytest.mark.parametrize("links", LINKS)
@pytest.mark.parametrize("paging", ["offset", "keyset"])
@pytest.mark.parametrize("loses_order", [False, True])
def test_any_form_of_next_link(
    make_harness: Make, links: str, paging: str, loses_order: bool
) -> None:
    harness = make_harness()
    behaviour = harness.simulator.behaviour
    behaviour.page_size = 25
    behaviour.next_link_form = links  # type: ignore[assignment]
    behaviour.paging = paging  # type: ignore[assignment]
    behaviour.next_link_loses_order = loses_order
    behaviour.next_link_must_be_verbatim = True

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


@pytest.mark.parametrize("updated_order", ORDERS)
@pytest.mark.parametrize("created_order", ["honoured", "ignored", "first_page_only", "refused"])
def test_any_order_whether_honoured_or_not(
    make_harness: Make, updated_order: str, created_order: str
) -> None:
    harness = make_harness()
    behaviour = harness.simulator.behaviour
    behaviour.page_size = 25
    behaviour.updated_order = updated_order  # type: ignore[assignment]
    behaviour.created_order = created_order  # type: ignore[assignment]

    first = harness.run()
    assert first.state == "completed", first.failure
    assert_equals_truth(harness)
    harness.simulator.state.change_some(60)
    harness.simulator.state.add()
    quiet_head_and_sweep(harness)

    assert_equals_truth(harness)


@pytest.mark.parametrize("updated_order", ORDERS)
@pytest.mark.parametrize("paging", ["offset", "keyset"])
def test_changes_reach_the_table_with_the_next_run_where_the_order_can_be_known(
    make_harness: Make, updated_order: str, paging: str
) -> None:
    harness = make_harness()
    behaviour = harness.simulator.behaviour
    behaviour.page_size = 25
    behaviour.paging = paging  # type: ignore[assignment]
    behaviour.updated_order = updated_order  # type: ignore[assignment]
    harness.run()
    harness.simulator.state.change_some(60)
    for _ in range(3):
        harness.simulator.state.add()

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


@pytest.mark.parametrize("digits", range(8))
def test_any_number_of_fraction_digits(make_harness: Make, digits: int) -> None:
    harness = make_harness(60)
    harness.simulator.behaviour.fraction_digits = digits
    harness.run()
    harness.simulator.state.change_some(10)

    report = harness.run()

    assert report.state == "completed", report.failure
    for row in harness.rows().values():
        text = row["raw_data"]["updatedDateTime"].rstrip("Z")
        assert len(text.partition(".")[2]) == digits
        cut_to_microseconds = datetime.fromisoformat(f"{text[:26]}+00:00")
        assert row["pc_updated_at"] == cut_to_microseconds


def test_equal_change_times_over_a_page_border(make_harness: Make) -> None:
    harness = make_harness(60)
    harness.simulator.behaviour.page_size = 5
    harness.run()
    same = "2026-11-20T10:00:00.1234567Z"
    for referral_id in harness.simulator.state.ids()[:12]:
        harness.simulator.state.change(referral_id, updatedDateTime=same)
    harness.simulator.state.change_some(3)

    report = harness.run("full")

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


CHANGES: dict[str, Callable[[Any], object]] = {
    "changed": lambda world: world.change_some(30),
    "added": lambda world: [world.add() for _ in range(30)],
    "removed": lambda world: [world.remove(one) for one in world.ids()[10:15]],
    "closed": lambda world: [world.close(one, "Lost") for one in world.ids()[20:40]],
    "all": lambda world: [
        world.change_some(20),
        world.add(),
        world.remove(world.ids()[3]),
        world.close(world.ids()[7]),
    ],
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("updated_order", ["honoured", "ignored", "first_page_only"])
@pytest.mark.parametrize("paging", ["offset", "keyset"])
def test_changes_during_the_walk(
    make_harness: Make, what: str, updated_order: str, paging: str
) -> None:
    harness = make_harness()
    world = harness.simulator.state
    harness.simulator.behaviour.page_size = 25
    harness.simulator.behaviour.paging = paging  # type: ignore[assignment]
    harness.simulator.behaviour.updated_order = updated_order  # type: ignore[assignment]

    def change() -> None:
        CHANGES[what](world)
        harness.note_admitted()

    world.after_request(2, change)
    world.after_request(4, change)
    harness.run()
    world.after_request(1, change)
    world.after_request(3, change)
    harness.run()
    harness.run("full")
    quiet_head_and_sweep(harness)

    assert_equals_truth(harness)


def test_empty_pages_between_full_ones(make_harness: Make) -> None:
    harness = make_harness()
    harness.simulator.behaviour.page_size = 25
    harness.simulator.behaviour.empty_page_with_next_link = True

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)
