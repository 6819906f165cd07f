"""A run's time and pages, and how they end."""

import pytest

from pc_core.errors import BudgetEnded
from pc_core.sync.budget import Budget


class Clock:
    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


def test_time_runs_out_but_never_below_nothing() -> None:
    clock = Clock()
    budget = Budget(10, clock=clock)
    clock.at_s += 4

    assert budget.remaining_s() == pytest.approx(6)
    assert budget.allows(5)
    assert not budget.allows(6)
    clock.at_s += 60
    assert budget.remaining_s() == 0


def test_no_page_is_begun_without_time_or_pages() -> None:
    clock = Clock()
    timed, counted = Budget(1, clock=clock), Budget(100, pages=1, clock=clock)
    counted.take_page()
    clock.at_s += 2

    with pytest.raises(BudgetEnded):
        timed.take_page()
    with pytest.raises(BudgetEnded):
        counted.take_page()


def test_an_extension_counts_from_the_beginning_and_never_shortens() -> None:
    clock = Clock()
    budget = Budget(100, clock=clock)
    clock.at_s += 30

    budget.extend(50)
    assert budget.remaining_s() == pytest.approx(70)
    budget.extend(500)
    assert budget.remaining_s() == pytest.approx(470)
