"""What the proofs of the promise share: harnesses of the runs, and the whole app signed in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.services.postgres import Postgres
from dev.simulator import Simulator
from tests.commands.conftest import app, command, settings, signed_in, start
from tests.promise.kill_world import WORLDS, KillWorld
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


@pytest.fixture(scope="module")
def worlds(
    postgres_server: Postgres,
    template_database: str,
    azurite: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[KillWorld]]:
    """Several worlds, so that waiting for a lease in one leaves time for the others."""
    folder: Path = tmp_path_factory.mktemp("kill")
    made: list[KillWorld] = []
    try:
        while len(made) < WORLDS:
            name = f"w{len(made)}"
            made.append(KillWorld(postgres_server, template_database, azurite, folder, name))
        yield made
    finally:
        for world in made:
            world.close()
