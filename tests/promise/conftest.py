"""What the proofs of the promise share: harnesses of the runs, and the whole app signed in."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.simulator import Simulator
from tests.commands.conftest import app, command, settings, signed_in, start
from tests.promise.trials import Trial
from tests.web.conftest import served

__all__ = ["app", "command", "make_trial", "served", "settings", "signed_in", "start"]


@pytest.fixture
def make_trial(database_url: str) -> Iterator[Callable[..., Trial]]:
    """Builds a trial with so many referrals; its servers end with the test."""
    trials: list[Trial] = []

    def make(referrals: int = 60, *, seed: int = 1, **settings: Any) -> Trial:
        simulator = Simulator(referrals=referrals, seed=seed).start()
        trial = Trial(database_url=database_url, simulator=simulator, **settings)
        trials.append(trial)
        return trial

    yield make
    for trial in trials:
        trial.close()
        trial.simulator.stop()
