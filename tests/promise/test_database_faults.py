"""A database that refuses, drops, fills up or is of another age: a clean end, nothing half-written.

A trigger counts what the server executes and fails at the n-th time, so that every step of a run
is met without a test hook in the app; for every n until a run survives.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from pc_core.errors import FixSetting, TryLater
from pc_core.store import migrate
from pc_core.store.pool import Database
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.report import FailureKind, Report
from tests.promise.scale import LONG
from tests.promise.trials import Kept, Trial, assert_healthy

pytestmark = pytest.mark.long

Make = Callable[..., Trial]
TABLES = (
    "partner_center_referrals",
    "partner_center_referral_changes",
    "partner_center_quarantine",
    "partner_center_sweep_seen",
    "partner_center_sync_runs",
    "partner_center_sync_state",
)
FAILURES: dict[str, tuple[LiteralString, set[str]]] = {
    "connection lost": (
        "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(30);",
        {"database_unavailable"},
    ),
    "statement timeout": (
        "PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(30);",
        {"statement_timeout"},
    ),
    "disk full": (
        "RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full';",
        {"disk_full"},
    ),
    "read-only": (
        "RAISE EXCEPTION 'read-only' USING ERRCODE = 'read_only_sql_transaction';",
        {"database_read_only"},
    ),
    "deadlock": (
        "RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected';",
        {"database_busy"},
    ),
}
MOST_STEPS = 150


@pytest.fixture
def trial(make_trial: Make) -> Trial:
    made = make_trial(40, lease_s=2.0, server_page=50)
    made.heal()
    return made


@contextmanager
def failing_at(trial: Trial, n: int, failure: LiteralString) -> Iterator[None]:
    """The n-th statement that writes to a table fails so; a sequence is never rolled back."""
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute("DROP SEQUENCE IF EXISTS steps CASCADE")
        sql.execute("CREATE SEQUENCE steps")
        sql.execute(
            "CREATE OR REPLACE FUNCTION fail_at_step() RETURNS trigger LANGUAGE plpgsql AS $$"
            f"BEGIN IF nextval('steps') = {n} THEN {failure} END IF; RETURN NULL; END $$".encode()
        )
        for table in TABLES:
            sql.execute(
                f"CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION fail_at_step()".encode()
            )
        try:
            yield
        finally:
            for table in TABLES:
                sql.execute(f"DROP TRIGGER fail ON {table}".encode())


def assert_history_agrees(trial: Trial, note: str) -> None:
    """Rows with a new note and their history were written together or not at all."""
    rows = "SELECT referral_id FROM partner_center_referrals WHERE raw_data::text LIKE %s"
    history = "SELECT referral_id FROM partner_center_referral_changes WHERE after::text LIKE %s"
    like = f'%"{note}"%'
    changed = {row["referral_id"] for row in trial.query(rows, like)}
    assert changed == {row["referral_id"] for row in trial.query(history, like)}


def expire_lease(trial: Trial) -> None:
    trial.query(
        "UPDATE partner_center_sync_state SET lease_expires_at = now() - interval '1 s' RETURNING 1"
    )


def outcome(trial: Trial, run: Callable[[], Report]) -> tuple[str, str, Report | None]:
    """(state, code, report), also of a run that could not begin."""
    try:
        report = run()
    except (TryLater, FixSetting) as refused:
        return "refused", refused.code, None
    return report.state.value, report.failure.code if report.failure else "", report


@pytest.mark.parametrize("name", FAILURES)
def test_a_database_that_fails_at_any_step_ends_the_run_cleanly(
    trial: Trial, name: str, record_property: Callable[[str, object], None]
) -> None:
    failure, codes = FAILURES[name]
    world = trial.simulator.state
    trial.recover()
    n = 0
    # The kinds differ in what the app is told, not in where: one visits every step.
    stride = 1 if LONG or name == "disk full" else 5
    while n < MOST_STEPS:
        n += stride
        for one in world.ids()[:12]:
            world.change(one, details={"notes": f"{name} {n}"})
        if n % 4 == 1:
            world.add(direction="Incoming", status="New", substatus="Received")
            world.add_raw(f"broken {n}", b'{"id":"broken %d","status":"Closed","name":%d}' % (n, n))
        trial.note_admitted()
        kept = Kept.of(trial)

        with failing_at(trial, n, failure):
            state, code, report = outcome(trial, lambda: trial.run("full"))
            survived = state == "completed"

        kept.assert_kept_by(trial)
        why = (n, state, code)
        assert_history_agrees(trial, f"{name} {n}")
        if not survived:
            assert state in {"failed", "refused", "interrupted"}, why
            assert code in codes, why
            if report is not None and report.failure is not None:
                assert report.failure.kind is FailureKind.TRY_LATER, why
                assert "next run" in report.failure.message, why
        expire_lease(trial)
        trial.recover()
        assert_healthy(trial)
        if survived:
            break
    record_property("failing_statements", (n - 1) // stride)
    assert survived
    assert n > 20, "every transaction of a run writes several times"


def test_a_refused_connection_ends_before_anything_began(trial: Trial) -> None:
    trial.recover()
    kept = Kept.of(trial)
    wrong = psycopg.conninfo.make_conninfo(trial.database_url, port=9)
    right, trial.database = trial.database, Database(wrong)
    trial.store = type(trial.store)(trial.database)
    trial.simulator.clear_requests()

    began_s = time.monotonic()
    with pytest.raises(TryLater) as refused:
        trial.run()
    trial.database.close()

    assert time.monotonic() - began_s < 5
    assert refused.value.code == "database_unavailable"
    assert "HUNTER_DATABASE_URL" in str(refused.value)
    assert trial.list_requests() == 0
    trial.database, trial.store = right, type(trial.store)(right)
    kept.assert_kept_by(trial)
    trial.recover()


@pytest.mark.parametrize("after", [1, 2])
def test_a_database_that_becomes_read_only_in_the_middle(trial: Trial, after: int) -> None:
    trial.recover()
    trial.simulator.state.change_some(30)
    kept = Kept.of(trial)
    name = trial.database_url.rpartition("/")[2]

    def set_read_only(value: str) -> None:
        with psycopg.connect(trial.database_url, autocommit=True) as sql:
            sql.execute("SET default_transaction_read_only = off")
            sql.execute(
                f"ALTER DATABASE {name} SET default_transaction_read_only = {value}".encode()
            )
            sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    trial.simulator.state.after_request(after, lambda: set_read_only("on"))

    report = trial.run("full")

    assert report.failure is not None
    assert (report.state, report.failure.kind) == ("failed", FailureKind.TRY_LATER)
    # The connections were cut with it: which of the two is met first is a matter of luck.
    assert report.failure.code in {"database_read_only", "database_unavailable"}
    kept.assert_kept_by(trial)
    state, code, _ = outcome(trial, trial.run)
    assert (state, code) in {("refused", "database_read_only"), ("already_running", "")}
    assert PostgresReader(trial.database).facts().referrals == len(kept.updated), "reading goes on"
    set_read_only("off")
    expire_lease(trial)
    trial.recover()
    assert_healthy(trial)


def test_a_full_device_under_the_table_is_named_and_survived(trial: Trial) -> None:
    """The table's file leads to /dev/full: the server itself meets ENOSPC when it grows."""
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        found = sql.execute(
            "SELECT current_setting('data_directory'),"
            " pg_relation_filepath('partner_center_referral_changes')"
        ).fetchone()
    assert found is not None
    file = Path(*found)
    aside = file.with_name(f"{file.name}.aside")
    trial.recover()
    kept = Kept.of(trial)
    assert file.stat().st_size == 0, "no history yet: nothing of it is in memory"
    shutil.move(file, aside)
    file.symlink_to("/dev/full")
    end_connections(trial)
    trial.simulator.state.change_some(30)
    try:
        report = trial.run()
    finally:
        file.unlink()
        shutil.move(aside, file)
        end_connections(trial)

    assert report.failure is not None
    assert (report.state, report.failure.code) == ("failed", "disk_full")
    assert "Grow the server's storage" in report.failure.message
    assert Kept.of(trial) == kept, "nothing of the page was written"
    trial.recover()
    assert_healthy(trial)


