"""A run in a process of its own that is frozen, killed or overlapped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from dev.simulator import Simulator
from pc_core.wiring.app import App
from tests.sync.harness import admits

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def query(database_url: str) -> Callable[[LiteralString], list[dict[str, Any]]]:
    def ask(sql: LiteralString) -> list[dict[str, Any]]:
        with psycopg.connect(database_url, row_factory=dict_row) as connection:
            return connection.execute(sql).fetchall()

    return ask


Query = Callable[[LiteralString], list[dict[str, Any]]]
PLACES: LiteralString = (
    "SELECT referral_id, ctid::text, xmin::text, xmax::text "
    "FROM partner_center_referrals ORDER BY 1"
)


def wait_for_pages(query: Query, pages: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = query("SELECT counts FROM partner_center_sync_runs WHERE state = 'running'")
        if found and found[0]["counts"]["pages"] >= pages:
            return
        time.sleep(0.02)
    raise AssertionError("the run saved no pages")


def pass_the_lease(query: Query, app: App) -> None:
    """Let as much time pass for the lease as it lasts, and run as soon as that is possible."""
    query(
        "UPDATE partner_center_sync_state"
        " SET lease_expires_at = lease_expires_at - interval '120 s' RETURNING 1"
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if app.sync(trigger="command").state != "already_running":
            return
        time.sleep(0.2)
    raise AssertionError("the lease was never given up")


def slow(simulator: Simulator) -> None:
    simulator.behaviour.page_size = 4
    simulator.behaviour.latency_s = 0.15


def test_a_run_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(
    start: Start, signed_in: App, simulator: Simulator, query: Query
) -> None:
    slow(simulator)
    child = start("sync", "--json")
    wait_for_pages(query, 3)
    os.kill(child.pid, signal.SIGSTOP)
    try:
        while_frozen = signed_in.sync(trigger="command")
        pass_the_lease(query, signed_in)
        settled = signed_in.sync(trigger="command")
        places, runs = query(PLACES), query("SELECT count(*) FROM partner_center_sync_runs")
    finally:
        os.kill(child.pid, signal.SIGCONT)
    out, _ = child.communicate(timeout=60)

    assert while_frozen.state == "already_running"
    assert settled.state == "completed", settled.failure
    assert child.returncode == 1
    assert '"state": "interrupted"' in out
    assert query(PLACES) == places
    assert query("SELECT count(*) FROM partner_center_sync_runs") == runs
    assert not query("SELECT 1 FROM partner_center_sync_runs WHERE state = 'running'")


def test_a_killed_run_is_taken_over_once_its_lease_has_expired(
    start: Start, signed_in: App, simulator: Simulator, query: Query
) -> None:
    slow(simulator)
    child = start("sync", "--json")
    wait_for_pages(query, 3)
    child.kill()
    child.communicate(timeout=30)

    at_once = signed_in.sync(trigger="command")
    killed = query("SELECT task_id FROM partner_center_sync_runs")[0]["task_id"]
    pass_the_lease(query, signed_in)
    while signed_in.sync(trigger="command").state == "partial":
        pass

    assert at_once.state == "already_running"
    assert at_once.task_id == str(killed)
    states = query("SELECT state FROM partner_center_sync_runs ORDER BY started_at")
    assert states[0]["state"] == "interrupted"
    stored = {
        row["referral_id"] for row in query("SELECT referral_id FROM partner_center_referrals")
    }
    assert stored == {wire["id"] for wire in simulator.state.truth() if admits(wire)}


def test_of_two_runs_at_once_one_runs_and_the_other_reports_it(
    start: Start, signed_in: App, simulator: Simulator, query: Query
) -> None:
    slow(simulator)
    child = start("sync", "--json")
    wait_for_pages(query, 1)
    # So slow that it is still at work when the other one has started, however busy the machine.
    simulator.behaviour.latency_s = 5.0

    other = start("sync", "--json")
    other_out, _ = other.communicate(timeout=60)
    simulator.behaviour.latency_s = 0.0
    out, _ = child.communicate(timeout=60)

    assert (child.returncode, other.returncode) == (0, 3)
    assert '"state": "already_running"' in other_out
    assert '"state": "completed"' in out
    assert len(query("SELECT 1 FROM partner_center_sync_runs")) == 1
