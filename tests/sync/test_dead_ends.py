"""A run that cannot go on where the last one stopped finds another way."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from pc_core.store.postgres import PostgresStore
from pc_core.sync.budget import Budget
from pc_core.sync.ports import PartnerCenter
from pc_core.sync.report import RunRequest
from pc_core.sync.state import SyncState
from tests.promise.days import Killed
from tests.sync.harness import Harness, assert_equals_truth

Make = Callable[..., Harness]
ODD_LINKS = [404, 410, 422, 500, 503, "web_page"]
ODD_ROWS = [400, 403, 410, 500, "without_id"]


def cut_off(harness: Harness) -> None:
    """Leave a head unfinished, and let its stored link expire."""
    harness.simulator.behaviour.page_size = 10
    harness.run()
    harness.simulator.state.change_some(80)
    assert harness.run(pages=3).state == "partial"


@pytest.mark.parametrize("answer", ODD_LINKS)
def test_a_stored_place_of_a_head_is_given_up_whatever_its_link_answers(
    make_harness: Make, answer: Any
) -> None:
    harness = make_harness(200)
    cut_off(harness)
    expire_links(harness, answer)

    reports = [harness.run(seconds=20) for _ in range(2)]

    assert reports[-1].state == "completed", reports[-1].failure
    assert_equals_truth(harness)


@pytest.mark.parametrize("answer", ODD_LINKS)
def test_a_stored_place_of_a_sweep_is_given_up_whatever_its_link_answers(
    make_harness: Make, answer: Any
) -> None:
    harness = make_harness(200)
    harness.simulator.behaviour.page_size = 10
    assert harness.run(pages=5).state == "partial"
    expire_links(harness, answer)

    reports = [harness.run(seconds=20) for _ in range(2)]

    assert reports[-1].state == "completed", reports[-1].failure
    assert any(report.sweep_completed_at for report in reports)
    assert_equals_truth(harness)


def expire_links(harness: Harness, answer: Any) -> None:
    """Let every link that was handed out until now be dead, and no later one."""
    harness.simulator.behaviour.expired_link = answer
    harness.simulator.behaviour.expired_before_s = time.time()


@pytest.mark.parametrize("answer", ODD_ROWS)
def test_one_row_whose_answer_by_id_says_nothing_holds_up_no_sweep(
    make_harness: Make, answer: Any
) -> None:
    harness = make_harness()
    harness.run()
    world = harness.simulator.state
    odd, *gone = sorted(harness.rows())[:5]
    world.set_visible([one for one in world.ids() if one != odd])
    for one in gone:
        world.remove(one)
    harness.simulator.behaviour.by_id = answer
    harness.simulator.behaviour.by_id_only = odd

    report = harness.run("full", seconds=30)

    assert report.state == "completed", report.failure
    assert report.counts.unclear == 1
    assert report.counts.marked_missing == len(gone)
    assert harness.rows()[odd]["missing_since"] is None


def test_a_row_that_nobody_may_read_any_more_is_asked_for_again_by_the_next_sweep(
    make_harness: Make,
) -> None:
    harness = make_harness()
    harness.run()
    odd = min(harness.rows())
    world = harness.simulator.state
    world.set_visible([one for one in world.ids() if one != odd])
    harness.simulator.behaviour.by_id = 403
    harness.run("full")
    harness.simulator.behaviour.by_id = "normal"

    harness.run("full")

    assert harness.rows()[odd]["missing_since"] is not None


class DiesAfterMarking:
    """The real store of a process that is killed just after a sweep has ended."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def within(self, remaining_s: Callable[[], float]) -> "DiesAfterMarking":
        return self

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name != "mark_missing":
            return call

        def last_call(*arguments: Any, **named: Any) -> None:
            call(*arguments, **named)
            raise Killed

        return last_call


def test_a_doubt_that_asks_for_another_sweep_outlives_a_kill_at_the_end_of_the_open_one(
    make_harness: Make,
) -> None:
    harness = make_harness(40, lease_s=0.5)
    harness.simulator.behaviour.page_size = 10
    assert harness.run(pages=3).state == "partial"
    doubt(harness)
    harness.store = cast("PostgresStore", DiesAfterMarking(harness.store))
    with pytest.raises(Killed):
        harness.run()

    state: SyncState = PostgresStore(harness.database).load_state()

    assert state.sweep is not None
    assert state.sweep.reason == "order_unproven"
    assert not state.sweep.again


def doubt(harness: Harness) -> None:
    """Note that another sweep has to follow the open one."""
    harness.query(
        "UPDATE partner_center_sync_state "
        "SET sweep = jsonb_set(sweep::jsonb, '{again}', 'true') RETURNING 1"
    )


def test_an_operator_who_accepts_marks_only_what_is_gone_now(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    harness.simulator.state.set_visible(0.5)
    assert harness.run("full").state == "failed"
    harness.simulator.state.set_visible(1)

    reports = [harness.run(accept_missing=True)]
    while reports[-1].state == "partial":
        reports.append(harness.run())

    assert reports[-1].state == "completed", reports[-1].failure
    assert all(row["missing_since"] is None for row in harness.rows().values())


def test_a_page_size_changed_within_a_walk_cuts_no_list_short(make_harness: Make) -> None:
    harness = make_harness(60, page_size=30)
    harness.simulator.behaviour.page_size = 10
    harness.simulator.behaviour.top_means = "total"
    assert harness.run(pages=3).state == "partial"
    harness.page_size = 40

    reports = [harness.run()]
    while reports[-1].state == "partial":
        reports.append(harness.run())

    assert reports[-1].state == "completed", reports[-1].failure
    assert_equals_truth(harness)


class PressesCtrlC:
    """A Partner Center at whose first question somebody presses Ctrl-C."""

    requests = retries = 0

    def first_page(self, **_: object) -> None:
        raise KeyboardInterrupt

    def close(self) -> None:
        """Nothing is open."""


def test_ctrl_c_gives_the_lease_back_at_once(make_harness: Make) -> None:
    harness = make_harness(20)
    sync = replace(harness.sync(), partner_center=lambda: cast("PartnerCenter", PressesCtrlC()))

    with pytest.raises(KeyboardInterrupt):
        sync.run(RunRequest(trigger="command"), Budget(30))

    assert harness.run().state == "completed"
    states = [row["state"] for row in harness.query("SELECT state FROM partner_center_sync_runs")]
    assert sorted(states) == ["completed", "interrupted"]