def end_connections(trial: Trial) -> None:
    trial.database.close()
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE partner_center_quarantine CASCADE",
        "ALTER TABLE partner_center_referrals DROP COLUMN deal_value CASCADE",
        "ALTER TABLE partner_center_sync_state DROP COLUMN top_caps_at",
        "DROP TABLE partner_center_sweep_seen",
    ],
)
def test_a_schema_that_is_older_than_the_code_says_what_to_do(trial: Trial, damage: str) -> None:
    trial.simulator.state.add_raw("broken", b'{"id":"broken","name":1}')
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute(damage.encode())

    try:
        report = trial.run("full")
        assert report.failure is not None
        code, message = report.failure.code, report.failure.message
        assert report.failure.kind is FailureKind.FIX_SETTING
    except FixSetting as refused:
        code, message = refused.code, str(refused)

    assert code == "migration_missing"
    assert "python -m pc_core migrate" in message
    with psycopg.connect(trial.database_url) as sql:
        counted = sql.execute("SELECT count(*) FROM partner_center_referrals").fetchone()
    assert counted == (0,) or damage.endswith("quarantine CASCADE")


def test_an_empty_database_says_what_to_do_and_works_once_it_is_migrated(
    make_trial: Make, empty_database_url: str
) -> None:
    trial = make_trial(40)
    trial.database_url = empty_database_url
    trial.database = Database(empty_database_url)
    trial.store = type(trial.store)(trial.database)

    with pytest.raises(FixSetting) as refused:
        trial.run()

    assert refused.value.code == "migration_missing"
    assert trial.list_requests() == 0
    migrate.upgrade(empty_database_url)
    trial.recover()
    assert_healthy(trial)


