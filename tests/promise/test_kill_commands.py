"""What operators do by hand may be killed at any message too: the next one ends right.

A replay of the quarantine, a run after changed rules, a sign-in, an erasure.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pc_core.referral.read import parse
from pc_core.referral.referral import Referral
from pc_core.referral.row import build_row
from tests.promise.kill_world import MOST_MESSAGES, KillWorld, Trial, sample, try_all
from tests.sync.harness import assert_equals_truth

pytestmark = pytest.mark.long

KILLS = 8
Note = Callable[[str, object], None]
Prepared = Any


def kill_everywhere(
    worlds: list[KillWorld],
    command: tuple[str, ...],
    prepare: Callable[[Trial], Prepared],
    check: Callable[[Trial, Prepared], None],
    record_property: Note,
) -> None:
    """Kill the command at a sample of its messages, each time in a world made for it.

    Args:
        prepare: makes the trial ready for the command.
        check: that everything is right after the kill, and what else has to come.
    """
    with Trial(worlds[0], synced=True) as trial:
        prepared = prepare(trial)
        assert not trial.kill_command_at(MOST_MESSAGES, *command)
        messages = worlds[0].meter.last_count
        check(trial, prepared)
    numbers = sample(messages, KILLS, command[0])
    killed = []
    counting = threading.Lock()

    def attempt(world: KillWorld, number: int) -> None:
        with Trial(world, synced=True) as trial:
            prepared = prepare(trial)
            died = trial.kill_command_at(number, *command)
            check(trial, prepared)
            with counting:
                killed.append(died)

    try_all(worlds, numbers, attempt)

    assert len(killed) == len(numbers)
    assert sum(killed) >= len(numbers) * 0.7
    record_property("messages", messages)
    record_property("kills", sum(killed))


def assert_no_run_is_left(trial: Trial) -> None:
    (state,) = trial.harness.query(
        "SELECT lease_task_id, lease_holder, lease_expires_at FROM partner_center_sync_state"
    )
    assert set(state.values()) == {None}
    assert not trial.harness.query(
        "SELECT 1 FROM partner_center_sync_runs WHERE state = 'running' OR finished_at IS NULL"
    )


def test_a_replay_may_be_killed_at_any_message(
    worlds: list[KillWorld], record_property: Note
) -> None:
    def prepare(trial: Trial) -> dict[str, str]:
        """Three entries of an earlier release: a new one, an older one, one still unreadable."""
        world = trial.world.simulator.state
        fresh = world.add(direction="Incoming", status="New", substatus="Received")
        trial.harness.note_admitted()
        stored = next(iter(trial.harness.rows()))
        older = {**world.get(stored), "name": "older", "updatedDateTime": "2001-01-01T00:00:00Z"}
        entries = {
            "replayed": json.dumps(fresh, default=float),
            "superseded": json.dumps(older, default=float),
            "open": '{"id": "broken", "name": 7}',
        }
        for state, text in entries.items():
            trial.harness.query(
                "INSERT INTO partner_center_quarantine (referral_id, content_hash, reason,"
                " detail, raw_text, task_id, first_seen_at)"
                " VALUES (NULL, %s, 'invalid_json', 'odd', %s, 'earlier', now()) RETURNING 1",
                state.encode(),
                text,
            )
        return entries

    def check(trial: Trial, entries: dict[str, str]) -> None:
        trial.complete_command("replay-quarantine")
        found = trial.harness.query("SELECT state, raw_text FROM partner_center_quarantine")
        assert {row["state"]: row["raw_text"] for row in found} == entries
        trial.heal()
        trial.assert_healed()
        again = trial.complete_command("replay-quarantine")
        assert (again["fetched"], again["quarantined"]) == (1, 1)

    kill_everywhere(worlds, ("replay-quarantine",), prepare, check, record_property)


def test_a_run_after_changed_rules_may_be_killed_at_any_message(
    worlds: list[KillWorld], record_property: Note
) -> None:
    def prepare(trial: Trial) -> frozenset[str]:
        """From now on some customers' domains are our own, so that they are nobody's."""
        found = {row["domain"] for row in trial.harness.rows().values()} - {None}
        own = frozenset(sorted(found)[:3])
        trial.environ = {
            **trial.environ,
            "HUNTER_PARTNER_CENTER_OWN_DOMAINS": ",".join(sorted(own)),
        }
        trial.change()
        return own

    def check(trial: Trial, own: frozenset[str]) -> None:
        trial.change()
        trial.complete("incremental")
        for referral_id, row in trial.harness.rows().items():
            referral = parse(json.dumps(row["raw_data"]).encode())
            assert isinstance(referral, Referral)
            made = build_row(referral, own_domains=own)
            assert (row["domain"], row["domain_source"]) == (made.domain, made.domain_source)
            assert row["domain"] not in own, referral_id
        noted = trial.harness.query(
            "SELECT referral_id FROM partner_center_referral_changes"
            " WHERE field = 'domain' AND before #>> '{}' = ANY(%s)",
            list(own),
        )
        assert len(noted) == len({row["referral_id"] for row in noted})
        (state,) = trial.harness.query("SELECT recompute_after FROM partner_center_sync_state")
        assert state["recompute_after"] is None
        trial.heal()
        assert_no_run_is_left(trial)
        assert_equals_truth(trial.harness)

    kill_everywhere(worlds, ("sync",), prepare, check, record_property)


def test_a_sign_in_may_be_killed_at_any_message(
    worlds: list[KillWorld], record_property: Note
) -> None:
    def check(trial: Trial, _: None) -> None:
        """What was signed in before is still good, until the new sign-in is complete."""
        assert trial.complete("incremental")["state"] == "completed"
        said = trial.complete_command("sign-in")
        assert said["may_read_referrals"] is True
        assert trial.complete("incremental")["state"] == "completed"
        assert_no_run_is_left(trial)
        status = trial.harness.store.load_sign_in()
        assert status is not None
        assert status.state == "ok"

    kill_everywhere(worlds, ("sign-in",), lambda _: None, check, record_property)


def test_an_erasure_may_be_killed_at_any_message(
    worlds: list[KillWorld], record_property: Note
) -> None:
    domain = "erased-customer.example"

    def prepare(trial: Trial) -> tuple[set[str], list[str]]:
        """Rows of a customer with a history, beside others."""
        world = trial.world.simulator.state
        team = [{"email": f"somebody@{domain}"}]
        hers = [
            world.add(
                direction="Incoming",
                status="New",
                substatus="Received",
                customerProfile={"name": "Somebody", "team": team},
            )
            for _ in range(2)
        ]
        trial.complete("full")
        ids = [wire["id"] for wire in hers]
        others = trial.harness.rows().keys() - set(ids)
        trial.harness.query("DELETE FROM partner_center_referral_changes RETURNING 1")
        world.change(ids[0], name="changed")
        trial.complete("incremental")
        return others, ids

    def check(trial: Trial, prepared: tuple[set[str], list[str]]) -> None:
        others, ids = prepared
        left = trial.harness.rows().keys() - others
        history = trial.harness.query("SELECT 1 FROM partner_center_referral_changes")
        buried = trial.harness.query("SELECT 1 FROM partner_center_tombstones")
        assert (len(left), bool(history), len(buried)) in {(2, True, 0), (0, False, 3)}
        said = trial.complete_command("erase", "--domain", domain, "--yes")
        assert said["tombstones"] == (3 if left else 0)
        for _ in range(2):
            assert trial.harness.rows().keys() == others
            assert not trial.harness.query("SELECT 1 FROM partner_center_referral_changes")
            trial.complete("full")
        assert_no_run_is_left(trial)
        # Other trials of this world shall not meet them.
        for one in ids:
            trial.world.simulator.state.remove(one)

    kill_everywhere(worlds, ("erase", "--domain", domain, "--yes"), prepare, check, record_property)
