"""Thirty simulated days with faults, changes, kills and restarts; in the end nothing is amiss.

Seeded and repeatable. The short form ticks every three hours, the long one every ten minutes, as
the timer does.
"""

import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import psutil
import pytest

from dev.simulator.faults import Fault, Kind
from pc_core.store.postgres import PostgresStore
from pc_core.sync.report import Report
from tests.promise.days import DAY_S, HOUR_S, Killed, MortalStore, advance, assert_fresh, restart
from tests.promise.scale import LONG, SEED
from tests.promise.trials import Trial, assert_counts_agree, assert_no_run_is_open
from tests.sync.harness import assert_equals_truth

pytestmark = pytest.mark.long

DAYS = 30
TICK_S = 600.0 if LONG else 3 * HOUR_S
TICKS = int(DAYS * DAY_S / TICK_S)
LEASE_S = 1.0
MEMORY_MB = 40.0
"""What 30 days may add in this process, the simulated world's own changes included."""

KINDS: tuple[Kind, ...] = (
    "status",
    "reset",
    "html",
    "empty_401",
    "bad_request",
    "redirect",
    "truncated",
    "truncated_chunked",
    "invalid_json",
    "items_key",
    "empty_value",
    "no_value",
)
STATUSES = (408, 429, 500, 502, 503, 504)
HONEST_CODES = frozenset(
    {
        "partner_center_unavailable",
        "partner_center_unreachable",
        "partner_center_throttled",
        "nonsense_answer",
        "empty_answer",
        "redirect_not_followed",
        "api_bad_request",
        "order_refused",
        "api_unauthorized",
        "walk_cannot_finish",
        "visibility_shrank",  # a list that broke off as if it had ended
    }
)


@dataclass
class Soak:
    """The days as they pass.

    Attributes:
        removals: whether referrals go and return, and orders break; without, each completed run
            has to bring all there is, and there must be no drift.
    """

    trial: Trial
    removals: bool
    chance: random.Random
    told: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    drift: int = 0
    gone: list[str] = field(default_factory=list)

    def tick(self, number: int) -> None:
        """One time that the timer fires, and what happened before."""
        advance(self.trial, TICK_S)
        self.change()
        self.trouble()
        if self.chance.random() < 0.02:
            restart(self.trial)
        is_killed = self.chance.random() < 0.02
        report = self.die() if is_killed else self.run()
        self.trial.simulator.faults.clear()
        if report is None:
            return
        self.told[report.failure.code if report.failure else report.state] += 1
        self.drift += report.counts.drift
        assert_counts_agree(report)
        assert report.state != "completed" or report.head_completed_at is not None
        if report.state == "completed" and not self.removals:
            assert report.counts.drift == 0
            if number % 5 == 0:
                assert_fresh(self.trial)

    def change(self) -> None:
        """What people do at Partner Center."""
        world, chance = self.trial.simulator.state, self.chance
        if chance.random() < 0.4:
            world.change_some(chance.randrange(1, 4))
        if chance.random() < 0.08:
            world.add(direction="Incoming", status="New", substatus="Received")
        self.trial.note_admitted()
        ids = world.ids()
        if chance.random() < 0.08:
            world.close(chance.choice(ids), chance.choice(["Won", "Lost", "Expired"]))
        if self.removals and chance.random() < 0.04 and len(self.gone) < 4:
            self.gone.append(chance.choice(ids))
            world.remove(self.gone[-1])
        elif self.gone and chance.random() < 0.1:
            world.restore(self.gone.pop())
        self.trial.note_admitted()

    def trouble(self) -> None:
        """What goes wrong on the way."""
        chance, behaviour = self.chance, self.trial.simulator.behaviour
        behaviour.page_size = chance.choice([10, 25, 100])
        if self.removals:
            behaviour.updated_order = "ignored" if chance.random() < 0.02 else "honoured"
        while chance.random() < 0.15:
            kind = chance.choice(KINDS)
            self.trial.simulator.faults.add(
                Fault(
                    kind=kind,
                    target="list",
                    at=chance.randrange(1, 4),
                    times=chance.randrange(1, 5),
                    status=chance.choice(STATUSES),
                    retry_after_s=chance.choice([None, 1.0, 3600.0]),
                )
            )

    def run(self) -> Report:
        """One run of the timer's; sometimes its time is short."""
        pages = self.chance.choice([1, 2, 3]) if self.chance.random() < 0.05 else None
        return self.trial.run(trigger="timer", pages=pages)

    def die(self) -> Report | None:
        """A run whose process is killed; None if it really was. Its lease has to run out."""
        mortal = MortalStore(
            self.trial.store,
            self.chance.randrange(1, 25),
            does_the_last=self.chance.random() < 0.5,
        )
        self.trial.store = cast("PostgresStore", mortal)
        try:
            return self.run()
        except Killed:
            self.kills += 1
            time.sleep(LEASE_S * 1.1)
            return None
        finally:
            restart(self.trial)


def memory_mb() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / 2**20


@pytest.mark.parametrize("removals", [False, True], ids=["changes only", "removals too"])
def test_thirty_days_of_trouble_leave_nothing_amiss(
    make_trial: Callable[..., Trial],
    removals: bool,
    record_property: Callable[[str, object], None],
) -> None:
    trial = make_trial(80, seed=SEED, lease_s=LEASE_S)
    chance = random.Random(f"{SEED}:soak:{removals}")  # noqa: S311 - the same days for a seed
    soak = Soak(trial, removals, chance)
    trial.run()
    memory, threads = 0.0, 0
    for number in range(TICKS):
        soak.tick(number)
        trial.simulator.clear_requests()
        if number == TICKS // 6:
            memory, threads = memory_mb(), threading.active_count()

    trial.heal()
    advance(trial, DAY_S)
    trial.recover(runs=5)
    last = trial.run("full")

    assert last.state == "completed", last.failure
    assert last.sweep_completed_at is not None
    assert_equals_truth(trial)
    assert_no_run_is_open(trial)
    assert not trial.query("SELECT 1 FROM partner_center_sweep_seen")
    assert set(soak.told) <= HONEST_CODES | {"completed", "partial"}, soak.told
    assert soak.told["completed"] > TICKS / 2
    assert soak.kills > 0
    assert_the_runs_add_up(trial, soak)
    connections = trial.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    assert len(connections) <= 2
    assert threading.active_count() <= threads + 3
    assert memory_mb() - memory < MEMORY_MB
    record_property("runs", TICKS)
    record_property("kills", soak.kills)
    record_property("failed", sum(soak.told.values()) - soak.told["completed"])


def assert_the_runs_add_up(trial: Trial, soak: Soak) -> None:
    """The run rows tell the same as the table: rows, marks and drift."""
    (totals,) = trial.query(
        """
        SELECT sum((counts ->> 'inserted')::int) AS inserted,
            sum((counts ->> 'marked_missing')::int - (counts ->> 'reappeared')::int) AS missing,
            sum((counts ->> 'drift')::int) AS drift,
            count(*) FILTER (WHERE state = 'interrupted') AS interrupted
        FROM partner_center_sync_runs
        """
    )
    rows = trial.rows().values()
    assert totals["inserted"] == len(rows)
    assert totals["missing"] == sum(row["missing_since"] is not None for row in rows)
    assert totals["drift"] >= soak.drift
    assert soak.removals or totals["drift"] == 0
    assert totals["interrupted"] <= soak.kills