def test_a_schema_that_is_newer_than_the_code_still_works_and_is_told(trial: Trial) -> None:
    """Migrations are forward-compatible: the release before goes on while the next is deployed."""
    trial.query(
        "UPDATE partner_center_schema_version SET version_num = '9999' RETURNING version_num"
    )
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute("ALTER TABLE partner_center_referrals ADD COLUMN future text")
        sql.execute("ALTER TABLE partner_center_sync_state ADD COLUMN future text")
        sql.execute("ALTER TABLE partner_center_sync_runs ADD COLUMN future text DEFAULT 'x'")

    trial.recover()

    assert_healthy(trial)
    schema = PostgresReader(trial.database).schema()
    assert (schema.current, schema.is_current) == ("9999", True), "new enough for this code"
    assert migrate.upgrade(trial.database_url) == []
    assert migrate.status(trial.database_url).current == "9999"


def test_a_lock_held_by_somebody_else_ends_the_run_instead_of_holding_it_up(trial: Trial) -> None:
    trial.recover()
    trial.simulator.state.change_some(30)
    kept = Kept.of(trial)
    with psycopg.connect(trial.database_url) as other:
        other.execute("LOCK TABLE partner_center_referrals IN EXCLUSIVE MODE")
        began_s = time.monotonic()

        report = trial.run()

        took_s = time.monotonic() - began_s
        other.rollback()
    assert report.failure is not None
    assert (report.state, report.failure.code) == ("failed", "database_busy")
    assert took_s < 20, "lock_timeout is ten seconds"
    assert Kept.of(trial) == kept
    trial.recover()
    assert_healthy(trial)


