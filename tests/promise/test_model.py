"""In a world small enough to try every order of events, nothing is lost and nothing gets older."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from pc_core.observe import events
from tests.promise.model import (
    Base,
    Budgets,
    Explorer,
    Referral,
    Violation,
    World,
    changes_of,
)
from tests.promise.scale import LONG

EMPTY = Base()
WORLD = World(10, (Referral(1, 5, False, True), Referral(1, 6, False, True), Referral()))


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Thousands of runs that are broken off have nothing to say."""
    before = events.logger.level
    events.logger.setLevel(logging.CRITICAL)
    yield
    events.logger.setLevel(before)


def synced() -> Base:
    base, report = Explorer().quiet(WORLD, EMPTY, "incremental")
    assert report.state == "completed"
    return base._replace(fence=0)


def changed(world: World, *what: str) -> World:
    for one in what:
        world = dict(changes_of(world))[one]
    return world


BEHIND = changed(WORLD, "change r0", "change r1")
"""Two changes that the synced database has not heard of."""

Begin = Literal["empty", "synced", "behind"]
SHORT_CASES: dict[str, tuple[Begin, Budgets, dict[str, Any]]] = {
    "a first run": ("empty", Budgets(changes=1, runs=2, kills=1), {"modes": ("incremental",)}),
    "kills": ("synced", Budgets(changes=1, runs=3, kills=2), {"modes": ("incremental",)}),
    "a sweep": ("synced", Budgets(changes=1, runs=2, kills=1), {}),
    "two changes": ("synced", Budgets(changes=2, runs=1), {"modes": ("incremental",)}),
    "a lease that runs out": (
        "synced",
        Budgets(changes=1, runs=2, expiries=1),
        {"modes": ("incremental",)},
    ),
    "time that ends and links that die": (
        "behind",
        Budgets(changes=1, runs=2, cuts=1, refusals=1),
        {"removals": False, "modes": ("incremental",)},
    ),
    "two changes without removals": (
        "synced",
        Budgets(changes=2, runs=1),
        {"removals": False, "modes": ("incremental",), "overlap_s": 1},
    ),
}
LONG_CASES: dict[str, tuple[Begin, Budgets, dict[str, Any]]] = {
    "a first run, longer": ("empty", Budgets(changes=2, runs=2, kills=1, expiries=1), {}),
    "two runs at once, longer": ("synced", Budgets(changes=2, runs=2, expiries=1), {}),
    "three runs, longer": ("synced", Budgets(changes=1, runs=3, kills=1, cuts=1, refusals=1), {}),
    "freshness, longer": (
        "behind",
        Budgets(changes=2, runs=2, kills=1, cuts=1, refusals=1),
        {"removals": False},
    ),
}
CASES = SHORT_CASES | (LONG_CASES if LONG else {})


@pytest.mark.parametrize("case", CASES)
def test_no_order_of_events_loses_ages_or_hides_a_referral(
    case: str, record_property: Callable[[str, object], None]
) -> None:
    begin, left, choices = CASES[case]
    explorer = Explorer(**choices)

    explorer.explore(
        BEHIND if begin == "behind" else WORLD, EMPTY if begin == "empty" else synced(), left
    )

    assert explorer.settled > 50
    record_property("situations", explorer.situations)
    record_property("quiet_runs_tried_from", explorer.settled)


def test_without_the_check_of_the_lease_a_woken_run_would_make_a_row_older() -> None:
    explorer = Explorer(fenced=False, modes=("incremental",))

    with pytest.raises(Violation, match="r0 became older"):
        explorer.explore(
            changed(WORLD, "change r0"), synced(), Budgets(changes=1, runs=2, expiries=1)
        )


def test_a_stored_place_behind_the_end_of_the_list_is_its_end() -> None:
    explorer = Explorer(modes=("incremental",))

    explorer.explore(changed(WORLD, "add r2"), synced(), Budgets(changes=1, runs=1))

    assert explorer.settled > 50
