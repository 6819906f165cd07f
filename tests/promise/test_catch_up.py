"""The sync was off for a fortnight; one run and one sweep later everything is as it should be."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from pc_core.referral.ticks import to_ticks
from tests.promise.days import DAY_S, advance
from tests.promise.scale import LONG, SEED
from tests.promise.trials import Trial, assert_counts_agree, assert_no_run_is_open
from tests.sync.harness import admits, assert_equals_truth

DAYS = 14
PAGE = 10
OVERLAP = timedelta(minutes=15)
SEEDS = range(SEED, SEED + (30 if LONG else 3))


def be_away(trial: Trial, seed: int, watermark: datetime) -> set[str]:
    """A fortnight of changes; returns the ids that came and were closed in it.

    What goes away lay further back than the overlap: a head that misses such a row doubts the
    order and calls for a sweep, which is another story.
    """
    chance = random.Random(f"{seed}:catch-up")  # noqa: S311 - the same fortnight for a seed
    world = trial.simulator.state
    came_and_went = set()
    for day in range(DAYS):
        advance(trial, DAY_S)
        world.change_some(5)
        trial.note_admitted()
        fresh = world.add(direction="Incoming", status="New", substatus="Received")
        stored = sorted(set(world.ids()) & trial.rows().keys())
        world.close(chance.choice(stored), chance.choice(["Won", "Lost", "Expired"]))
        if day % 3 == 0:
            world.close(fresh["id"], chance.choice(["Won", "Lost", "Declined"]))
            came_and_went.add(fresh["id"])
        if day % 5 == 0:
            stop = to_ticks(watermark - OVERLAP)
            rows = trial.rows()
            world.remove(chance.choice([r for r in stored if rows[r]["pc_updated_ticks"] < stop]))
    trial.admitted_ever -= came_and_went
    return came_and_went


def expected_skips(trial: Trial, stored: set[str], watermark: datetime) -> Counter[str]:
    """What a head has to leave out, read off the simulated world, page by page."""
    truth = sorted(
        trial.simulator.state.truth(),
        key=lambda wire: (ticks_of(wire["updatedDateTime"]), wire["id"]),
        reverse=True,
    )
    stop = to_ticks(watermark - OVERLAP)
    reasons: Counter[str] = Counter()
    for start in range(0, len(truth), PAGE):
        page = truth[start : start + PAGE]
        reasons.update(reason(wire) for wire in page if wire["id"] not in stored)
        if any(ticks_of(wire["updatedDateTime"]) < stop for wire in page):
            break
    del reasons["admitted"]
    return reasons


def ticks_of(text: str) -> int:
    whole, _, digits = text.rstrip("Z").partition(".")
    return to_ticks(datetime.fromisoformat(f"{whole}+00:00")) + int(digits.ljust(7, "0"))


def reason(wire: dict[str, Any]) -> str:
    if wire["direction"] == "Outgoing":
        return "direction_outgoing"
    if wire["status"] not in ("New", "Active"):
        return f"status_{wire['status'].lower()}"
    return "admitted" if admits(wire) else "substatus_excluded"


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_fortnight_one_run_and_one_sweep_bring_everything(
    make_trial: Callable[..., Trial], seed: int
) -> None:
    trial = make_trial(80, seed=seed, full_sync_every=timedelta(days=60))
    trial.simulator.behaviour.page_size = PAGE
    began = trial.run()
    before = trial.rows()
    assert began.watermark_at is not None
    came_and_went = be_away(trial, seed, began.watermark_at)
    expected = expected_skips(trial, set(before), began.watermark_at)

    head = trial.run()
    after_head = trial.rows()
    sweep = trial.run("full")

    assert (head.state, sweep.state) == ("completed", "completed"), (head.failure, sweep.failure)
    assert head.counts.skipped_reasons == expected
    assert head.counts.skipped_reasons["status_closed"] >= len(came_and_went) > 0
    assert not came_and_went & trial.rows().keys()
    assert sweep.counts.inserted == 0
    assert sweep.counts.marked_missing > 0
    assert sweep.counts.drift == 0
    assert_equals_truth(trial)
    assert_counts_agree(head)
    assert_counts_agree(sweep)
    assert_no_run_is_open(trial)
    assert_told_once(trial, before, after_head, head.task_id)


def assert_told_once(
    trial: Trial,
    before: dict[str, dict[str, Any]],
    after: dict[str, dict[str, Any]],
    task_id: str,
) -> None:
    """The history has one before and one after for each referral and field that changed."""
    changes = trial.query(
        "SELECT * FROM partner_center_referral_changes WHERE field <> 'missing_since'"
    )
    told = Counter((change["referral_id"], change["field"]) for change in changes)
    assert set(told.values()) == {1}
    assert {str(change["task_id"]) for change in changes} == {task_id}
    for name in ("status", "substatus", "name", "status_reason"):
        for referral_id, row in before.items():
            changed = [
                (change["before"], change["after"])
                for change in changes
                if (change["referral_id"], change["field"]) == (referral_id, name)
            ]
            now = after[referral_id][name]
            assert changed == ([] if row[name] == now else [(row[name], now)])
    differing = {one for one, row in before.items() if after[one]["etag"] != row["etag"]}
    assert {change["referral_id"] for change in changes} == differing


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sweep_that_is_due_by_then_comes_with_the_first_run(
    make_trial: Callable[..., Trial], seed: int
) -> None:
    trial = make_trial(80, seed=seed)
    trial.simulator.behaviour.page_size = PAGE
    began = trial.run()
    assert began.watermark_at is not None
    be_away(trial, seed, began.watermark_at)

    report = trial.run()

    assert report.state == "completed", report.failure
    assert report.sweep_completed_at is not None
    assert report.counts.drift == 0
    assert_equals_truth(trial)
