"""Fixtures of the runs: a harness on a database and a simulator of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.simulator import Simulator
from tests.sync.harness import Harness


@pytest.fixture
def make_harness(database_url: str) -> Iterator[Callable[..., Harness]]:
    """Builds a harness with so many referrals; its servers end with the test."""
    opened: list[Harness] = []
    simulators: list[Simulator] = []

    def make(referrals: int = 150, *, seed: int = 1, **settings: Any) -> Harness:
        simulator = Simulator(referrals=referrals, seed=seed)
        simulator.start()
        simulators.append(simulator)
        harness = Harness(database_url=database_url, simulator=simulator, **settings)
        opened.append(harness)
        return harness

    yield make
    for harness in opened:
        harness.close()
    for simulator in simulators:
        simulator.stop()
