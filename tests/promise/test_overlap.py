"""Timer, POST, command line and replay at once, several instances: one runs, the others say so."""

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from dev.simulator import Simulator
from pc_core.config import Settings
from pc_core.web.door import serve
from pc_core.web.routes import sync
from pc_core.wiring.app import App
from pc_core.wiring.timer import run_on_schedule
from tests.promise.nursery import Nursery
from tests.promise.scale import LONG, SEED
from tests.sync.harness import Harness, assert_equals_truth

pytestmark = pytest.mark.long

ROUNDS = 200 if LONG else 25
KEY = "operator-key-for-tests"
SPREAD_S = 0.5


@dataclass
class Instances:
    """Four ways to ask for a run, each with an app, a pool and a token cache of its own."""

    settings: dict[str, str]
    nursery: Nursery

    def __post_init__(self) -> None:
        self.timer, self.http, self.replay = (
            App(Settings.from_env(self.settings)) for _ in range(3)
        )

    def ask_by_timer(self) -> str:
        """As the host does; a failed run raises."""
        run_on_schedule(lambda: self.timer, is_late=False, invocation_id="timer")
        return "asked"

    def ask_by_http(self) -> str:
        """As the host does; returns the state that was answered."""
        request = func.HttpRequest(
            method="POST",
            url="http://localhost/api/v1/partner-center/referrals/sync",
            headers={"Host": "localhost", "X-API-Key": KEY, "Content-Type": "application/json"},
            params={},
            route_params={},
            body=b'{"mode":"full"}',
        )
        answer = serve(request, sync.SYNC, lambda: self.http)
        said = json.loads(answer.get_body())
        assert answer.status_code in (200, 409), said
        assert said["success"] is (answer.status_code == 200)
        return str(said.get("state") or said["code"])

    def ask_for_replay(self) -> str:
        return str(self.replay.replay_quarantine(trigger="http").state)

    def ask_by_command(self) -> str:
        code, said = self.nursery.run("sync", "--json", environ=self.settings)
        assert said is not None
        assert (code == 0) is said["success"], said
        return str(said["state"])

    def close(self) -> None:
        for app in (self.timer, self.http, self.replay):
            app.close()


@pytest.fixture
def make_instances(
    settings: dict[str, str], signed_in: App, tmp_path: Path
) -> Iterator[Callable[[str], Instances]]:
    """Builds the instances on a database URL, signed in."""
    made: list[Instances] = []

    def make(url: str) -> Instances:
        environ = {**settings, "HUNTER_DATABASE_URL": url, "HUNTER_API_KEY": KEY}
        made.append(Instances(environ, Nursery(tmp_path, "overlap")))
        return made[-1]

    yield make
    for instances in made:
        instances.close()
        instances.nursery.close()


def overlap(instances: Instances, simulator: Simulator, database_url: str) -> dict[str, int]:
    """Rounds of random timing; returns how often each state was told."""
    chance = random.Random(f"{SEED}:overlap")  # noqa: S311 - the same rounds for a seed
    harness = Harness(database_url=database_url, simulator=simulator)
    told: dict[str, int] = {}
    world = simulator.state
    world.add_raw("broken", b'{"id":"broken","details":{"dealValue":[]}}')
    ways = [
        instances.ask_by_timer,
        instances.ask_by_http,
        instances.ask_for_replay,
        instances.ask_by_command,
    ]
    for _ in range(ROUNDS):
        harness.note_admitted()
        simulator.behaviour.page_size = chance.choice([7, 13, 100])
        simulator.behaviour.latency_s = chance.choice([0.0, 0.0, 0.05])
        world.change_some(chance.randrange(0, 6))
        if chance.random() < 0.5:
            world.add(direction="Incoming", status="New", substatus="Received")
        harness.note_admitted()
        before = run_ids(harness)
        with ThreadPoolExecutor(max_workers=len(ways)) as pool:
            asked = [
                pool.submit(after, chance.random() * SPREAD_S, way)
                for way in chance.sample(ways, len(ways))
            ]
            states = [done.result() for done in asked]
        for state in states:
            told[state] = told.get(state, 0) + 1
        assert set(states) <= {"asked", "completed", "already_running"}, states
        check_round(harness, before, states)
    assert instances.timer.sync(trigger="timer", mode="full").state == "completed"
    world.remove("broken")
    assert_equals_truth(harness)
    harness.close()
    return told


def after(seconds: float, way: Callable[[], str]) -> str:
    time.sleep(seconds)
    return way()


def run_ids(harness: Harness) -> set[str]:
    return {str(run["task_id"]) for run in harness.query("SELECT * FROM partner_center_sync_runs")}


def check_round(harness: Harness, before: set[str], states: list[str]) -> None:
    """Every asker ran or was told of another; no two ran at the same time; all is given back."""
    runs: list[dict[str, Any]] = [
        run
        for run in harness.query("SELECT * FROM partner_center_sync_runs ORDER BY finished_at")
        if str(run["task_id"]) not in before
    ]
    assert {run["state"] for run in runs} == {"completed"}
    # The timer says nothing of a run that was already under way: it has a row or not.
    expected = states.count("completed")
    timers = sum(run["trigger"] == "timer" for run in runs)
    assert len(runs) == expected + timers
    assert timers <= 1
    fences = harness.query("SELECT lease_task_id FROM partner_center_sync_state")
    assert fences == [{"lease_task_id": None}]


def test_of_all_that_ask_at_once_one_runs_and_the_others_report(
    make_instances: Callable[[str], Instances],
    simulator: Simulator,
    database_url: str,
    record_property: Callable[[str, object], None],
) -> None:
    told = overlap(make_instances(database_url), simulator, database_url)

    assert told["already_running"] > 0
    assert told["completed"] > 0
    record_property("rounds", ROUNDS)


@pytest.mark.needs_pgbouncer
def test_it_is_the_same_through_a_pooler_that_gives_each_transaction_another_connection(
    make_instances: Callable[[str], Instances],
    simulator: Simulator,
    database_url: str,
    pooled_database_url: str,
    record_property: Callable[[str, object], None],
) -> None:
    told = overlap(make_instances(pooled_database_url), simulator, database_url)

    assert told["already_running"] > 0
    assert told["completed"] > 0
    record_property("rounds", ROUNDS)
