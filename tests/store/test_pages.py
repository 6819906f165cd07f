"""The tables after a page was saved."""

import json
from typing import Any

import msgspec
import psycopg
import pytest

from pc_core.errors import RowRefused
from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.row import COLUMNS, build_row
from pc_core.store.postgres import PostgresStore
from tests.store.samples import NOW, Saver, referral_id, referral_json, report

type Connection = psycopg.Connection[Any]

BAD_DATE = {"updatedDateTime": "yesterday"}


def footprint(sql: Connection) -> list[tuple[Any, ...]]:
    """Where each row version lies and which transactions wrote or locked it."""
    return sql.execute(
        "SELECT referral_id, ctid, xmin, xmax FROM partner_center_referrals ORDER BY 1"
    ).fetchall()


def changes(sql: Connection) -> list[tuple[Any, ...]]:
    return sql.execute(
        "SELECT field, before, after FROM partner_center_referral_changes ORDER BY change_id"
    ).fetchall()


def test_every_column_of_a_row_arrives(saver: Saver, sql: Connection) -> None:
    item = referral_json(1)
    referral = parse(item)
    assert isinstance(referral, Referral)

    saver.save(item)

    stored = sql.execute("SELECT * FROM partner_center_referrals")
    assert stored.description is not None
    names = [column.name for column in stored.description]
    row = dict(zip(names, stored.fetchall()[0], strict=True))
    expected = msgspec.structs.asdict(build_row(referral, own_domains=frozenset()))
    for name in COLUMNS:
        if name == "search_words":
            continue
        value = expected[name]
        if name in {"contacts", "team", "raw_data"}:
            value = json.loads(value)
        assert row[name] == value, name
    assert row["first_seen_at"] == NOW
    assert row["is_partner_center_referral"] is True
    assert row["referral_status"] == "active"
    assert row["missing_since"] is None


def test_the_same_page_again_touches_no_row(saver: Saver, sql: Connection) -> None:
    items = [referral_json(number) for number in range(20)]
    saver.save(*items)
    before = footprint(sql)

    again = saver.save(*items)

    assert again.counts.unchanged == 20
    assert footprint(sql) == before
    assert changes(sql) == []


def test_writing_rows_that_do_not_differ_touches_no_row(saver: Saver, sql: Connection) -> None:
    """Recomputing saves every row; only changed rows are written."""
    items = [referral_json(number) for number in range(5)]
    saver.save(*items)
    before = footprint(sql)
    plan = saver.plan([])
    for item in items:
        referral = parse(item)
        assert isinstance(referral, Referral)
        plan.updates[referral.referral_id] = build_row(referral, own_domains=frozenset())
    other = plan.updates[referral_id(3)]
    plan.updates[referral_id(3)] = msgspec.structs.replace(other, domain=None, domain_source=None)

    saver.save_plan(plan)

    after = footprint(sql)
    assert [row[0] for row in after if row not in before] == [referral_id(3)]
    assert [field for field, _, _ in changes(sql)] == ["domain", "domain_source"]


def test_a_change_is_written_and_remembered_field_by_field(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(1), referral_json(2))

    saver.save(
        referral_json(
            1,
            status="Closed",
            substatus="Won",
            updatedDateTime="2026-06-01T00:00:00Z",
            details={"dealValue": 5, "currency": "EUR"},
        )
    )

    assert sql.execute(
        "SELECT status, substatus, deal_value, synced_at > created_at"
        " FROM partner_center_referrals ORDER BY referral_id"
    ).fetchall() == [("Closed", "Won", 5, True), ("Active", "Accepted", 48500.75, False)]
    assert changes(sql) == [
        ("status", "Active", "Closed"),
        ("substatus", "Accepted", "Won"),
        ("deal_value", 48500.75, 5),
        ("currency", "USD", "EUR"),
    ]
    assert sql.execute(
        "SELECT DISTINCT referral_id, task_id FROM partner_center_referral_changes"
    ).fetchall() == [(referral_id(1), "run-1")]


