"""One run at a time, and what happens to a run that was frozen for too long."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pc_core.errors import FixSetting, LeaseLost, SignInState, TryLater
from pc_core.identity.account import SignInStatus
from pc_core.store.batch import Batch
from pc_core.store.faults import translated
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from pc_core.store.writing import state as states
from pc_core.sync.ports import Held
from pc_core.sync.report import Counts, Failure, FailureKind, RunState
from pc_core.sync.state import SyncState
from tests.store.samples import NOW, Saver, referral_json, report, take

type Connection = psycopg.Connection[Any]


def expire(sql: Connection) -> None:
    sql.execute("UPDATE partner_center_sync_state SET lease_expires_at = now() - interval '1s'")


def test_a_second_run_is_told_who_holds_the_lease(store: PostgresStore, sql: Connection) -> None:
    take(store, "first")

    held = store.take_lease(report("second"), holder="other", ttl_s=120)

    assert isinstance(held, Held)
    assert held.task_id == "first"
    assert sql.execute(
        "SELECT task_id FROM partner_center_sync_runs WHERE state = 'running'"
    ).fetchall() == [("first",)]


def test_asking_again_for_the_same_run_is_not_somebody_else(store: PostgresStore) -> None:
    """The answer to the first request may have been lost on its way."""
    first = take(store, "first")

    again = take(store, "first")

    assert again.fence > first.fence
    with pytest.raises(LeaseLost):
        store.keep_lease(first)
    store.keep_lease(again)


def test_a_finished_run_gives_the_lease_back(store: PostgresStore) -> None:
    lease = take(store, "first")
    ended = report("first").ended(RunState.COMPLETED, at=NOW)

    store.save_state(lease, state=SyncState(watermark_ticks=5), report=report("first"))

    store.finish_run(lease, ended)

    assert store.load_state() == SyncState(watermark_ticks=5)
    assert take(store, "second").fence > lease.fence
    with pytest.raises(LeaseLost):
        store.finish_run(lease, ended)


def test_the_end_of_a_run_is_stored_whole(store: PostgresStore, database: Database) -> None:
    counts = Counts(fetched=3, inserted=1, skipped=2)
    counts.skipped_reasons.update({"status_closed": 2})
    begun = report("first", invocation_id="i-1", counts=counts, watermark_at=NOW)
    failure = Failure(kind=FailureKind.TRY_LATER, code="throttled", message="m", retry_after_s=1.5)
    ended = begun.ended(RunState.FAILED, at=NOW + timedelta(seconds=9), failure=failure)
    lease = take(store, "first")

    store.finish_run(lease, ended)

    assert PostgresReader(database).get_run("first") == ended


def test_an_expired_lease_passes_on_and_its_run_was_interrupted(
    store: PostgresStore, database: Database, sql: Connection
) -> None:
    lost = take(store, "first")
    expire(sql)
    seen = PostgresReader(database).get_run("first")
    assert seen is not None
    assert seen.state is RunState.INTERRUPTED
    assert seen.failure is not None

    take(store, "second")

    run = PostgresReader(database).get_run("first")
    assert run is not None
    assert run.state is RunState.INTERRUPTED
    assert run.finished_at is not None
    assert run.failure is not None
    assert run.failure.code == "interrupted"
    with pytest.raises(LeaseLost):
        store.keep_lease(lost)


def test_a_run_that_nobody_holds_a_lease_for_is_mended(
    store: PostgresStore, database: Database, sql: Connection
) -> None:
    lease = take(store, "first")
    store.finish_run(lease, report("first"))

    take(store, "second")

    run = PostgresReader(database).get_run("first")
    assert run is not None
    assert run.state is RunState.INTERRUPTED


def test_a_holder_that_was_away_goes_on_if_nobody_took_over(
    saver: Saver, store: PostgresStore, sql: Connection
) -> None:
    expire(sql)

    saver.save(referral_json(1))

    held = store.take_lease(report("second"), holder="other", ttl_s=120)
    assert isinstance(held, Held)


def test_a_heartbeat_moves_the_expiry(store: PostgresStore, sql: Connection) -> None:
    lease = take(store, ttl_s=300)
    expire(sql)

    store.keep_lease(lease)

    found = sql.execute(
        "SELECT lease_expires_at - now() > interval '295s' FROM partner_center_sync_state"
    ).fetchone()
    assert found == (True,)


def test_a_heartbeat_without_the_lease_leaves_the_ended_runs_row_as_it_was(
    store: PostgresStore, sql: Connection
) -> None:
    lost = take(store, "first")
    expire(sql)
    take(store, "second")
    row = "SELECT r::text FROM partner_center_sync_runs r WHERE task_id = 'first'"
    before = sql.execute(row).fetchone()

    with pytest.raises(LeaseLost):
        store.keep_lease(lost)

    assert sql.execute(row).fetchone() == before


def test_nothing_is_written_without_the_lease(
    saver: Saver, store: PostgresStore, sql: Connection
) -> None:
    plan = saver.save(referral_json(1))
    expire(sql)
    take(store, "second")
    saver.state = SyncState(watermark_ticks=99)
    plan = saver.plan([])
    state, running = SyncState(watermark_ticks=1), report()

    def refused(*calls: Any) -> None:
        for call in calls:
            with pytest.raises(LeaseLost):
                call()

    refused(
        lambda: saver.save(referral_json(2), b"[]"),
        lambda: store.save_state(saver.lease, state=state, report=running, forget=["sweep"]),
        lambda: store.note_gone(saver.lease, ["x"]),
        lambda: store.mark_missing(saver.lease, state=state, report=running),
        lambda: store.purge(saver.lease, older_than_days=1),
        lambda: store.erase(saver.lease, referral_ids=["x"], dry_run=False),
        lambda: store.settle_quarantine(
            saver.lease,
            plan,
            settled=[],
            reasons=[],
            report=running,
            state=state,
            fetched_at=NOW,
        ),
    )

    assert store.load_state() == SyncState()
    assert sql.execute(
        "SELECT (SELECT count(*) FROM partner_center_referrals),"
        " (SELECT count(*) FROM partner_center_quarantine),"
        " (SELECT count(*) FROM partner_center_sweep_seen),"
        " (SELECT count(*) FROM partner_center_tombstones)"
    ).fetchone() == (1, 0, 0, 0)


def test_many_takers_at_once_leave_one_holder(database_url: str) -> None:
    results: list[object] = []

    def run(number: int) -> None:
        database = Database(database_url)
        results.append(
            PostgresStore(database).take_lease(report(f"run-{number}"), holder="x", ttl_s=60)
        )
        database.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 6
    assert sum(not isinstance(result, Held) for result in results) == 1


def test_a_run_frozen_inside_a_transaction_does_not_hold_the_row_for_ever(
    saver: Saver, store: PostgresStore, database_url: str, sql: Connection
) -> None:
    """The server ends its session after a while, and what it was writing is rolled back."""
    frozen = Database(database_url)

    def write_and_freeze() -> None:
        with translated("write"), frozen.connection() as connection:
            batch = Batch(connection)
            batch.begin()
            # The limit of production is 30 s; the mechanism is the same.
            batch.add("SET LOCAL idle_in_transaction_session_timeout = '200ms'")
            states.add_state(batch, saver.lease, SyncState(watermark_ticks=1))
            batch.send()
            store.keep_lease(saver.lease)
            batch.commit()
            batch.send()

    with pytest.raises(TryLater) as ended:
        write_and_freeze()
    frozen.close()

    assert ended.value.code == "database_unavailable"
    assert store.load_state() == SyncState()


def test_looking_at_the_lease_waits_for_no_lock(
    saver: Saver, store: PostgresStore, database_url: str
) -> None:
    with psycopg.connect(database_url) as blocker:
        blocker.execute("UPDATE partner_center_sync_state SET tenant_id = 'x'")
        held = store.take_lease(report("second"), holder="other", ttl_s=120)
        assert isinstance(held, Held)
        blocker.rollback()
    saver.save(referral_json(1))


def test_a_state_table_that_somebody_emptied_is_named(
    store: PostgresStore, sql: Connection
) -> None:
    sql.execute("DELETE FROM partner_center_sync_state")

    for call in (
        lambda: take(store),
        store.load_tombstones,
        lambda: store.save_sign_in(SignInStatus(state=SignInState.OK)),
    ):
        with pytest.raises(FixSetting) as missing:
            call()
        assert missing.value.code == "state_missing"


def test_progress_shows_while_the_run_is_on(saver: Saver, database: Database) -> None:
    saver.save(referral_json(1), referral_json(2))

    run = PostgresReader(database).get_run("run-1")

    assert run is not None
    assert run.state is RunState.RUNNING
    assert run.counts.inserted == 2
    assert replace(run, counts=Counts()) == report("run-1")
