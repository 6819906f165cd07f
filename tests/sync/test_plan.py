"""A page and what is stored of it become a plan: every item in exactly one pile."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.referral.admission import Admission
from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.ticks import to_ticks
from pc_core.referral.tombstones import Tombstones, tombstone
from pc_core.sync.plan import Origin, PagePlan, RowBuilder, Rules, StoredRow, make_plan

DEFAULT = Admission(
    directions=frozenset({"incoming"}),
    statuses=frozenset({"new", "active"}),
    excluded_substatuses=frozenset({"declined", "lost", "expired", "error"}),
)
RULES = Rules(admission=DEFAULT, own_domains=frozenset())
FETCHED = 17_800_000_000_000_000
LIVE = Origin(fetched_ticks=FETCHED)
REPLAY = Origin(kind="replay", fetched_ticks=FETCHED)


def item(referral_id: str, **wire: Any) -> Referral | Malformed:
    fields = {
        "id": referral_id,
        "direction": "Incoming",
        "status": "Active",
        "substatus": "Accepted",
        "type": "Shared",
        "qualification": "SalesQualified",
        "updatedDateTime": "2026-05-01T10:00:00Z",
        "customerProfile": {"team": [{"email": "a@gokce-olcum.com.tr"}]},
    }
    return parse(json.dumps({**fields, **wire}).encode())


def referral(referral_id: str, **wire: Any) -> Referral:
    parsed = item(referral_id, **wire)
    assert isinstance(parsed, Referral)
    return parsed


def stored(of: Referral, **changes: Any) -> dict[str, StoredRow]:
    values = {
        "content_hash": of.content_hash,
        "updated_ticks": of.updated_ticks,
        "missing": False,
        "has_domain": True,
    }
    return {of.referral_id: StoredRow(**{**values, **changes})}


def writes_rows(plan: PagePlan) -> bool:
    """Whether any referral row changes."""
    return bool(plan.inserts or plan.updates or plan.reappeared or plan.erased)


def plan_of(
    *items: Referral | Malformed,
    stored_rows: dict[str, StoredRow] | None = None,
    rules: Rules = RULES,
    origin: Origin = LIVE,
) -> PagePlan:
    return make_plan(items, stored_rows or {}, rules=rules, origin=origin)


def test_a_new_referral_that_the_filter_admits_is_inserted() -> None:
    plan = plan_of(referral("r-1"))

    assert list(plan.inserts) == ["r-1"]
    assert plan.counts.inserted == 1


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ({"direction": "Outgoing"}, "direction_outgoing"),
        ({"status": "Closed", "substatus": "Won"}, "status_closed"),
        ({"status": "None"}, "status_none"),
        ({"substatus": "Expired"}, "substatus_excluded"),
        ({"substatus": "Error"}, "substatus_excluded"),
        ({"direction": "Outgoing", "status": "Closed"}, "direction_outgoing"),
        ({"status": "Closed", "substatus": "Lost"}, "status_closed"),
    ],
)
def test_what_is_left_out_gets_one_reason(wire: dict[str, str], reason: str) -> None:
    plan = plan_of(referral("r-1", **wire))

    assert plan.counts.skipped_reasons == {reason: 1}
    assert not writes_rows(plan)


@pytest.mark.parametrize(
    ("wire", "noted"),
    [
        ({"direction": None}, "direction missing"),
        ({"status": None}, "status missing"),
        ({"substatus": None}, "substatus missing"),
        ({"direction": "Sideways"}, "direction=Sideways"),
        ({"status": "Paused"}, "status=Paused"),
        ({"substatus": "Negotiating"}, "substatus=Negotiating"),
    ],
)
def test_missing_and_unknown_values_pass_and_are_counted(
    wire: dict[str, str | None], noted: str
) -> None:
    plan = plan_of(referral("r-1", **wire))

    assert plan.counts.inserted == 1
    assert plan.counts.unknown_values == {noted: 1}


def test_everything_is_admitted_where_the_settings_say_so() -> None:
    everything = Admission(directions=None, statuses=None, excluded_substatuses=frozenset())
    rules = Rules(admission=everything, own_domains=frozenset())

    plan = plan_of(
        referral("r-1", direction="Outgoing", status="Closed", substatus="Lost"), rules=rules
    )

    assert plan.counts.inserted == 1


def test_a_stored_referral_that_leaves_the_filter_is_still_updated() -> None:
    before = referral("r-1")
    closed = referral(
        "r-1", status="Closed", substatus="Won", updatedDateTime="2026-05-02T00:00:00Z"
    )

    plan = plan_of(closed, stored_rows=stored(before))

    assert list(plan.updates) == ["r-1"]
    assert plan.counts.skipped == 0


def test_unchanged_content_writes_nothing() -> None:
    same = referral("r-1")

    plan = plan_of(same, stored_rows=stored(same))

    assert plan.counts.unchanged == 1
    assert not writes_rows(plan)


@pytest.mark.parametrize(
    ("stored_at", "fetched_at", "kind", "wins"),
    [
        ("2026-05-01T10:00:00.0000001Z", "2026-05-01T10:00:00.0000002Z", "live", True),
        ("2026-05-01T10:00:00.0000002Z", "2026-05-01T10:00:00.0000001Z", "live", False),
        ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z", "live", True),
        ("2026-05-01T10:00:00Z", None, "live", True),
        ("2026-05-01T10:00:00.0000001Z", "2026-05-01T10:00:00.0000002Z", "replay", True),
        ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z", "replay", False),
        ("2026-05-01T10:00:00Z", None, "replay", False),
    ],
)
def test_newer_content_wins_and_a_tie_goes_to_the_later_fetch(
    stored_at: str, fetched_at: str | None, kind: str, wins: bool
) -> None:
    before = referral("r-1", updatedDateTime=stored_at)
    incoming = referral("r-1", name="changed", updatedDateTime=fetched_at)

    plan = plan_of(incoming, stored_rows=stored(before), origin=LIVE if kind == "live" else REPLAY)

    assert ("r-1" in plan.updates) is wins


def test_a_change_dated_in_the_future_counts_as_made_when_it_was_fetched() -> None:
    plan = plan_of(referral("r-1", updatedDateTime="9998-01-01T00:00:00Z"))

    assert plan.inserts["r-1"].pc_updated_ticks == FETCHED


def test_a_referral_twice_on_a_page_is_written_once_with_its_newer_content() -> None:
    old = referral("r-1", name="old", updatedDateTime="2026-05-01T00:00:00Z")
    new = referral("r-1", name="new", updatedDateTime="2026-05-02T00:00:00Z")

    forth, back = plan_of(old, new), plan_of(new, old)

    assert (forth.inserts["r-1"].name, back.inserts["r-1"].name) == ("new", "new")
    assert (forth.counts.fetched, forth.counts.inserted) == (2, 1)


def test_a_row_that_cannot_be_understood_is_set_aside_and_counted() -> None:
    plan = plan_of(referral("r-1"), item("r-2", details={"dealValue": []}), parse(b"[]"))

    assert plan.counts.quarantined == 2
    assert list(plan.inserts) == ["r-1"]
    assert plan.seen == {"r-1", "r-2"}


def test_a_missing_row_that_appears_again_is_brought_back_even_if_unchanged() -> None:
    same = referral("r-1")

    plan = plan_of(same, stored_rows=stored(same, missing=True))

    assert plan.reappeared == {"r-1"}
    assert plan.counts.reappeared == 1


def test_a_change_that_only_a_sweep_finds_is_drift() -> None:
    before = referral("r-1")
    changed = referral("r-1", updatedDateTime="2026-05-02T00:00:00Z")
    border = to_ticks_of("2026-05-03T00:00:00Z")

    plan = plan_of(
        changed,
        referral("r-2"),
        stored_rows=stored(before),
        origin=Origin(fetched_ticks=FETCHED, drift_ticks=border),
    )

    assert plan.counts.drift == 2


@pytest.mark.parametrize(
    ("changes", "origin", "count"),
    [
        (
            {"updatedDateTime": "2026-05-04T00:00:00Z"},
            {"drift_ticks": "2026-05-03T00:00:00Z"},
            "updated",
        ),
        ({"name": "silently"}, {"drift_ticks": "2026-05-03T00:00:00Z"}, "changed_silently"),
        ({"updatedDateTime": "2026-05-02T00:00:00Z"}, {"backfill": True}, "backfilled"),
    ],
)
def test_what_a_sweep_may_find_is_no_drift(
    changes: dict[str, str], origin: dict[str, Any], count: str
) -> None:
    if "drift_ticks" in origin:
        origin = {**origin, "drift_ticks": to_ticks_of(origin["drift_ticks"])}

    plan = plan_of(
        referral("r-1", **changes),
        stored_rows=stored(referral("r-1")),
        origin=Origin(fetched_ticks=FETCHED, **origin),
    )

    assert plan.counts.drift == 0
    assert getattr(plan.counts, count) == 1


def test_what_was_erased_does_not_come_back() -> None:
    key = b"k" * 32
    tombstones = Tombstones(
        key=key,
        referral_ids=frozenset({tombstone(key, "referral_id", "R-1")}),
        domains=frozenset({tombstone(key, "domain", "gokce-olcum.com.tr")}),
    )
    rules = Rules(admission=DEFAULT, own_domains=frozenset(), tombstones=tombstones)
    other = {"customerProfile": {"team": [{"email": "a@baska-firma.com.tr"}]}}

    plan = plan_of(
        referral("r-1", **other),
        referral("r-2"),
        item("r-1", details={"dealValue": []}),
        referral("r-3", **other),
        rules=rules,
    )

    assert list(plan.inserts) == ["r-3"]
    assert plan.counts.skipped_reasons == {"erased": 3}


ERASED = "silinen-firma.com.tr"
BURIED = Rules(
    admission=DEFAULT,
    own_domains=frozenset(),
    tombstones=Tombstones(
        key=b"k" * 32,
        referral_ids=frozenset({tombstone(b"k" * 32, "referral_id", "r-5")}),
        domains=frozenset({tombstone(b"k" * 32, "domain", ERASED)}),
    ),
)


def customer(domain: str) -> dict[str, Any]:
    return {"customerProfile": {"team": [{"email": f"a@posta.{domain}"}]}}


@pytest.mark.parametrize("updated", ["2026-05-02T00:00:00Z", "2026-04-01T00:00:00Z"])
@pytest.mark.parametrize("origin", [LIVE, REPLAY])
def test_a_stored_referral_that_turns_out_to_be_an_erased_customers_goes(
    updated: str, origin: Origin
) -> None:
    before = referral("r-1", customerProfile=None)
    now = referral("r-1", updatedDateTime=updated, **customer(ERASED))

    plan = plan_of(
        now,
        item("r-1", details={"dealValue": []}),
        stored_rows=stored(before, missing=True, has_domain=False),
        rules=BURIED,
        origin=origin,
    )

    assert plan.erased == {"r-1": tombstone(b"k" * 32, "referral_id", "r-1")}
    assert writes_rows(plan)
    assert not plan.updates
    assert not any((plan.seen, plan.understood, plan.reappeared, plan.superseded))
    assert plan.counts.skipped_reasons == {"erased": 2}


def test_a_replay_judges_each_entry_by_itself() -> None:
    newer = referral("r-1", updatedDateTime="2026-05-02T10:00:00Z")
    older = referral("r-1", updatedDateTime="2026-05-01T10:00:00Z")
    stale = referral("r-2", updatedDateTime="2026-05-01T10:00:00Z")

    plan = plan_of(
        newer,
        older,
        stale,
        stored_rows=stored(referral("r-2", updatedDateTime="2026-05-02T10:00:00Z", name="x")),
        origin=REPLAY,
    )

    assert plan.inserts["r-1"].raw_data == newer.raw
    assert plan.superseded == {1, 2}


def test_of_two_good_versions_on_a_page_the_newest_counts() -> None:
    days = ("2026-05-03", "2026-05-01", None)
    of_dates = [
        referral("r-1", updatedDateTime=day and f"{day}T10:00:00Z", name=str(day)) for day in days
    ]
    late = referral("r-2", updatedDateTime="2999-01-01T00:00:00Z")

    dated = plan_of(*of_dates[:2], late)
    undated = plan_of(*of_dates)

    assert dated.understood == {"r-1": of_dates[0].updated_ticks, "r-2": FETCHED}
    assert undated.understood == {"r-1": None}


def test_what_cannot_be_read_is_not_kept_where_an_erased_domain_occurs_in_it() -> None:
    broken: dict[str, Any] = {"details": {"dealValue": []}}

    plan = plan_of(
        item("r-1", **broken, **customer(ERASED)),
        item("r-2", **broken, name=f"wrote to X@{ERASED.upper()}."),
        item("r-3", **broken, **customer("baska-firma.com.tr")),
        item("r-4", **broken, name=f"not-{ERASED}"),
        parse(b'{"id": "r-6", "name": "a\\u0040' + ERASED.encode() + b'"'),
        rules=BURIED,
    )

    assert [one.referral_id for one in plan.quarantine] == ["r-3", "r-4"]
    assert plan.counts.skipped_reasons == {"erased": 3}
    assert plan.seen == {"r-3", "r-4"}


def to_ticks_of(text: str) -> int:
    parsed = referral("x", updatedDateTime=text)
    assert parsed.updated_at is not None
    return to_ticks(parsed.updated_at)


ids = st.sampled_from([f"r-{n}" for n in range(6)])
wires = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(["Incoming", "Outgoing", None, "Sideways"]),
        "status": st.sampled_from(["New", "Active", "Closed", None]),
        "substatus": st.sampled_from(["Accepted", "Lost", None]),
        "updatedDateTime": st.sampled_from(
            [None, "2026-05-01T00:00:00Z", "2026-05-01T00:00:00.0000001Z", "2027-01-01T00:00:00Z"]
        ),
        "name": st.sampled_from(["a", "b"]),
        "customerProfile": st.sampled_from([None, customer(ERASED)["customerProfile"]]),
        "details": st.sampled_from([None, {"dealValue": "no number"}]),
    }
)
pages = st.lists(st.tuples(ids, wires).map(lambda pair: item(pair[0], **pair[1])), max_size=12)


@given(pages, pages, st.sampled_from([LIVE, REPLAY]))
def test_every_item_lands_in_exactly_one_pile(
    earlier: list[Referral | Malformed], page: list[Referral | Malformed], origin: Origin
) -> None:
    stored_rows: dict[str, StoredRow] = {}
    for before in earlier:
        if isinstance(before, Referral):
            stored_rows |= stored(before)

    counts = plan_of(*page, stored_rows=stored_rows, origin=origin).counts

    piles = (
        counts.inserted,
        counts.updated,
        counts.unchanged,
        counts.skipped,
        counts.quarantined,
    )
    assert counts.fetched == len(page) == sum(piles)
    assert sum(counts.skipped_reasons.values()) == counts.skipped


@given(pages, pages, st.sampled_from([LIVE, REPLAY]))
def test_no_plan_keeps_anything_of_an_erased_customer(
    earlier: list[Referral | Malformed], page: list[Referral | Malformed], origin: Origin
) -> None:
    stored_rows: dict[str, StoredRow] = {}
    for before in earlier:
        if isinstance(before, Referral) and ERASED.encode() not in before.raw:
            stored_rows |= stored(before)

    plan = plan_of(*page, stored_rows=stored_rows, rules=BURIED, origin=origin)

    written = [*plan.inserts.values(), *plan.updates.values()]
    assert not [row for row in written if row.domain == ERASED or row.referral_id == "r-5"]
    assert not [one for one in plan.quarantine if ERASED in one.raw_text]
    kept = {*plan.inserts, *plan.updates, *plan.seen, *plan.understood, *plan.reappeared}
    assert not kept & plan.erased.keys()
    named = {
        one.referral_id
        for one in page
        if isinstance(one, Referral)
        and ERASED.encode() in one.raw
        and (one.referral_id in stored_rows or DEFAULT.skip_reason(one) is None)
    }
    assert named - {"r-5"} <= plan.erased.keys()
    counts = plan.counts
    piles = (counts.inserted, counts.updated, counts.unchanged, counts.skipped, counts.quarantined)
    assert min(piles) >= 0
    assert counts.fetched == len(page) == sum(piles)
    assert counts.inserted == len(plan.inserts)
    assert counts.quarantined == len(plan.quarantine)
    assert sum(counts.skipped_reasons.values()) == counts.skipped


@given(pages, pages)
def test_no_plan_makes_a_stored_row_older(
    earlier: list[Referral | Malformed], page: list[Referral | Malformed]
) -> None:
    stored_rows: dict[str, StoredRow] = {}
    for before in earlier:
        if isinstance(before, Referral):
            stored_rows |= stored(before)

    plan = plan_of(*page, stored_rows=stored_rows)

    for referral_id, row in plan.updates.items():
        was = stored_rows[referral_id].updated_ticks
        if was is not None and row.pc_updated_ticks is not None:
            assert row.pc_updated_ticks >= min(was, FETCHED)


@given(pages)
def test_the_same_page_again_has_nothing_to_write(page: list[Referral | Malformed]) -> None:
    first = plan_of(*page)
    now_stored = {
        row.referral_id: StoredRow(
            content_hash=row.content_hash,
            updated_ticks=row.pc_updated_ticks,
            missing=False,
            has_domain=row.domain is not None,
        )
        for row in first.inserts.values()
    }
    last_of_each = {entry.referral_id: entry for entry in page if isinstance(entry, Referral)}
    settled = [
        entry
        for entry in last_of_each.values()
        if entry.referral_id in now_stored
        and entry.content_hash == now_stored[entry.referral_id].content_hash
    ]

    again = plan_of(*settled, stored_rows=now_stored)

    assert not writes_rows(again)


def test_rows_built_ahead_are_those_that_the_plan_takes() -> None:
    items = [referral("r-1"), referral("r-2", direction="Outgoing"), item("r-3", name=7)]
    row_of = RowBuilder(frozenset())

    row_of.build_ahead(items, RULES.admission)

    assert list(row_of._built) == ["r-1"]
    plan = make_plan(items, {}, rules=RULES, origin=LIVE, row_of=row_of)
    assert plan.inserts["r-1"] is row_of._built["r-1"]
    assert plan == plan_of(*items)


def test_a_row_built_ahead_from_other_content_is_built_anew() -> None:
    first, second = referral("r-1", name="Before"), referral("r-1", name="After")
    row_of = RowBuilder(frozenset())
    row_of.build_ahead([first], RULES.admission)

    plan = make_plan([second], {}, rules=RULES, origin=LIVE, row_of=row_of)

    assert plan.inserts["r-1"].name == "After"
