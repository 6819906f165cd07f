"""The ids that walks have seen or missed, and the rows that become missing."""

import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pc_core.referral.ticks import to_ticks
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.sync.ports import Unseen
from pc_core.sync.report import Counts
from pc_core.sync.state import SyncState
from tests.store.samples import NOW, Saver, referral_id, referral_json, report

type Connection = psycopg.Connection[Any]

BAD_DATE = {"updatedDateTime": "yesterday"}


def seen(sql: Connection) -> list[tuple[str, str, bool]]:
    return sql.execute(
        "SELECT walk, referral_id, gone FROM partner_center_sweep_seen ORDER BY 1, 2"
    ).fetchall()


def test_seen_ids_are_noted_once_with_quarantined_ones(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(1), referral_json(2, **BAD_DATE), seen_in=("head", "sweep"))
    saver.save(referral_json(1), seen_in=("sweep",))

    assert seen(sql) == [
        (walk, referral_id(number), False) for walk in ("head", "sweep") for number in (1, 2)
    ]


def test_a_walk_is_forgotten_by_itself(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(1), seen_in=("head", "sweep"))

    saver.store.save_state(
        saver.lease, state=SyncState(watermark_ticks=7), report=report(), forget=["head"]
    )

    assert seen(sql) == [("sweep", referral_id(1), False)]
    assert saver.store.load_state().watermark_ticks == 7


def test_what_the_head_missed_is_counted(saver: Saver, sql: Connection) -> None:
    moments = ["2026-06-01T00:00:00Z", "2026-06-02T00:00:00.0000001Z", "2026-06-02T00:00:00Z"]
    for number, moment in enumerate(moments):
        saver.save(referral_json(number, updatedDateTime=moment))
    stop = to_ticks(NOW.replace(month=6, day=2, hour=0, minute=0))
    store = saver.store

    assert store.not_read_above(stop, just_seen=()) == 2
    assert store.not_read_above(stop + 1, just_seen=()) == 1
    assert store.not_read_above(stop, just_seen=[referral_id(1)]) == 1
    saver.save(referral_json(2, updatedDateTime=moments[2]), seen_in=("head",))
    assert store.not_read_above(stop, just_seen=()) == 1
    assert store.not_read_above(-(2**62), just_seen=()) == 2
    sql.execute("UPDATE partner_center_referrals SET missing_since = now()")
    assert store.not_read_above(stop, just_seen=()) == 0


def test_unseen_rows_are_found_in_portions(saver: Saver) -> None:
    saver.save(*(referral_json(number) for number in range(6)))
    saver.save(referral_json(0), referral_json(3), seen_in=("sweep",))

    assert saver.store.unseen(limit=2) == Unseen(
        present=6, open=4, gone=0, next_ids=(referral_id(1), referral_id(2))
    )
    saver.store.note_gone(saver.lease, [referral_id(1), referral_id(2)])
    assert saver.store.unseen(limit=2) == Unseen(
        present=6, open=2, gone=2, next_ids=(referral_id(4), referral_id(5))
    )


def test_what_a_head_has_seen_is_read_once_although_statistics_know_the_sweep_alone(
    saver: Saver, sql: Connection, database: Database
) -> None:
    rows, later = 400, "2026-06-02T00:00:00Z"
    saver.save(*(referral_json(number) for number in range(rows)), seen_in=("sweep",))
    sql.execute("ANALYZE")
    saver.store.save_state(saver.lease, state=SyncState(), report=report(), forget=["sweep"])
    changed = (referral_json(number, updatedDateTime=later) for number in range(rows))
    saver.save(*changed, seen_in=("head",))
    before = entries_read(sql, database)
    stop = to_ticks(NOW.replace(month=6, day=1, hour=0, minute=0))

    assert saver.store.not_read_above(stop, just_seen=()) == 0

    assert rows <= entries_read(sql, database) - before <= 10 * rows


def entries_read(sql: Connection, database: Database) -> int:
    """Rows and index entries of the seen ids that were read so far."""
    database.close()
    deadline_s = time.monotonic() + 10
    while sql.execute(
        "SELECT FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'partner-center-sync'"
    ).fetchall():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    row = sql.execute(
        "SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i "
        "WHERE i.relid = t.relid)::bigint FROM pg_stat_user_tables t "
        "WHERE relname = 'partner_center_sweep_seen'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_row_noted_as_gone_that_turns_up_is_not_gone(saver: Saver) -> None:
    saver.save(referral_json(1))
    saver.store.note_gone(saver.lease, [referral_id(1)])

    saver.save(referral_json(1), seen_in=("sweep",))

    assert saver.store.unseen(limit=5) == Unseen(present=1, open=0, gone=0, next_ids=())


def test_the_end_of_a_sweep_marks_what_is_gone(saver: Saver, sql: Connection) -> None:
    saver.save(*(referral_json(number) for number in range(3)))
    saver.save(referral_json(0), seen_in=("head", "sweep"))
    saver.store.note_gone(saver.lease, [referral_id(2), "never stored"])
    ended = replace(report(), counts=Counts(marked_missing=1), sweep_completed_at=NOW)

    marked = saver.store.mark_missing(saver.lease, state=SyncState(last_sweep_at=NOW), report=ended)

    assert marked == 1
    assert sql.execute(
        "SELECT referral_id FROM partner_center_referrals WHERE missing_since IS NOT NULL"
    ).fetchall() == [(referral_id(2),)]
    assert sql.execute(
        "SELECT referral_id, field, before, task_id FROM partner_center_referral_changes"
    ).fetchall() == [(referral_id(2), "missing_since", None, "run-1")]
    assert [walk for walk, _, _ in seen(sql)] == ["head"]
    assert saver.store.load_state().last_sweep_at == NOW


def test_the_run_of_a_sweep_counts_what_it_marked_with_the_marks(
    saver: Saver, sql: Connection
) -> None:
    saver.save(referral_json(1), referral_json(2))
    saver.store.note_gone(saver.lease, [referral_id(1), referral_id(2)])
    began = report(counts=Counts(fetched=2, inserted=2))

    saver.store.mark_missing(saver.lease, state=saver.state, report=began)

    row = sql.execute("SELECT counts FROM partner_center_sync_runs").fetchone()
    assert row is not None
    assert (row[0]["marked_missing"], row[0]["inserted"]) == (2, 2)
    assert began.counts.marked_missing == 0


def test_a_row_that_is_missing_already_is_not_marked_again(saver: Saver, sql: Connection) -> None:
    saver.save(referral_json(1))
    saver.store.note_gone(saver.lease, [referral_id(1)])
    saver.store.mark_missing(saver.lease, state=saver.state, report=report())
    first = sql.execute("SELECT missing_since FROM partner_center_referrals").fetchone()
    saver.store.note_gone(saver.lease, [referral_id(1)])

    again = saver.store.mark_missing(saver.lease, state=saver.state, report=report())

    assert again == 0
    assert sql.execute("SELECT missing_since FROM partner_center_referrals").fetchone() == first


@pytest.mark.parametrize("walk", ["head", "sweep"])
def test_marking_is_over_only_for_the_sweep(
    store: PostgresStore, saver: Saver, sql: Connection, walk: str
) -> None:
    saver.save(referral_json(1), seen_in=("head", "sweep"))

    store.mark_missing(saver.lease, state=saver.state, report=report())

    assert any(name == walk for name, _, _ in seen(sql)) is (walk == "head")