def test_a_change_without_a_column_is_remembered_by_its_key(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(1, futureField={"a": 1}, kept="x"))

    saver.save(
        referral_json(
            1, futureField={"a": 2}, kept="x", updatedDateTime="2026-05-19T16:40:03.1743218Z"
        )
    )

    assert changes(sql) == [
        ("raw_data", {"futureField": {"a": 1}}, {"futureField": {"a": 2}}),
    ]


def test_what_cannot_be_understood_is_set_aside_once(saver: Saver, sql: Connection) -> None:
    bad = referral_json(7, **BAD_DATE)

    saver.save(bad, referral_json(1), bad)
    saver.save(bad)

    assert sql.execute(
        "SELECT referral_id, reason, field, state, task_id, first_seen_at"
        " FROM partner_center_quarantine"
    ).fetchall() == [(referral_id(7), "not_a_date", "updatedDateTime", "open", "run-1", NOW)]
    assert sql.execute("SELECT count(*) FROM partner_center_referrals").fetchone() == (1,)


def test_items_without_an_id_are_set_aside_by_content(saver: Saver, sql: Connection) -> None:
    saver.save(b"[1]", b"[2]", b"[1]")

    assert sql.execute("SELECT count(*) FROM partner_center_quarantine").fetchone() == (2,)


def test_a_later_good_version_closes_the_entry(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(7, **BAD_DATE), referral_json(8, **BAD_DATE))

    saver.save(referral_json(7))

    assert sql.execute(
        "SELECT referral_id, state, settled_at IS NOT NULL FROM partner_center_quarantine"
        " ORDER BY referral_id"
    ).fetchall() == [(referral_id(7), "closed", True), (referral_id(8), "open", False)]


def test_bad_content_that_comes_back_opens_its_entry_again(saver: Saver, sql: Connection) -> None:
    bad = referral_json(7, **BAD_DATE)
    saver.save(bad)
    saver.save(referral_json(7))

    saver.save(bad)

    assert sql.execute("SELECT state, settled_at FROM partner_center_quarantine").fetchall() == [
        ("open", None)
    ]


def test_quarantine_takes_text_that_a_column_refuses(saver: Saver, sql: Connection) -> None:
    plan = saver.plan([])
    plan.quarantine.append(
        Malformed(
            referral_id="x",
            reason="r",
            field=None,
            detail="d\0",
            content_hash=b"1" * 16,
            raw_text="a\0b\ud800",
            updated_ticks=None,
        )
    )

    saver.save_plan(plan)

    assert sql.execute("SELECT detail, raw_text FROM partner_center_quarantine").fetchall() == [
        ("d\\u0000", "a\\u0000b\\ud800")
    ]


def test_an_id_that_no_column_takes_does_not_spoil_its_page(saver: Saver, sql: Connection) -> None:
    bad = Malformed(
        referral_id="a\0\ud800",
        reason="r",
        field="id",
        detail="d",
        content_hash=b"1" * 16,
        raw_text="t",
        updated_ticks=None,
    )
    plan = saver.plan([bad, parse(referral_json(1))])

    saver.save_plan(plan, seen_in=("sweep",))

    assert sql.execute("SELECT referral_id FROM partner_center_referrals").fetchall() == [
        (referral_id(1),)
    ]
    assert sql.execute("SELECT count(*) FROM partner_center_sweep_seen").fetchone() == (2,)


def test_a_refused_row_is_named_and_nothing_of_its_page_is_written(
    saver: Saver, sql: Connection
) -> None:
    plan = saver.plan([parse(referral_json(number)) for number in range(30)])
    row = plan.inserts[referral_id(17)]
    plan.inserts[referral_id(17)] = msgspec.structs.replace(row, raw_data=b'{"a": "\\u0000"}')

    with pytest.raises(RowRefused) as refused:
        saver.save_plan(plan)

    assert refused.value.referral_id == referral_id(17)
    assert sql.execute("SELECT count(*) FROM partner_center_referrals").fetchone() == (0,)


