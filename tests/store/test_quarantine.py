"""Replays of the quarantine, and the purge of old rows."""

from typing import Any

import psycopg

from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.plan import PagePlan
from tests.store.samples import NOW, Saver, referral_id, referral_json, report

type Connection = psycopg.Connection[Any]

BAD_DATE = {"updatedDateTime": "yesterday"}


def entries(sql: Connection) -> list[tuple[Any, ...]]:
    return sql.execute(
        "SELECT entry_id, state, reason, field, detail, settled_at IS NOT NULL"
        " FROM partner_center_quarantine ORDER BY entry_id"
    ).fetchall()


def settle(saver: Saver, plan: PagePlan, **what: Any) -> None:
    saver.store.settle_quarantine(
        saver.lease,
        plan,
        settled=what.get("settled", []),
        reasons=what.get("reasons", []),
        report=report(),
        state=saver.state,
        fetched_at=NOW,
    )


def test_open_entries_come_in_order_of_their_numbers(saver: Saver) -> None:
    saver.save(*(referral_json(number, **BAD_DATE) for number in range(5)))

    first = saver.store.open_quarantine(0, limit=3)
    rest = saver.store.open_quarantine(first[-1].entry_id, limit=3)

    numbers = [entry.entry_id for entry in first + rest]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)
    assert all('"yesterday"' in entry.raw_text for entry in first + rest)


def test_a_replay_stores_rows_and_settles_entries_together(saver: Saver, sql: Connection) -> None:
    saver.save(*(referral_json(number, **BAD_DATE) for number in range(4)))
    one, two, three, _ = (entry.entry_id for entry in saver.store.open_quarantine(0, limit=9))
    from pc_core.referral.read import parse

    plan = saver.plan([parse(referral_json(0))], kind="replay")

    settle(
        saver,
        plan,
        settled=[(one, "replayed"), (two, "superseded")],
        reasons=[(three, "wrong_type", "team", "is a number")],
    )

    assert [row[1:] for row in entries(sql)] == [
        ("replayed", "not_a_date", "updatedDateTime", entries(sql)[0][4], True),
        ("superseded", "not_a_date", "updatedDateTime", entries(sql)[1][4], True),
        ("open", "wrong_type", "team", "is a number", False),
        ("open", "not_a_date", "updatedDateTime", entries(sql)[3][4], False),
    ]
    assert sql.execute("SELECT referral_id FROM partner_center_referrals").fetchall() == [
        (referral_id(0),)
    ]


def test_a_replay_leaves_other_entries_of_the_referral_open(saver: Saver, sql: Connection) -> None:
    """They may be newer; each is replayed in its turn."""
    from pc_core.referral.read import parse

    saver.save(referral_json(1, updatedDateTime="yesterday"))
    saver.save(referral_json(1, updatedDateTime="today"))
    first = saver.store.open_quarantine(0, limit=1)[0]

    settle(
        saver,
        saver.plan([parse(referral_json(1))], kind="replay"),
        settled=[(first.entry_id, "replayed")],
    )

    assert [row[1] for row in entries(sql)] == ["replayed", "open"]


def test_purging_takes_what_is_old_and_settled(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(1), referral_json(2, **BAD_DATE), referral_json(3, **BAD_DATE))
    saver.save(referral_json(1, name="changed"), referral_json(2))
    sql.execute(
        "INSERT INTO partner_center_sync_runs (task_id, trigger, mode, state, started_at)"
        " SELECT 'old-' || state, 'timer', 'incremental', state, now() - interval '99 days'"
        " FROM unnest(ARRAY['completed', 'running']) AS state"
    )

    young = saver.store.purge(saver.lease, older_than_days=100)
    sql.execute("UPDATE partner_center_quarantine SET first_seen_at = now() - interval '99 days'")
    sql.execute(
        "UPDATE partner_center_quarantine SET settled_at = now() - interval '99 days'"
        " WHERE settled_at IS NOT NULL"
    )
    sql.execute(
        "UPDATE partner_center_referral_changes SET changed_at = now() - interval '99 days'"
    )
    old = saver.store.purge(saver.lease, older_than_days=98)

    assert (young, old) == (0, 3)
    assert [row[1] for row in entries(sql)] == ["open"]
    assert sql.execute(
        "SELECT task_id FROM partner_center_sync_runs ORDER BY task_id"
    ).fetchall() == [("old-running",), ("run-1",)]
    assert sql.execute("SELECT count(*) FROM partner_center_referrals").fetchone() == (2,)


def test_the_list_shows_entries_newest_first_in_pages(
    saver: Saver, database: Database, store: PostgresStore
) -> None:
    saver.save(*(referral_json(number, **BAD_DATE) for number in range(5)))
    saver.save(referral_json(0))
    reader = PostgresReader(database)

    first = reader.list_quarantine(limit=3)
    rest = reader.list_quarantine(limit=3, cursor=first.next_cursor)

    assert [entry.referral_id for entry in first.entries + rest.entries] == [
        referral_id(number) for number in (4, 3, 2, 1)
    ]
    assert rest.next_cursor is None
    assert len(reader.list_quarantine(state=None).entries) == 5
    assert first.entries[0].reason == "not_a_date"
    assert "yesterday" in str(first.entries[0].raw_text)
