"""A run may be killed or frozen at any message that it exchanges, and the next makes it good.

Nothing in the app knows of this: wires between the process and its servers count what passes.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from pc_core.sync.report import Mode
from tests.promise.kill_world import (
    MOST_MESSAGES,
    OPEN_TRANSACTION_S,
    KillWorld,
    Trial,
    sample,
    try_all,
)

pytestmark = pytest.mark.long

KILLS = 20
FREEZES = 6


def messages_of(world: KillWorld, mode: Mode, *, synced: bool) -> int:
    """How many messages an undisturbed run exchanges."""
    with Trial(world, synced=synced) as trial:
        if synced:
            trial.change()
        assert not trial.kill_at(MOST_MESSAGES, mode)
        return world.meter.last_count


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


def memory_of(trial: Trial) -> dict[str, Any]:
    """All that runs write down, but the sign-in: that is told without a lease."""
    (memory,) = trial.harness.query(
        """
        SELECT (SELECT to_jsonb(s) - 'sign_in' FROM partner_center_sync_state s) AS state,
            (SELECT jsonb_agg(r ORDER BY task_id) FROM partner_center_sync_runs r) AS runs,
            (SELECT count(*) FROM partner_center_referral_changes) AS changes,
            (SELECT count(*) FROM partner_center_sweep_seen) AS seen
        """
    )
    return memory


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
                places, memory = trial.harness.places(), memory_of(trial)
            finally:
                code, said = trial.wake(pid)
            assert code in (0, 1), said
            if code == 1:
                assert said is not None
                # Frozen while it took the lease, it has no run to tell of, only the error.
                ended = said["state"] if "state" in said else said["error"]["code"]
                assert ended in ("interrupted", "failed", "database_unavailable"), said
            assert trial.harness.places() == places or code == 0
            if any(run["state"] == "interrupted" for run in memory["runs"]):
                assert code == 1, said
                assert memory_of(trial) == memory, "the run was taken over: it may write nothing"
            trial.complete("full")
            trial.assert_healed()
            with counting:
                woken.append(code)

    try_all(worlds, numbers, attempt)

    assert woken.count(1) >= 1
    record_property("freezes", len(woken))
