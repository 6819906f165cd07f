"""Runs one after another: what each reads, writes, remembers and reports."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, unquote

import pytest

from dev.simulator.faults import Fault
from pc_core.identity.account import Account
from pc_core.referral.admission import Admission
from pc_core.sync.report import Trigger
from tests.sync.harness import Harness, admits, assert_equals_truth

Make = Callable[..., Harness]
DAY = timedelta(days=1)


def test_a_first_run_reads_everything_and_says_so(make_harness: Make) -> None:
    harness = make_harness()
    truth = harness.simulator.state.truth()

    report = harness.run()

    counts = report.counts
    assert report.state == "completed", report.failure
    assert counts.fetched == len(truth)
    assert counts.inserted == len([wire for wire in truth if admits(wire)])
    assert report.head_completed_at is not None
    assert report.sweep_completed_at is not None
    assert sum(counts.skipped_reasons.values()) == counts.skipped > 0
    assert {row["referral_type"] for row in harness.rows().values()} >= {
        "co-sell",
        "marketplace",
        "solution-provider",
    }
    stored = harness.query("SELECT * FROM partner_center_sync_runs")
    assert [(str(run["task_id"]), run["state"]) for run in stored] == [
        (report.task_id, "completed")
    ]


def test_a_second_run_without_changes_makes_one_request_and_touches_no_row(
    make_harness: Make,
) -> None:
    harness = make_harness()
    harness.run()
    before = harness.places()
    harness.simulator.clear_requests()

    report = harness.run()

    assert report.state == "completed"
    assert report.counts.requests == len(harness.list_queries()) == 1
    assert (report.counts.inserted, report.counts.updated) == (0, 0)
    assert harness.places() == before


def test_what_an_account_comes_to_see_after_its_first_sweep_is_all_read(
    make_harness: Make,
) -> None:
    harness = make_harness(120)
    harness.simulator.behaviour.page_size = 25
    world = harness.simulator.state
    world.set_visible([])
    empty = harness.run()
    world.set_visible(1.0)

    report = harness.run()

    assert (empty.state, empty.counts.fetched) == ("completed", 0)
    assert report.state == "completed", report.failure
    assert report.counts.inserted > 25
    assert_equals_truth(harness)
    harness.simulator.clear_requests()
    assert harness.run().sweep_completed_at is None


def test_changes_arrive_where_no_answer_has_ever_told_the_time(make_harness: Make) -> None:
    harness = make_harness(60)
    harness.simulator.behaviour.page_size = 10
    harness.simulator.behaviour.date_header = False
    harness.run()
    harness.simulator.state.change_some(30)

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


def test_the_queries_that_arrive_are_those_that_are_meant(make_harness: Make) -> None:
    harness = make_harness(page_size=50)
    harness.simulator.behaviour.page_size = 50

    harness.run()

    queries = harness.list_queries()
    assert [unquote(query) for query in queries[:2]] == [
        "$orderby=updatedDateTime desc&$top=50",
        "$orderby=createdDateTime asc&$top=50",
    ]
    assert len(queries) == 4
    for query in queries[2:]:
        assert set(parse_qs(query)) == {"$skiptoken"}
    assert not any("filter" in query for query in queries)


def test_without_a_page_size_no_top_is_sent(make_harness: Make) -> None:
    harness = make_harness()

    harness.run()

    assert unquote(harness.list_queries()[0]) == "$orderby=updatedDateTime desc"


def test_the_cost_of_a_run_follows_the_changes(make_harness: Make) -> None:
    harness = make_harness(400)
    harness.simulator.behaviour.page_size = 25
    harness.run()
    changed = harness.simulator.state.change_some(30)
    harness.simulator.clear_requests()

    report = harness.run()

    assert report.counts.requests == 2
    stored = [one for one in changed if one in harness.rows()]
    assert report.counts.updated == len(stored)
    assert_equals_truth(harness)


def test_what_was_stored_as_active_and_is_then_closed_is_updated(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    stored = next(iter(harness.rows()))
    never_stored = next(
        wire["id"]
        for wire in harness.simulator.state.truth()
        if wire["direction"] == "Incoming" and wire["status"] == "Closed"
    )
    harness.simulator.state.close(stored, "Lost")
    harness.simulator.state.change(never_stored, name="closed for long")

    report = harness.run()

    assert harness.rows()[stored]["substatus"] == "Lost"
    assert never_stored not in harness.rows()
    assert report.counts.skipped_reasons["status_closed"] >= 1
    history = harness.query(
        "SELECT field, before, after FROM partner_center_referral_changes "
        "WHERE referral_id = %s AND field IN ('status', 'substatus') ORDER BY field",
        stored,
    )
    assert [(entry["field"], entry["after"]) for entry in history] == [
        ("status", "Closed"),
        ("substatus", "Lost"),
    ]


def test_three_pages_a_run_against_dying_links_still_bring_what_is_fresh(
    make_harness: Make,
) -> None:
    harness = make_harness(400)
    harness.simulator.behaviour.page_size = 10
    states = []
    for _ in range(8):
        fresh = harness.simulator.state.add(
            direction="Incoming", status="New", substatus="Received"
        )

        report = harness.run(pages=3)

        states.append((report.state, report.failure.code if report.failure else None))
        assert fresh["id"] in harness.rows() or len(states) == 1
        assert report.head_completed_at is not None
        harness.simulator.behaviour.next_link_ttl_s = 0.0

    assert states[0] == ("partial", None)
    assert states[-1] == ("failed", "walk_cannot_finish")
    harness.simulator.behaviour.next_link_ttl_s = None
    for _ in range(30):
        if harness.run(pages=3).sweep_completed_at is not None:
            break
    assert_equals_truth(harness)


@pytest.mark.parametrize(("trigger", "third"), [("timer", "completed"), ("http", "partial")])
def test_a_timer_run_whose_walk_keeps_being_cut_off_gets_all_the_time(
    make_harness: Make, trigger: Trigger, third: str
) -> None:
    harness = make_harness(200)
    behaviour = harness.simulator.behaviour
    behaviour.page_size = 10

    reports = []
    for _ in range(3):
        behaviour.latency_s = 0.1
        reports.append(harness.run(seconds=0.6, trigger=trigger))
        harness.simulator.faults.add(Fault(kind="bad_request", target="list", at=2))

    assert [report.state for report in reports] == ["partial", "partial", third]
    assert (reports[-1].sweep_completed_at is not None) is (third == "completed")


def test_a_head_that_was_cut_off_goes_on_and_fresh_changes_come_first(make_harness: Make) -> None:
    harness = make_harness(300)
    harness.simulator.behaviour.page_size = 10
    harness.run()
    harness.simulator.state.change_some(120)

    first = harness.run(pages=4)
    watermark = first.watermark_at
    fresh = harness.simulator.state.add(direction="Incoming", status="New", substatus="Received")
    harness.simulator.clear_requests()
    second = harness.run(pages=4)

    assert (first.state, second.state) == ("partial", "partial")
    assert fresh["id"] in harness.rows()
    assert second.watermark_at == watermark
    for _ in range(20):
        last = harness.run(pages=4)
        if last.state == "completed":
            break
    assert last.state == "completed", last.failure
    assert last.sweep_completed_at is None
    assert last.watermark_at is not None
    assert watermark is not None
    assert last.watermark_at > watermark
    assert_equals_truth(harness)


@pytest.mark.parametrize("changes", [1, 2, 5, 9, 25])
def test_what_changes_between_two_parts_of_a_head_is_no_broken_order(
    make_harness: Make, changes: int
) -> None:
    """Changed rows move to the top, and what the stored link leads to moves down with them."""
    harness = make_harness(300)
    harness.simulator.behaviour.page_size = 10
    harness.run()
    world = harness.simulator.state
    oldest_first = world.ids()[:60]
    for one in oldest_first:
        world.advance(2)
        world.change(one, details={"notes": "changed"})
    first = harness.run(pages=4)
    world.advance(2)
    for one in oldest_first[:changes]:
        world.change(one, details={"notes": "again"})

    second = harness.run()

    assert (first.state, second.state) == ("partial", "completed")
    assert harness.store.load_state().order_verdict == "proven"
    assert second.sweep_completed_at is None
    assert_equals_truth(harness)


def test_a_head_whose_stored_link_was_refused_starts_again(make_harness: Make) -> None:
    harness = make_harness(200)
    harness.simulator.behaviour.page_size = 10
    harness.run()
    harness.simulator.state.change_some(80)
    harness.run(pages=3)
    harness.simulator.faults.add(Fault(kind="bad_request", target="list", at=2))

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


def test_rows_gone_at_the_source_are_marked_after_a_sweep_and_unmarked_when_they_return(
    make_harness: Make,
) -> None:
    harness = make_harness()
    harness.run()
    gone = list(harness.rows())[:5]
    for one in gone:
        harness.simulator.state.remove(one)

    swept = harness.run("full")

    assert swept.state == "completed", swept.failure
    assert swept.counts.marked_missing == 5
    assert_equals_truth(harness)
    for one in gone:
        harness.simulator.state.restore(one)
    back = harness.run("full")
    assert back.counts.reappeared == 5
    assert back.counts.drift == 0
    assert_equals_truth(harness)


def test_two_hundred_rows_that_reorder_during_a_sweep_are_not_marked(make_harness: Make) -> None:
    harness = make_harness(400)
    behaviour = harness.simulator.behaviour
    behaviour.page_size = 25
    behaviour.created_order = "ignored"
    behaviour.default_order = "updatedDateTime asc"
    harness.run()
    world = harness.simulator.state
    world.after_request(3, lambda: [world.change(one) for one in world.ids()[-200:]])

    reports = [harness.run("full")]
    while reports[-1].state == "partial":
        reports.append(harness.run())

    assert reports[-1].state == "completed", reports[-1].failure
    assert all(report.counts.marked_missing == 0 for report in reports)
    assert_equals_truth(harness)


def test_a_role_that_suddenly_sees_half_marks_none_and_says_so(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    harness.simulator.state.set_visible(0.5)

    report = harness.run("full")

    assert report.state == "failed"
    assert report.failure is not None
    assert report.failure.code == "visibility_shrank"
    assert all(row["missing_since"] is None for row in harness.rows().values())


def test_a_shrunken_view_does_not_stop_the_changes_and_waits_for_an_operator(
    make_harness: Make,
) -> None:
    harness = make_harness()
    harness.run()
    harness.simulator.state.set_visible(0.5)
    harness.run("full")
    fresh = harness.simulator.state.get(harness.simulator.state.ids()[0])["id"]
    harness.simulator.state.change(fresh, name="fresh")

    waiting = harness.run()

    assert waiting.state == "completed", waiting.failure
    reports = [harness.run(accept_missing=True)]
    while reports[-1].state == "partial":
        reports.append(harness.run())
    assert reports[-1].state == "completed", reports[-1].failure
    assert sum(report.counts.marked_missing for report in reports) > 10
    assert_equals_truth(harness)


def test_another_tenant_is_refused_before_anything_is_read(make_harness: Make) -> None:
    harness = make_harness(40)
    harness.run()
    harness.simulator.clear_requests()
    harness.tokens.account = Account(
        account_id="somebody.else", username="else@other.example", tenant_id="other-tenant"
    )

    report = harness.run()

    assert report.failure is not None
    assert (report.state, report.failure.code) == ("failed", "tenant_mismatch")
    assert harness.list_queries() == []


def test_another_organization_is_refused_and_nothing_of_it_is_stored(make_harness: Make) -> None:
    harness = make_harness(40)
    harness.run()
    before = harness.places()
    harness.simulator.behaviour.organization_id = "0b5e7a90-8c1d-4e2f-b3a4-000000000000"

    report = harness.run()

    assert report.failure is not None
    assert (report.state, report.failure.code) == ("failed", "organization_mismatch")
    assert harness.places() == before


def test_another_account_of_the_tenant_is_noticed_by_a_sweep(make_harness: Make) -> None:
    harness = make_harness(40)
    harness.run()
    account = harness.tokens.token().account
    harness.tokens.account = replace(account, account_id="colleague.same-tenant")

    report = harness.run()

    assert report.state == "completed", report.failure
    assert report.sweep_completed_at is not None
    assert report.counts.drift == 0


def test_changed_filters_bring_what_they_now_admit(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    harness.admission = Admission(directions=None, statuses=None, excluded_substatuses=frozenset())
    harness.filters = "everything"

    report = harness.run()

    assert report.counts.backfilled > 0
    assert report.counts.drift == 0
    assert len(harness.rows()) == len(harness.simulator.state.truth())


def test_changed_rules_are_applied_without_asking_partner_center(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    harness.query("UPDATE partner_center_referrals SET domain = NULL RETURNING 1")
    harness.rules_made_with = "rules-2"
    harness.simulator.clear_requests()

    report = harness.run()

    assert report.state == "completed", report.failure
    assert len(harness.list_queries()) == 1
    assert report.counts.recomputed == len(harness.rows())
    assert any(row["domain"] for row in harness.rows().values())


def test_a_change_hidden_from_the_head_is_found_by_the_sweep_as_drift(make_harness: Make) -> None:
    harness = make_harness()
    harness.simulator.behaviour.page_size = 5
    harness.run()
    oldest_first = sorted(harness.rows().values(), key=lambda row: row["pc_updated_at"])
    hidden = [row["referral_id"] for row in oldest_first[:3]]
    for one in hidden:
        long_ago = harness.now() - timedelta(days=60)
        harness.simulator.state.change(
            one, name="backdated", updatedDateTime=f"{long_ago:%Y-%m-%dT%H:%M:%SZ}"
        )
    harness.later = DAY

    report = harness.run()

    newer = [one for one in hidden if harness.rows()[one]["name"] == "backdated"]
    assert report.sweep_completed_at is not None
    assert report.counts.drift == len(newer) > 0


def test_a_silent_change_is_found_by_the_sweep_and_is_no_drift(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    quiet = min(harness.rows().values(), key=lambda row: row["pc_updated_at"])
    harness.simulator.state.change(quiet["referral_id"], silent=True, name="silently renamed")

    report = harness.run("full")

    assert (report.counts.changed_silently, report.counts.drift) == (1, 0)
    assert harness.rows()[quiet["referral_id"]]["name"] == "silently renamed"


def test_a_sweep_comes_by_itself_once_a_day(make_harness: Make) -> None:
    harness = make_harness(40)
    harness.run()

    at_once = harness.run()
    harness.later = DAY
    next_day = harness.run()

    assert at_once.sweep_completed_at is None
    assert next_day.sweep_completed_at is not None


@pytest.mark.parametrize("offset_s", [86_400.0, -86_400.0, 10 * 365 * 86_400.0])
def test_a_wrong_clock_at_the_server_does_not_stop_the_changes_for_ever(
    make_harness: Make, offset_s: float
) -> None:
    harness = make_harness()
    harness.simulator.behaviour.date_offset_s = offset_s
    harness.run()
    harness.simulator.state.add(updatedDateTime="2099-01-01T00:00:00Z", direction="Incoming")
    harness.run()
    harness.simulator.behaviour.date_offset_s = 0.0
    harness.simulator.state.change_some(20)

    report = harness.run()

    assert report.state == "completed", report.failure
    assert_equals_truth(harness)


def test_many_rows_whose_loss_was_accepted_once_are_marked_over_several_runs(
    make_harness: Make,
) -> None:
    harness = make_harness(400)
    harness.run()
    for one in harness.simulator.state.ids():
        harness.simulator.state.remove(one)

    reports = [harness.run("full", accept_missing=True)]
    while reports[-1].state == "partial" and len(reports) < 10:
        reports.append(harness.run())

    assert [report.state for report in reports[:-1]] == ["partial"] * (len(reports) - 1)
    assert len(reports) > 2
    assert reports[-1].state == "completed", reports[-1].failure
    assert all(row["missing_since"] for row in harness.rows().values())


def test_an_empty_answer_where_referrals_are_stored_is_no_success(make_harness: Make) -> None:
    harness = make_harness()
    harness.run()
    harness.simulator.faults.add(Fault(kind="empty_value", target="list", times=None))

    incremental, full = harness.run(), harness.run("full")

    for report in (incremental, full):
        assert report.failure is not None
        assert (report.state, report.failure.code) == ("failed", "empty_answer")
    harness.simulator.faults.clear()
    assert_equals_truth(harness)


@pytest.mark.parametrize(
    "kind", ["html", "items_key", "no_value", "invalid_json", "truncated", "redirect"]
)
@pytest.mark.parametrize("at", [2, 4])
def test_a_nonsense_answer_fails_the_run_keeps_what_it_has_and_heals(
    make_harness: Make, kind: str, at: int
) -> None:
    harness = make_harness()
    harness.simulator.behaviour.page_size = 25
    harness.simulator.faults.add(
        Fault(kind=kind, target="list", at=at, times=3)  # type: ignore[arg-type]
    )

    report = harness.run()

    assert report.state == "failed"
    assert report.counts.pages == at - 2
    harness.simulator.faults.clear()
    assert harness.run().state == "completed"
    assert_equals_truth(harness)


def test_pages_that_repeat_end_the_walk(make_harness: Make) -> None:
    harness = make_harness(200)
    harness.simulator.behaviour.page_size = 10
    harness.simulator.behaviour.page_equal_always = True

    report = harness.run()

    assert report.failure is not None
    assert (report.state, report.failure.code) == ("failed", "pages_repeat")
    assert report.counts.requests < 60


def test_one_poisonous_row_never_stops_its_page(make_harness: Make) -> None:
    harness = make_harness(40)
    world = harness.simulator.state
    world.add_raw("bad-1", b'{"id":"bad-1","details":{"dealValue":{"much":1}}}')
    world.add_raw("bad-2", b'{"id":"bad-2","name":"\\u0000"}')
    world.add_raw("bad-3", b"[1,2,3]")

    first, second = harness.run(), harness.run()

    assert first.state == second.state == "completed"
    entries = harness.query(
        "SELECT referral_id, reason FROM partner_center_quarantine ORDER BY entry_id"
    )
    assert len(entries) == 3
    assert {entry["referral_id"] for entry in entries} == {"bad-1", "bad-2", None}
    admitted = {wire["id"] for wire in world.truth() if admits(wire)}
    assert admitted - {"bad-1", "bad-2"} <= harness.rows().keys()


def test_a_later_good_version_closes_the_quarantine_entry(make_harness: Make) -> None:
    harness = make_harness(40)
    world = harness.simulator.state
    stored = world.ids()[0]
    world.change(stored, details={"dealValue": "no number"})
    harness.run()
    assert harness.run().counts.quarantined == 1

    world.change(stored, details={"dealValue": 5})
    harness.run()

    states = harness.query("SELECT state FROM partner_center_quarantine")
    assert [entry["state"] for entry in states] != ["open"]


def test_a_replay_reports_what_still_cannot_be_understood(make_harness: Make) -> None:
    harness = make_harness(40)
    harness.simulator.state.add_raw("bad-1", b'{"id":"bad-1","details":{"dealValue":[]}}')
    harness.run()

    report = harness.run("replay")

    assert report.state == "completed", report.failure
    assert report.counts.quarantined == 1
