"""Answers that look well and are not: none looks like success, none marks rows as missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

import pytest

from dev.simulator.faults import Fault, Kind
from pc_core.health.alarms import Expected
from pc_core.health.status import status_of
from pc_core.referral.ticks import to_ticks
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.plan import StoredRow
from pc_core.sync.report import FailureKind, Mode, Report
from pc_core.web import respond
from tests.promise.days import HOUR_S, advance
from tests.promise.trials import (
    Kept,
    Trial,
    assert_healthy,
    events_of,
)

pytestmark = pytest.mark.long

Make = Callable[..., Trial]
MODES: tuple[Mode, ...] = ("incremental", "full")
DAY_S = 86_400.0
LAST_PAGE_S = 0.3
"""After so long nothing more is looked up: the page was the last one."""
NUMBERS = count()
FUTURE = datetime(2099, 1, 1, tzinfo=UTC)
EXPECTED = Expected(enabled=True, schedule="0 */10 * * * *", full_sync_every=timedelta(hours=24))


@pytest.fixture
def trial(make_trial: Make) -> Trial:
    """A filled database on pages of ten."""
    made = make_trial(120)
    made.heal()
    made.recover()
    return made


def alarms(trial: Trial) -> set[str]:
    """What the status says, read by an app that has just started."""
    facts = PostgresReader(trial.database).facts()
    return {alarm["code"] for alarm in status_of(facts, EXPECTED, trial.now())["alarms"]}


def assert_is_no_success(report: Report, code: str, kind: FailureKind) -> None:
    assert report.failure is not None
    assert (report.state, report.failure.code, report.failure.kind) == ("failed", code, kind)
    assert not report.success
    assert report.to_json()["success"] is False
    assert respond.from_report(report).status in (500, 502)
    assert report.sweep_completed_at is None
    assert report.counts.marked_missing == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("kind", ["html", "items_key", "no_value", "invalid_json"])
def test_an_answer_that_is_no_list_is_a_failed_run(
    trial: Trial, kind: Kind, at: int, mode: Mode
) -> None:
    trial.simulator.state.change_some(30)
    before, state = Kept.of(trial), trial.store.load_state()
    trial.simulator.faults.add(Fault(kind=kind, target="list", at=at, times=None))

    report = trial.run(mode)

    assert_is_no_success(report, "nonsense_answer", FailureKind.NONSENSE)
    assert trial.store.load_state().last_success_at == state.last_success_at
    assert trial.store.load_state().watermark_ticks == state.watermark_ticks
    before.assert_kept_by(trial)
    assert "last_run_failed" in alarms(trial)
    trial.heal()
    trial.recover()
    assert_healthy(trial)
    assert "last_run_failed" not in alarms(trial)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_list_where_there_were_many_is_a_failed_run(trial: Trial, mode: Mode) -> None:
    before, state = Kept.of(trial), trial.store.load_state()
    trial.simulator.state.set_visible(0)

    for _ in range(3):
        report = trial.run(mode)

        assert_is_no_success(report, "empty_answer", FailureKind.NONSENSE)
    before.assert_kept_by(trial)
    assert trial.store.load_state().last_success_at == state.last_success_at
    assert "last_run_failed" in alarms(trial)
    trial.simulator.state.set_visible(1)
    trial.recover()
    assert_healthy(trial)


def test_an_empty_list_is_believed_no_more_where_only_what_is_left_out_had_changed(
    trial: Trial,
) -> None:
    # No stored row lies above the stopping point, so that none is missed there.
    advance(trial, HOUR_S)
    trial.simulator.state.add(direction="Outgoing", status="New", substatus="Received")
    assert trial.run().state == "completed"
    before, state = Kept.of(trial), trial.store.load_state()
    trial.simulator.state.set_visible(0)
    trial.simulator.clear_requests()

    report = trial.run()

    assert_is_no_success(report, "empty_answer", FailureKind.NONSENSE)
    assert report.head_completed_at is None
    assert trial.list_requests() == 1, "nothing is concluded from it, not even a doubt"
    assert trial.store.load_state().sweep is None
    before.assert_kept_by(trial)
    assert trial.store.load_state().last_success_at == state.last_success_at


@pytest.mark.parametrize("pages_until", [2, 6])
def test_a_list_that_breaks_off_as_if_it_had_ended_marks_nothing(
    trial: Trial, pages_until: int
) -> None:
    world = trial.simulator.state
    before = Kept.of(trial)
    all_ids = set(world.ids())
    shown = world.ids()[: 10 * (pages_until - 1)]
    world.after_request(1, lambda: world.set_visible(shown))

    reports = [trial.run("full") for _ in range(3)]

    before.assert_kept_by(trial)
    assert reports[0].failure is not None
    assert reports[0].failure.code == "visibility_shrank"
    world.set_visible(all_ids)
    trial.run("full")
    assert_healthy(trial)


def test_changes_that_break_off_as_if_the_list_had_ended_are_no_success(trial: Trial) -> None:
    world = trial.simulator.state
    world.change_some(45)
    newest = sorted(world.truth(), key=lambda wire: wire["updatedDateTime"], reverse=True)
    before, state = Kept.of(trial), trial.store.load_state()
    world.after_request(1, lambda: world.set_visible([wire["id"] for wire in newest[:20]]))

    report = trial.run()

    assert_is_no_success(report, "visibility_shrank", FailureKind.OPERATOR)
    assert report.head_completed_at is None
    before.assert_kept_by(trial)
    assert trial.store.load_state().last_success_at == state.last_success_at
    world.set_visible(1)
    assert trial.run("full").state == "completed"
    assert_healthy(trial)


@pytest.mark.parametrize("by_id", ["normal", 403])
def test_half_of_the_referrals_gone_is_told_and_marks_none(trial: Trial, by_id: Any) -> None:
    before, state = Kept.of(trial), trial.store.load_state()
    trial.simulator.behaviour.by_id = by_id
    trial.simulator.state.set_visible(0.5)

    report = trial.run("full")

    assert_is_no_success(report, "visibility_shrank", FailureKind.OPERATOR)
    before.assert_kept_by(trial)
    assert trial.store.load_state().last_sweep_at == state.last_sweep_at
    assert "visibility_shrank" in alarms(trial)

    trial.run()
    before.assert_kept_by(trial)
    assert "visibility_shrank" in alarms(trial), "until someone decides"
    trial.heal()
    trial.simulator.state.set_visible(1)
    assert trial.run("full").state == "completed"
    assert_healthy(trial)
    assert not alarms(trial) & {"visibility_shrank", "last_run_failed"}


@pytest.mark.parametrize(("gone", "is_news"), [(10, True), (11, False)])
def test_ten_rows_gone_are_news_and_one_more_is_a_question(
    make_trial: Make, gone: int, is_news: bool
) -> None:
    trial = make_trial(150)
    trial.heal()
    trial.recover()
    assert len(trial.rows()) < 110, "ten per cent must be less than eleven"
    for one in list(trial.rows())[:gone]:
        trial.simulator.state.remove(one)

    report = trial.run("full")

    marked = [row for row in trial.rows().values() if row["missing_since"] is not None]
    assert len(marked) == report.counts.marked_missing == (gone if is_news else 0)
    assert (report.state == "completed") is is_news


@pytest.mark.parametrize("mode", MODES)
def test_the_same_page_for_ever_ends_as_a_failed_run(trial: Trial, mode: Mode) -> None:
    trial.simulator.state.change_some(120)
    before = Kept.of(trial)
    trial.simulator.behaviour.page_equal_always = True
    trial.simulator.clear_requests()

    report = trial.run(mode, seconds=30)

    assert_is_no_success(report, "pages_repeat", FailureKind.NONSENSE)
    assert trial.list_requests() < 20
    before.assert_kept_by(trial)
    trial.heal()
    trial.recover()
    assert_healthy(trial)


def test_an_order_that_is_right_on_the_first_page_only_is_noticed_and_read_around(
    trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pc_core")
    trial.simulator.behaviour.updated_order = "first_page_only"
    trial.simulator.state.change_some(60)

    report = trial.run()

    assert report.state == "completed", report.failure
    assert report.sweep_completed_at is not None, "only a sweep can have found the rest"
    assert events_of(caplog.records, "partner_center_order_not_honoured")
    assert_healthy(trial)


@pytest.mark.parametrize("pages", [5, 8])
def test_without_an_order_a_run_that_ends_an_older_sweep_reads_everything_itself(
    trial: Trial, pages: int
) -> None:
    world = trial.simulator.state
    trial.simulator.behaviour.updated_order = "refused"
    assert trial.run(pages=pages).state == "partial"
    oldest = next(one for one in world.ids() if one in trial.rows())
    world.change(oldest, details={"notes": "Not read by the sweep that is open"})

    report = trial.run()

    assert report.state == "completed", report.failure
    assert report.head_completed_at is not None
    assert report.head_completed_at >= report.started_at
    assert_healthy(trial)


def test_without_an_order_a_success_is_no_younger_than_what_was_read(trial: Trial) -> None:
    trial.simulator.behaviour.updated_order = "refused"
    began_at = trial.now()
    assert trial.run(pages=5).state == "partial"
    advance(trial, HOUR_S)

    # The rest of the open sweep, and the beginning of the one that has to follow it.
    report = trial.run(pages=11)

    assert report.state == "partial", report.failure
    assert report.sweep_completed_at is not None
    last = trial.store.load_state().last_success_at
    assert last is not None
    assert last - began_at < timedelta(minutes=1)


@pytest.mark.parametrize("page_holds", ["empty_value", "lone_surrogate", "nul"])
@pytest.mark.parametrize("at", [1, 3, 5])
def test_rows_withheld_or_spoilt_on_one_page_come_with_the_next_sweep(
    trial: Trial, page_holds: Kind, at: int
) -> None:
    trial.simulator.state.change_some(45)
    before = Kept.of(trial)
    trial.simulator.faults.add(Fault(kind=page_holds, target="list", at=at))

    trial.run()

    before.assert_kept_by(trial)
    trial.heal()
    assert trial.run("full").state == "completed"
    assert_healthy(trial)
    assert not trial.query("SELECT 1 FROM partner_center_quarantine WHERE state = 'open'")


@pytest.mark.parametrize("wrong_s", [-DAY_S, -3600, -60, 60, 3600, DAY_S, 20 * 365 * DAY_S])
@pytest.mark.parametrize("whose", ["theirs", "ours", "both"])
def test_a_wrong_clock_loses_nothing_while_it_is_wrong_nor_afterwards(
    trial: Trial, whose: str, wrong_s: float
) -> None:
    world = trial.simulator.state
    stored = list(trial.rows())[:15]

    def set_clocks(offset_s: float) -> None:
        if whose in ("theirs", "both"):
            trial.simulator.behaviour.date_offset_s = offset_s
        if whose in ("ours", "both"):
            trial.later = timedelta(seconds=offset_s)

    for offset_s in (wrong_s, 0, wrong_s, 0):
        set_clocks(offset_s)
        for _ in range(2):
            for one in stored:
                world.change(one, details={"notes": f"Not {next(NUMBERS)}"})
            world.add(direction="Incoming", status="New", substatus="Received")

            report = trial.run()

            assert report.state == "completed", report.failure
            if whose != "both" or offset_s >= 0:
                assert_healthy(trial)


@pytest.mark.parametrize("has_date", [True, False])
def test_a_watermark_far_in_the_future_does_not_stop_the_sync(
    trial: Trial, has_date: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pc_core")
    trial.query(
        "UPDATE partner_center_sync_state SET watermark_ticks = %s RETURNING 1", to_ticks(FUTURE)
    )
    trial.simulator.behaviour.date_header = has_date
    trial.simulator.state.change_some(30)
    trial.simulator.state.add(direction="Incoming", status="New", substatus="Received")

    report = trial.run()

    assert report.state == "completed", report.failure
    assert_healthy(trial)
    assert events_of(caplog.records, "partner_center_watermark_was_ahead")
    assert report.watermark_at is not None
    assert report.watermark_at < trial.now() + timedelta(minutes=1)
    trial.simulator.state.change_some(30)
    trial.simulator.clear_requests()
    assert trial.run().state == "completed"
    assert_healthy(trial)


def test_a_referral_dated_far_in_the_future_hides_no_other_and_can_be_corrected(
    trial: Trial,
) -> None:
    world = trial.simulator.state
    dated = world.add(
        direction="Incoming",
        status="New",
        substatus="Received",
        updatedDateTime="2099-01-01T00:00:00.0000000Z",
    )
    for _ in range(2):
        world.change_some(15)
        assert trial.run().state == "completed"
        assert_healthy(trial)
    # The capped date is as exact as a Date header: one second.
    world.advance(2)
    world.change(dated["id"], name="corrected")

    assert trial.run().state == "completed"
    assert_healthy(trial)


@pytest.mark.parametrize(
    "column", ["last_sweep_at", "order_checked_at", "order_refuted_at", "last_success_at"]
)
def test_a_moment_noted_by_a_clock_that_was_years_ahead_is_not_waited_for(
    trial: Trial, column: str
) -> None:
    noted = {"last_sweep_at": FUTURE, "order_checked_at": FUTURE, column: FUTURE}
    trial.query(
        "UPDATE partner_center_sync_state SET last_sweep_at = %s, order_checked_at = %s,"
        " order_refuted_at = %s, last_success_at = coalesce(%s, last_success_at),"
        " order_verdict = 'refuted' RETURNING 1",
        noted.get("last_sweep_at"),
        noted.get("order_checked_at"),
        noted.get("order_refuted_at"),
        noted.get("last_success_at"),
    )
    if column == "last_success_at":
        assert "missed" in alarms(trial), "a success that has not been yet proves nothing"
    hidden = list(trial.rows())[:3]
    for one in hidden:
        trial.simulator.state.remove(one)

    report = trial.run()

    assert report.state == "completed", report.failure
    assert report.sweep_completed_at is not None
    assert_healthy(trial)
    trial.simulator.clear_requests()
    assert trial.run().state == "completed"
    assert "updatedDateTime" in trial.list_queries()[0], "the order is asked for again"


class LooksFirst:
    """The real store, which saves a page only once the one behind it has been looked up."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._run = threading.current_thread()
        self._looked = threading.Event()

    def within(self, remaining_s: Callable[[], float]) -> LooksFirst:
        self._store = self._store.within(remaining_s)
        return self

    def stored_rows(self, ids: Collection[str]) -> dict[str, StoredRow]:
        found = self._store.stored_rows(ids)
        if threading.current_thread() is not self._run:
            self._looked.set()
        return found

    def save_page(self, *arguments: Any, **named: Any) -> None:
        self._looked.wait(LAST_PAGE_S)
        self._looked.clear()
        self._store.save_page(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("changes", [1, 2, 9, 10, 11, 25])
@pytest.mark.parametrize("after", [1, 3])
def test_rows_that_change_while_the_list_is_read_are_no_broken_order(
    make_trial: Make, changes: int, after: int
) -> None:
    """They move to the top, and what was above them moves down to the next page."""
    trial = make_trial(60)
    trial.heal()
    trial.recover()
    world = trial.simulator.state
    ids = world.ids()[:45]
    for one in ids:
        world.change(one, details={"notes": "changed"})
    world.after_request(
        after, lambda: [world.change(one, details={"notes": "again"}) for one in ids[:changes]]
    )
    trial.note_admitted()
    trial.simulator.clear_requests()
    store = trial.store
    trial.store = cast("PostgresStore", LooksFirst(store))

    report = trial.run()

    trial.store = store
    assert report.state == "completed", report.failure
    assert store.load_state().order_verdict == "proven"
    assert trial.list_requests() <= 8, "no sweep"
    [written] = trial.query(
        "SELECT count(DISTINCT (referral_id, changed_at)) AS updates"
        " FROM partner_center_referral_changes WHERE task_id = %s",
        report.task_id,
    )
    assert report.counts.updated == written["updates"], "what moves to the next page is no change"
    trial.recover()
    assert_healthy(trial)