def test_a_lock_on_one_row_of_a_page_ends_the_run_with_the_page_unwritten(trial: Trial) -> None:
    """Somebody's open transaction has changed a row: the server's own lock_timeout strikes."""
    trial.recover()
    changed = trial.simulator.state.change_some(30)
    trial.simulator.state.add(direction="Incoming", status="New", substatus="Received")
    locked = next(one for one in changed if one in trial.rows())
    kept = Kept.of(trial)
    with psycopg.connect(trial.database_url) as other:
        other.execute(
            "UPDATE partner_center_referrals SET name = 'theirs' WHERE referral_id = %s", [locked]
        )

        report = trial.run()

        other.rollback()
    assert report.failure is not None
    assert (report.state, report.failure.kind) == ("failed", FailureKind.TRY_LATER)
    assert report.failure.code == "database_busy"
    assert "a lock was held for too long" in report.failure.message
    assert "look for long transactions" in report.failure.message
    assert Kept.of(trial) == kept, "neither the row nor another of its page"
    assert not trial.query("SELECT 1 FROM partner_center_referral_changes")
    assert not trial.query("SELECT 1 FROM partner_center_sync_state WHERE lease_task_id <> ''")
    trial.recover()
    assert_healthy(trial)


@pytest.mark.parametrize(
    "table",
    ["partner_center_referrals", "partner_center_referral_changes", "partner_center_sync_runs"],
)
def test_a_statement_that_takes_too_long_is_ended_by_the_server_itself(
    trial: Trial, table: str
) -> None:
    """The page's first statement shortens the limit, and a later one waits for longer."""
    trial.recover()
    trial.simulator.state.change_some(30)
    trial.simulator.state.add(direction="Incoming", status="New", substatus="Received")
    kept = Kept.of(trial)
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute(
            "CREATE FUNCTION hurry() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " PERFORM set_config('statement_timeout', '300ms', true); RETURN NULL; END$$"
        )
        sql.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " IF current_setting('statement_timeout') = '300ms' THEN PERFORM pg_sleep(5); END IF;"
            " RETURN NULL; END$$"
        )
        sql.execute(
            "CREATE TRIGGER hurry AFTER UPDATE OF watermark_ticks ON partner_center_sync_state"
            " FOR EACH STATEMENT EXECUTE FUNCTION hurry()"
        )
        sql.execute(
            f"CREATE TRIGGER dawdle BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION dawdle()".encode()
        )
        began_s = time.monotonic()

        report = trial.run()

        took_s = time.monotonic() - began_s
        sql.execute("DROP FUNCTION hurry CASCADE")
        sql.execute("DROP FUNCTION dawdle CASCADE")
    assert report.failure is not None
    assert (report.state, report.failure.kind) == ("failed", FailureKind.TRY_LATER)
    assert report.failure.code == "statement_timeout"
    assert "a statement took longer than its time limit" in report.failure.message
    assert "The next run tries again" in report.failure.message
    assert took_s < 5, "the server did not wait for its end"
    assert Kept.of(trial) == kept, "nothing of the page was written"
    assert not trial.query("SELECT 1 FROM partner_center_referral_changes")
    expire_lease(trial)
    trial.recover()
    assert_healthy(trial)


def test_a_run_whose_end_cannot_be_written_is_closed_by_the_next(trial: Trial) -> None:
    trial.recover()
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute("ALTER TABLE partner_center_sync_runs RENAME TO away")
        state, code, _ = outcome(trial, trial.run)
        sql.execute("ALTER TABLE away RENAME TO partner_center_sync_runs")
    assert (state, code) == ("refused", "migration_missing")

    trial.simulator.state.after_request(
        1, lambda: rename(trial, "partner_center_sync_runs", "away")
    )
    report = trial.run()
    rename(trial, "away", "partner_center_sync_runs")

    assert report.failure is not None
    assert (report.state, report.failure.code) == ("failed", "migration_missing")
    open_rows = trial.query("SELECT 1 FROM partner_center_sync_runs WHERE state = 'running'")
    assert len(open_rows) == 1
    expire_lease(trial)
    trial.recover()
    assert_healthy(trial)
    states: list[Any] = trial.query(
        "SELECT state FROM partner_center_sync_runs ORDER BY started_at"
    )
    assert "interrupted" in {row["state"] for row in states}


def rename(trial: Trial, old: str, new: str) -> None:
    with psycopg.connect(trial.database_url, autocommit=True) as sql:
        sql.execute(f"ALTER TABLE {old} RENAME TO {new}".encode())
