"""Runs and the facts that health judges."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pc_core.errors import FixSetting, SignInState
from pc_core.identity.account import SignInStatus
from pc_core.reading import ForeignCursor
from pc_core.store.migrate import revisions
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.ports import Lease
from pc_core.sync.report import Counts, RunState
from pc_core.sync.state import SyncState
from tests.store.samples import NOW, Saver, referral_id, referral_json, report, take

type Connection = psycopg.Connection[Any]


def run_of(store: PostgresStore, number: int, **changes: Any) -> None:
    """A run that began `number` minutes after NOW and has ended."""
    task_id = f"run-{number}"
    began = replace(report(task_id), started_at=NOW + timedelta(minutes=number), **changes)
    lease = store.take_lease(began, holder="test", ttl_s=60)
    assert isinstance(lease, Lease)
    store.finish_run(
        lease,
        began.ended(RunState.COMPLETED, at=began.started_at + timedelta(seconds=5)),
    )


def test_runs_come_newest_first_in_pages(store: PostgresStore, database: Database) -> None:
    for number in range(5):
        run_of(store, number)
    reader = PostgresReader(database)

    first = reader.list_runs(limit=2)
    second = reader.list_runs(limit=2, cursor=first.next_cursor)
    third = reader.list_runs(limit=2, cursor=second.next_cursor)

    assert [run.task_id for run in first.runs + second.runs + third.runs] == [
        f"run-{number}" for number in (4, 3, 2, 1, 0)
    ]
    assert third.next_cursor is None
    assert reader.get_run("unknown") is None
    with pytest.raises(ForeignCursor):
        reader.list_quarantine(cursor=first.next_cursor)


def test_facts_of_a_new_database(database: Database) -> None:
    facts = PostgresReader(database).facts()

    assert facts.schema.is_current
    assert (facts.schema.current, facts.schema.expected) == (revisions()[-1],) * 2
    assert facts.state == SyncState()
    assert (facts.sign_in, facts.running, facts.last_run, facts.first_run_at) == (None,) * 4
    assert (facts.drift, facts.quarantine, facts.referrals, facts.open, facts.missing) == (0,) * 5
    assert (facts.by_type, facts.by_status) == ({}, {})
    assert facts.last_sweep_received is None


def test_the_last_sync_is_no_replay_or_erasure(store: PostgresStore, database: Database) -> None:
    for number, mode in enumerate(["full", "incremental", "replay", "erase"]):
        run_of(store, number, mode=mode)

    facts = PostgresReader(database).facts()

    assert facts.last_run is not None
    assert facts.last_sync is not None
    assert (facts.last_run.mode, facts.last_sync.mode) == ("erase", "incremental")


def test_a_sweep_of_several_runs_tells_what_to_expect_of_the_next(
    store: PostgresStore, database: Database
) -> None:
    def finish(number: int, fetched: int, state: RunState, *, swept: bool = False) -> None:
        at = NOW + timedelta(hours=number)
        run = report(f"run-{number}", started_at=at, counts=Counts(fetched=fetched))
        lease = store.take_lease(run, holder="test", ttl_s=60)
        assert isinstance(lease, Lease)
        ended = replace(run, sweep_completed_at=at if swept else None).ended(state, at=at)
        store.finish_run(lease, ended)

    finish(0, 1_000, RunState.COMPLETED, swept=True)
    finish(1, 7, RunState.COMPLETED)
    finish(2, 500, RunState.PARTIAL)
    finish(3, 400, RunState.PARTIAL)
    finish(4, 90, RunState.COMPLETED, swept=True)
    finish(5, 3, RunState.COMPLETED)
    assert PostgresReader(database).facts().last_sweep_received == 990


def test_facts_tell_what_is_stored(
    store: PostgresStore, database: Database, sql: Connection
) -> None:
    reader = PostgresReader(database)
    run_of(store, 0)
    lease = take(store, "run-9")
    saver = Saver(store=store, lease=lease, state=SyncState(watermark_ticks=1))
    saver.save(
        referral_json(1),
        referral_json(2, status="New"),
        referral_json(3, status="Closed"),
        referral_json(4, status=None),
        referral_json(5, updatedDateTime="yesterday"),
    )
    store.save_sign_in(SignInStatus(state=SignInState.OK))

    before = reader.facts()
    store.note_gone(lease, [referral_id(1), referral_id(3)])
    store.mark_missing(
        lease, state=saver.state, report=report("run-9", counts=Counts(marked_missing=2))
    )
    after = reader.facts()

    assert before.running is not None
    assert before.running.task_id == "run-9"
    assert before.last_run is not None
    assert before.last_run.task_id == "run-0"
    assert before.first_run_at == NOW
    assert before.sign_in is not None
    assert before.state.watermark_ticks == 1
    assert (before.referrals, before.open, before.missing, before.quarantine) == (4, 2, 0, 1)
    assert before.by_status == {"Active": 1, "New": 1, "Closed": 1, "": 1}
    assert before.by_type == {"": 4}
    assert (after.referrals, after.open, after.missing) == (4, 1, 2)


def test_a_run_without_a_lease_is_not_running(
    store: PostgresStore, database: Database, sql: Connection
) -> None:
    take(store, "run-1")
    sql.execute("UPDATE partner_center_sync_state SET lease_expires_at = now()")

    facts = PostgresReader(database).facts()

    assert facts.running is None
    assert facts.last_run is not None
    assert facts.last_run.state is RunState.INTERRUPTED


def test_drift_is_that_of_the_last_ended_sweep(store: PostgresStore, database: Database) -> None:
    reader = PostgresReader(database)
    run_of(store, 0, counts=Counts(drift=100))
    run_of(store, 1, counts=Counts(drift=1), sweep_completed_at=NOW)
    only = reader.facts().drift
    run_of(store, 2, counts=Counts(drift=2))
    run_of(store, 3, counts=Counts(drift=4), sweep_completed_at=NOW)
    run_of(store, 4, counts=Counts(drift=8))

    assert only == 101
    assert reader.facts().drift == 6


def test_the_schema_can_be_asked_for_before_any_migration(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    reader = PostgresReader(database)

    schema = reader.schema()
    with pytest.raises(FixSetting) as missing:
        reader.facts()
    database.close()

    assert (schema.current, schema.expected, schema.is_current) == (
        None,
        revisions()[-1],
        False,
    )
    assert missing.value.code == "migration_missing"
