"""The decisions of a walk: order, watermark, loops, missing rows, what has to follow."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.referral.ticks import from_ticks, to_ticks
from pc_core.sync import order, sweeping
from pc_core.sync.state import Fingerprint, PendingHead, Sweep, SweepReason, SyncState

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
OVERLAP = timedelta(minutes=15)
DAY = timedelta(days=1)
ticks_lists = st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=30)


@given(st.lists(st.integers(0, 1000)), st.integers(0, 1000))
def test_a_descending_page_is_in_order_and_done_once_strictly_below_the_stop(
    updated: list[int], stop: int
) -> None:
    page = sorted(updated, reverse=True)

    step = order.head_step(page, last_ticks=None, stop_ticks=stop)

    assert step.in_order
    assert step.done == any(ticks < stop for ticks in page)


@given(ticks_lists)
def test_an_order_is_kept_exactly_when_no_change_is_newer_than_one_before(
    updated: list[int | None],
) -> None:
    dated = [ticks for ticks in updated if ticks is not None]

    step = order.head_step(updated, last_ticks=None, stop_ticks=0)

    assert step.in_order == (dated == sorted(dated, reverse=True))


class Changing:
    """A list in the order of change, whose rows change between two pages of it."""

    def __init__(self, rows: int) -> None:
        self.now = rows
        self.changed = {f"r-{number}": number for number in range(rows)}

    def change(self, one: str) -> None:
        self.now += 1
        self.changed[one] = self.now

    def page(self, offset: int, size: int) -> list[tuple[str | None, int | None]]:
        rows = sorted(self.changed.items(), key=lambda row: -row[1])
        return [(one, ticks) for one, ticks in rows[offset : offset + size]]


@given(st.data(), st.integers(1, 5), st.integers(0, 30))
def test_rows_that_change_between_two_pages_do_not_look_like_a_broken_order(
    data: st.DataObject, size: int, rows: int
) -> None:
    world = Changing(rows)
    stop_ticks = data.draw(st.integers(0, rows))
    due = {one for one, ticks in world.changed.items() if ticks >= stop_ticks}
    met: set[str | None] = set()
    offset, last_ticks, began_ticks = 0, None, None
    while page := world.page(offset, size):
        ticks = [row[1] for row in page]
        if offset == 0:
            began_ticks = max(world.now, *(one for one in ticks if one is not None))
        else:
            ticks = order.changes_to_judge(page, met=met, began_ticks=began_ticks)
        step = order.head_step(ticks, last_ticks=last_ticks, stop_ticks=stop_ticks)
        assert step.in_order
        last_ticks = step.last_ticks
        met |= {row[0] for row in page}
        if step.done:
            break
        offset += size
        for one in data.draw(st.lists(st.sampled_from(sorted(world.changed)), max_size=2 * size)):
            world.change(one)
            # It is at the top now, and the next walk's.
            due.discard(one)
        if offset > 40 * (rows + 1):
            break

    assert due <= met


@given(st.lists(st.integers(0, 1000)), st.integers(0, 1000))
def test_a_row_is_excused_only_if_it_was_met_or_has_changed_since(
    ticks: list[int], began_ticks: int
) -> None:
    rows: list[tuple[str | None, int | None]] = [(f"r-{n}", one) for n, one in enumerate(ticks)]

    told = order.changes_to_judge(rows, met={"r-0"}, began_ticks=began_ticks)
    without_a_clock = order.changes_to_judge(rows, met=(), began_ticks=None)

    assert told == [one for one in ticks[1:] if one <= began_ticks]
    assert without_a_clock == ticks


def test_what_has_changed_since_is_newer_than_the_clock_and_than_the_first_page() -> None:
    served_at = from_ticks(to_ticks(NOW))

    assert order.began([5, None], served_at) == to_ticks(NOW)
    assert order.began([to_ticks(NOW) + 7, None], served_at) == to_ticks(NOW) + 7
    assert order.began([None], served_at) is None
    assert order.began([5], None) is None


def test_an_order_broken_between_two_pages_is_noticed() -> None:
    first = order.head_step([9, 7], last_ticks=None, stop_ticks=1)

    second = order.head_step([8, 6], last_ticks=first.last_ticks, stop_ticks=1)

    assert (first.in_order, second.in_order) == (True, False)


def test_a_change_exactly_at_the_stop_is_still_read_past() -> None:
    assert not order.head_step([5, 5], last_ticks=None, stop_ticks=5).done
    assert order.head_step([5, 4], last_ticks=None, stop_ticks=5).done


def test_a_page_without_dates_neither_breaks_the_order_nor_ends_the_walk() -> None:
    step = order.head_step([None, None], last_ticks=7, stop_ticks=5)

    assert (step.in_order, step.done, step.last_ticks) == (True, False, 7)


def test_the_watermark_is_the_newest_change_capped_by_the_servers_clock() -> None:
    past, future = to_ticks(NOW - DAY), to_ticks(NOW + DAY)

    assert order.newest_change([past, past - 5], NOW) == past
    assert order.newest_change([future, past], NOW) == to_ticks(NOW)


@pytest.mark.parametrize(("updated", "served_at"), [([], NOW), ([None], NOW), ([1], None)])
def test_without_date_or_clock_the_watermark_does_not_move(
    updated: list[int | None], served_at: datetime | None
) -> None:
    assert order.newest_change(updated, served_at) is None


@pytest.mark.parametrize(
    ("lead", "believed", "was_ahead"),
    [
        (timedelta(0), NOW, False),
        (timedelta(minutes=-3), NOW - timedelta(minutes=3), False),
        (timedelta(minutes=10), NOW, False),
        (timedelta(days=1), NOW, True),
        (timedelta(days=3650), NOW, True),
    ],
)
def test_a_watermark_in_the_servers_future_is_brought_back(
    lead: timedelta, believed: datetime, was_ahead: bool
) -> None:
    start = order.believed_watermark(to_ticks(NOW + lead), NOW, OVERLAP)

    assert from_ticks(start.watermark_ticks) == believed
    assert start.was_ahead == was_ahead


@given(ticks_lists, st.one_of(st.none(), st.integers(0, 1000)))
def test_creation_order_is_kept_exactly_when_no_date_falls(
    created: list[int | None], last: int | None
) -> None:
    dated = [ticks for ticks in [last, *created] if ticks is not None]

    in_order, newest = order.ascends(created, last)

    assert in_order == (dated == sorted(dated))
    assert newest == max(dated, default=None)


@pytest.mark.parametrize(
    ("received", "top", "capped"),
    [(100, 100, True), (99, 100, False), (200, 100, False), (100, None, False)],
)
def test_a_walk_that_ends_with_exactly_top_rows_was_cut_off(
    received: int, top: int | None, capped: bool
) -> None:
    assert order.is_capped(received=received, top=top) is capped


@given(st.integers(1, 40), st.integers(0, 40))
def test_any_cycle_of_links_is_noticed(cycle: int, lead_in: int) -> None:
    guard = order.LoopGuard()
    steps = 0
    while not guard.repeats(
        f"link-{steps if steps < lead_in else lead_in + (steps - lead_in) % cycle}", [str(steps)]
    ):
        steps += 1
        assert steps <= 4 * (cycle + lead_in) + 4


@pytest.mark.parametrize("empty_between", [1, 2, 3, 7])
def test_the_same_page_with_empty_ones_between_is_a_loop(empty_between: int) -> None:
    guard = order.LoopGuard()
    pages = [["a", "b"], *([[]] * empty_between)]

    found = [guard.repeats(f"link-{n}", pages[n % len(pages)]) for n in range(100)]

    assert any(found[: 10 * len(pages)])


@given(st.integers(1, 500))
def test_a_walk_whose_links_all_differ_is_no_loop(pages: int) -> None:
    guard = order.LoopGuard()

    assert not any(guard.repeats(f"link-{n}", [f"id-{n}"]) for n in range(pages))


def test_the_same_page_behind_changing_links_is_a_loop_but_once_is_a_coincidence() -> None:
    guard = order.LoopGuard()

    verdicts = [guard.repeats(f"link-{n}", ["a", "b"]) for n in range(12)]

    assert verdicts[1] is False
    assert verdicts[-1] is True


def test_empty_pages_may_come_but_not_for_ever() -> None:
    guard = order.LoopGuard()

    verdicts = [guard.repeats(f"link-{n}", []) for n in range(order.EMPTY_PAGES_IN_A_ROW + 1)]

    assert not any(verdicts[:-1])
    assert verdicts[-1]


@pytest.mark.parametrize(
    ("state", "asked", "reason"),
    [
        (SyncState(), False, "first"),
        (SyncState(), True, "first"),
        (SyncState(last_sweep_at=NOW - timedelta(hours=23)), False, None),
        (SyncState(last_sweep_at=NOW - timedelta(hours=24)), False, "due"),
        (SyncState(last_sweep_at=NOW), True, "asked"),
        (SyncState(last_sweep_at=NOW - 2 * DAY, shrank_at=NOW), False, None),
        (SyncState(last_sweep_at=NOW - 2 * DAY, shrank_at=NOW - DAY), False, "due"),
        (SyncState(shrank_at=NOW), False, None),
    ],
)
def test_a_sweep_is_due_first_daily_and_when_asked(
    state: SyncState, asked: bool, reason: str | None
) -> None:
    assert sweeping.sweep_reason(state, asked=asked, now=NOW, every=DAY) == reason


def test_a_refuted_order_is_asked_again_after_a_day() -> None:
    refuted = SyncState(order_verdict="refuted", order_checked_at=NOW)

    assert not sweeping.head_is_worth_asking(refuted, NOW + timedelta(hours=23))
    assert sweeping.head_is_worth_asking(refuted, NOW + DAY)
    assert sweeping.head_is_worth_asking(replace(refuted, order_verdict="unproven"), NOW)


def _open(state: SyncState, reason: SweepReason) -> sweeping.WithSweep:
    return sweeping.with_sweep(state, reason, task_id="t", now=NOW, overlap=OVERLAP)


@pytest.mark.parametrize(
    ("reason", "drift_border"),
    [
        ("due", NOW - OVERLAP),
        ("asked", NOW - OVERLAP),
        ("order_unproven", NOW - OVERLAP),
        ("first", None),
        ("settings_changed", None),
        ("clock", None),
    ],
)
def test_only_a_sweep_that_should_find_nothing_reports_drift(
    reason: SweepReason, drift_border: datetime | None
) -> None:
    opened = _open(SyncState(watermark_ticks=to_ticks(NOW)), reason)

    assert opened.state.sweep is not None
    assert opened.state.sweep.drift_ticks == (to_ticks(drift_border) if drift_border else None)


@pytest.mark.parametrize(
    ("reason", "begins", "again"),
    [
        ("due", False, False),
        ("asked", False, False),
        ("order_unproven", False, True),
        ("clock", False, True),
        ("settings_changed", True, False),
    ],
)
def test_an_open_sweep_goes_on_unless_it_has_become_worthless(
    reason: SweepReason, begins: bool, again: bool
) -> None:
    sweep = Sweep(task_id="before", started_at=NOW - DAY, reason="due", next_link="here")

    opened = _open(SyncState(sweep=sweep), reason)

    assert opened.begins is begins
    assert opened.state.sweep is not None
    assert opened.state.sweep.again is again
    assert (opened.state.sweep.next_link == "here") is not begins


def test_a_sweep_parked_for_an_operator_is_replaced() -> None:
    sweep = Sweep(task_id="before", started_at=NOW - DAY, reason="due", phase="shrank")

    opened = _open(SyncState(sweep=sweep), "due")

    assert opened.begins
    assert opened.state.sweep is not None
    assert opened.state.sweep.phase == "reading"


def test_changed_filters_ask_for_a_sweep_and_changed_rules_for_recomputing() -> None:
    before = Fingerprint(filters="f", rules="r", account="a")

    def change(now: Fingerprint) -> tuple[bool, bool]:
        found = sweeping.fingerprint_change(before, now)
        return found.sweep, found.recompute

    assert change(before) == (False, False)
    assert change(replace(before, filters="F")) == (True, False)
    assert change(replace(before, account="A")) == (True, False)
    assert change(replace(before, rules="R")) == (False, True)
    assert sweeping.fingerprint_change(None, before) == sweeping.FollowUp(
        sweep=False, recompute=False
    )


@pytest.mark.parametrize(
    ("present", "open_", "gone", "accepted", "verdict"),
    [
        (500, 0, 0, False, sweeping.Missing.MARK),
        (500, 0, 3, False, sweeping.Missing.MARK),
        (500, 2, 1, False, sweeping.Missing.CHECK),
        (500, 200, 0, False, sweeping.Missing.CHECK),
        (500, 200, 1, False, sweeping.Missing.SHRANK),
        (500, 200, 1, True, sweeping.Missing.CHECK),
        (500, 0, 51, False, sweeping.Missing.SHRANK),
        (500, 0, 50, False, sweeping.Missing.MARK),
        (500, 0, 51, True, sweeping.Missing.MARK),
        (20, 0, 10, False, sweeping.Missing.MARK),
        (20, 0, 11, False, sweeping.Missing.SHRANK),
        (5, 0, 5, False, sweeping.Missing.MARK),
    ],
)
def test_many_rows_gone_wait_for_an_operator(
    present: int, open_: int, gone: int, accepted: bool, verdict: sweeping.Missing
) -> None:
    assert (
        sweeping.judge_missing(present=present, open_=open_, gone=gone, accepted=accepted)
        is verdict
    )


def test_restarts_of_either_walk_count() -> None:
    head = PendingHead(stop_ticks=0, newest_ticks=1, next_link=None, restarts=2)
    sweep = Sweep(task_id="t", started_at=NOW, reason="due", restarts=1)

    assert sweeping.restarts(SyncState()) == 0
    assert sweeping.restarts(SyncState(sweep=sweep)) == 1
    assert sweeping.restarts(SyncState(head=head, sweep=sweep)) == 2


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_ticks_and_instants_convert_without_loss(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)

    assert from_ticks(to_ticks(instant)) == instant