@pytest.mark.parametrize(
    "broken",
    [
        {"company_name": "a\0b"},
        {"name": "lone \ud800"},
        {"raw_data": b"{"},
        {"referral_type": "none of ours"},
        {"status": "".join(chr(0x4E00 + n) for n in range(5000))},
    ],
    ids=["nul", "surrogate", "json", "check", "index"],
)
def test_a_refused_update_is_named(saver: Saver, sql: Connection, broken: dict[str, Any]) -> None:
    saver.save(*(referral_json(number) for number in range(4)))
    before = [row[:3] for row in footprint(sql)]
    changed = [
        parse(referral_json(number, updatedDateTime="2026-06-01T00:00:00Z")) for number in range(4)
    ]
    plan = saver.plan(changed)
    row = plan.updates[referral_id(2)]
    plan.updates[referral_id(2)] = msgspec.structs.replace(row, **broken)

    with pytest.raises(RowRefused) as refused:
        saver.save_plan(plan)

    assert refused.value.referral_id == referral_id(2)
    assert [row[:3] for row in footprint(sql)] == before


def test_a_new_referral_on_two_overlapping_pages_is_stored_once(
    saver: Saver, sql: Connection
) -> None:
    """The second page may have been planned before the first was stored."""
    older, newer = "2026-05-19T16:40:03Z", "2026-05-20T16:40:03Z"
    first = saver.plan([parse(referral_json(1, updatedDateTime=newer)), parse(referral_json(2))])
    second = saver.plan(
        [
            parse(referral_json(1, updatedDateTime=older, name="old")),
            parse(referral_json(2, name="later fetch")),
            parse(referral_json(3)),
        ]
    )
    saver.save_plan(first)

    saver.save_plan(second)

    assert sql.execute(
        "SELECT referral_id, name FROM partner_center_referrals ORDER BY 1"
    ).fetchall() == [
        (referral_id(1), "Deal 1"),
        (referral_id(2), "later fetch"),
        (referral_id(3), "Deal 3"),
    ]


def test_a_missing_referral_that_reappears_is_present_again(
    saver: Saver, store: PostgresStore, sql: Connection
) -> None:
    saver.save(referral_json(1), referral_json(2), seen_in=())
    store.note_gone(saver.lease, [referral_id(1)])
    store.mark_missing(saver.lease, state=saver.state, report=report())

    plan = saver.save(referral_json(1), referral_json(2))

    assert plan.reappeared == {referral_id(1)}
    assert sql.execute(
        "SELECT count(*) FROM partner_center_referrals WHERE missing_since IS NOT NULL"
    ).fetchone() == (0,)
    told = changes(sql)
    assert [field for field, _, _ in told] == ["missing_since", "missing_since"]
    assert told[0][1] is None
    assert told[1][2] is None
    assert told[0][2] == told[1][1]


def test_raw_json_comes_back_in_id_order(saver: Saver, store: PostgresStore) -> None:
    items = {referral_id(number): referral_json(number) for number in range(5)}
    saver.save(*items.values())

    first = store.rows_after("", limit=3)
    rest = store.rows_after(first[-1][0], limit=3)

    assert [name for name, _ in first + rest] == sorted(items)
    for name, raw in first + rest:
        assert json.loads(raw) == json.loads(items[name])


def test_what_is_stored_is_told_as_a_plan_needs_it(saver: Saver, store: PostgresStore) -> None:
    item = referral_json(1)
    referral = parse(item)
    assert isinstance(referral, Referral)
    saver.save(item, referral_json(2, customerProfile={"name": "No mail"}))

    stored = store.stored_rows({referral_id(1), referral_id(2), "unknown"})

    assert set(stored) == {referral_id(1), referral_id(2)}
    assert stored[referral_id(1)].content_hash == referral.content_hash
    assert stored[referral_id(1)].updated_ticks == referral.updated_ticks
    assert (stored[referral_id(1)].has_domain, stored[referral_id(2)].has_domain) == (True, False)
    assert store.stored_rows(()) == {}
