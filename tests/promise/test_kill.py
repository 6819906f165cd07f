"""A run may be killed or frozen at any message that it exchanges, and the next makes it good.

Nothing in the app knows of this: wires between the process and its servers count what passes.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue

import pytest

from dev.services.postgres import Postgres
from pc_core.sync import Mode
from tests.promise.kill_world import OPEN_TRANSACTION_S, KillWorld, Trial
from tests.promise.scale import LONG, SEED

WORLDS = 3
KILLS = 30
FREEZES = 6
MOST_MESSAGES = 2_000


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


def try_all(
    worlds: Sequence[KillWorld], numbers: Sequence[int], attempt: Callable[[KillWorld, int], None]
) -> None:
    """One attempt for each number, in whichever world is free, until one fails."""
    free: SimpleQueue[KillWorld] = SimpleQueue()
    for world in worlds:
        free.put(world)

    def once(number: int) -> None:
        world = free.get()
        try:
            attempt(world, number)
        except Exception as error:
            error.add_note(f"at message {number}")
            raise
        finally:
            free.put(world)

    with ThreadPoolExecutor(max_workers=len(worlds)) as pool:
        asked = [pool.submit(once, number) for number in numbers]
        done, _ = wait(asked, return_when=FIRST_EXCEPTION)
        pool.shutdown(wait=False, cancel_futures=True)
        for one in done:
            one.result()


def messages_of(world: KillWorld, mode: Mode, *, synced: bool) -> int:
    """How many messages an undisturbed run exchanges."""
    with Trial(world, synced=synced) as trial:
        if synced:
            trial.change()
        assert not trial.kill_at(MOST_MESSAGES, mode)
        return world.meter.last_count


def sample(messages: int, size: int, why: str) -> list[int]:
    """Every message in the long form, else some of them, the first and the last included."""
    if LONG:
        return list(range(1, messages + 1))
    chance = random.Random(f"{SEED}:{why}")  # noqa: S311 - the same sample for a seed
    chosen = chance.sample(range(2, messages), size - 2)
    return [1, *sorted(chosen), messages]


@pytest.mark.parametrize(
    ("synced", "mode"), [(False, "incremental"), (True, "full")], ids=["first run", "full run"]
)
def test_after_a_kill_at_any_message_the_next_run_ends_in_the_truth(
    worlds: list[KillWorld],
    synced: bool,
    mode: Mode,
    record_property: Callable[[str, object], None],
) -> None:
    messages = messages_of(worlds[0], mode, synced=synced)
    numbers = sample(messages, KILLS, mode)
    killed = []
    counting = threading.Lock()

    def attempt(world: KillWorld, number: int) -> None:
        with Trial(world, synced=synced) as trial:
            if synced:
                trial.change()
            died = trial.kill_at(number, mode)
            trial.change()
            trial.heal()
            trial.assert_healed()
            with counting:
                killed.append(died)

    try_all(worlds, numbers, attempt)

    assert len(killed) == len(numbers)
    assert sum(killed) >= len(numbers) * 0.8
    record_property("messages", messages)
    record_property("kills", sum(killed))


def test_a_run_frozen_at_any_message_past_its_lease_writes_nothing_when_it_wakes(
    worlds: list[KillWorld], record_property: Callable[[str, object], None]
) -> None:
    messages = messages_of(worlds[0], "full", synced=True)
    numbers = sample(messages, FREEZES, "freeze")
    woken = []
    counting = threading.Lock()

    def attempt(world: KillWorld, number: int) -> None:
        with Trial(world, synced=True) as trial:
            trial.change()
            pid, _ = trial.freeze_at(number, "full")
            if pid is None:
                world.victims.wait()
                return
            trial.change()
            try:
                trial.heal(within_s=OPEN_TRANSACTION_S)
                places = trial.harness.places()
            finally:
                code, said = trial.wake(pid)
            assert code in (0, 1), said
            if code == 1:
                assert said is not None
                assert said["state"] in ("interrupted", "failed"), said
            assert trial.harness.places() == places or code == 0
            trial.complete("full")
            trial.assert_healed()
            with counting:
                woken.append(code)

    try_all(worlds, numbers, attempt)

    assert woken.count(1) >= 1
    record_property("freezes", len(woken))
