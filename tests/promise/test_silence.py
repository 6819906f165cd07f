"""A host that vanishes instead of dying: nothing comes back, and nobody says that it never will.

A wire swallows everything in both directions, no end of a connection included. The run at its one
end ends in time, what it held at the other is let go, and the next run makes it good.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest

from dev.services.pgbouncer import PgBouncer
from dev.services.postgres import Postgres
from dev.simulator import Simulator
from pc_core.partner_center.client import PartnerCenterClient
from pc_core.partner_center.retry import RetryPolicy
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.sync.report import FailureKind, Mode
from tests.promise.trials import Kept, Trial, assert_healthy
from tests.promise.wires import Meter, Wire

pytestmark = pytest.mark.long

LEASE_S = 2.0
SILENCE_S = 1.0
CONNECT_S = 2
LOCK_TIMEOUT_S = 10.0  # limits.sql
LAST_WORDS_S = 10.0  # what a run whose time is over still waits for an answer
GRACE_S = 15.0  # what a busy machine may take longer

COPY = b"COPY partner_center_referrals"
PLACES = {
    "before a transaction": b"SELECT r.referral_id, r.content_hash",
    "with the lease's row locked": b"CREATE TEMPORARY TABLE partner_center_incoming",
    "while rows are copied": COPY,
    "while changes are copied": b"COPY partner_center_incoming",
    "at the commit": b"INSERT INTO partner_center_referral_changes",
}
"""Messages of the run: the last that is delivered, and whose answer never comes."""

MESSAGES = (1, 3, 6, 9, 14)
"""Of a run's connections to Partner Center: the first that is swallowed."""


@contextmanager
def new_trial(postgres: Postgres, template: str, name: str) -> Iterator[Trial]:
    """A database with what a completed run left there, and changes that no run has read yet."""
    database = f"silence_{abs(hash(name))}"
    url = postgres.create_database(database, template=template)
    simulator = Simulator(referrals=40).start()
    trial = Trial(database_url=url, simulator=simulator, lease_s=LEASE_S)
    try:
        trial.heal()
        trial.recover()
        simulator.state.change_some(12)
        for _ in range(3):
            simulator.state.add(direction="Incoming", status="New", substatus="Received")
        trial.note_admitted()
        yield trial
    finally:
        trial.close()
        simulator.stop()
        postgres.drop_database(database)


def at_once(names: Iterable[object], attempt: Callable[[str], None]) -> None:
    """One attempt for each name, all at the same time: most of it is waiting."""

    def once(name: object) -> None:
        try:
            attempt(str(name))
        except Exception as error:
            error.add_note(f"at {name}")
            raise

    with ThreadPoolExecutor(max_workers=8) as pool:
        for done in [pool.submit(once, name) for name in names]:
            done.result()


@contextmanager
def behind_a_wire(trial: Trial, url: str, *, silence_s: float) -> Iterator[tuple[Trial, Wire]]:
    """The same runs, whose database lies behind a wire."""
    parts = urlsplit(url)
    wire = Wire(parts.port or 5432, Meter())
    host = f"{parts.netloc.rpartition(':')[0]}:{wire.port}"
    url = urlunsplit(parts._replace(netloc=host, query=f"connect_timeout={CONNECT_S}"))
    far = Trial(database_url=url, simulator=trial.simulator, lease_s=LEASE_S)
    far.database = Database(url, silence_s=silence_s)
    far.store = PostgresStore(far.database)
    far.admitted_ever = trial.admitted_ever
    try:
        yield far, wire
    finally:
        far.close()
        wire.close()


def assert_nothing_is_held(trial: Trial) -> None:
    """No transaction stands open on the server."""
    assert not trial.query(
        "SELECT pid, state, wait_event, query FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND xact_start IS NOT NULL"
    )


def assert_next_makes_it_good(trial: Trial) -> None:
    """The next run begins once the lease has expired, whatever the silent one still holds."""
    began_s = time.monotonic()
    while (report := trial.run()).state == "already_running":
        time.sleep(0.1)
    assert report.state == "completed", report.failure
    assert time.monotonic() - began_s < LEASE_S + LOCK_TIMEOUT_S + GRACE_S
    assert_nothing_is_held(trial)
    assert_healthy(trial)


def fall_silent(trial: Trial, url: str, words: bytes) -> None:
    """A run whose database falls silent after these words, and the next."""
    kept = Kept.of(trial)
    with behind_a_wire(trial, url, silence_s=SILENCE_S) as (far, wire):
        wire.mute_after(words)
        began_s = time.monotonic()

        report = far.run("full")

        assert wire.is_mute
        assert report.failure is not None
        assert (report.state, report.failure.kind) == ("failed", FailureKind.TRY_LATER)
        assert report.failure.code == "database_unavailable"
        assert time.monotonic() - began_s < SILENCE_S + 2 * CONNECT_S + GRACE_S
        kept.assert_kept_by(trial)
        # The wire stays as it is: nobody tells the server.
        assert_next_makes_it_good(trial)


def test_a_database_that_falls_silent_ends_the_run_and_the_next_makes_it_good(
    postgres_server: Postgres, template_database: str
) -> None:
    def attempt(place: str) -> None:
        with new_trial(postgres_server, template_database, place) as trial:
            fall_silent(trial, trial.database_url, PLACES[place])

    at_once(PLACES, attempt)


@pytest.mark.parametrize(
    ("mode", "words"),
    [("full", (b"WITH marked AS", b"COMMIT")), ("incremental", (b"FROM STDIN", b"COMMIT"))],
    ids=["of a sweep's end", "of a page"],
)
def test_a_commit_whose_answer_is_lost_is_not_taken_back_by_the_runs_end(
    postgres_server: Postgres, template_database: str, mode: Mode, words: tuple[bytes, ...]
) -> None:
    with (
        new_trial(postgres_server, template_database, f"lost answer {mode}") as trial,
        behind_a_wire(trial, trial.database_url, silence_s=SILENCE_S) as (far, wire),
    ):
        wire.cut_after(*words)

        report = far.run(mode)

        assert wire.is_cut
        assert report.failure is not None
        assert (report.state, report.failure.code) == ("failed", "database_unavailable")
        assert trial.store.load_state().sweep is None
        trial.simulator.clear_requests()
        assert_next_makes_it_good(trial)
        assert all("/referrals/" not in one.path for one in trial.simulator.requests), "none by id"


@pytest.mark.needs_pgbouncer
def test_a_host_that_vanishes_in_front_of_a_pooler_holds_nothing_for_ever(
    postgres_server: Postgres, template_database: str, pgbouncer: PgBouncer
) -> None:
    with new_trial(postgres_server, template_database, "pooler") as trial:
        name = trial.database_url.rpartition("/")[2]

        fall_silent(trial, pgbouncer.url(name), COPY)


def test_a_silent_database_leaves_a_run_no_more_than_its_time(
    postgres_server: Postgres, template_database: str
) -> None:
    with (
        new_trial(postgres_server, template_database, "time") as trial,
        behind_a_wire(trial, trial.database_url, silence_s=3600) as (far, wire),
    ):
        wire.mute_after(PLACES["before a transaction"])
        began_s = time.monotonic()

        report = far.run(seconds=1)

        assert report.state == "failed"
        assert time.monotonic() - began_s < 1 + LAST_WORDS_S + 2 * CONNECT_S + GRACE_S


class Remote(Trial):
    """Runs whose Partner Center lies behind a wire, and that would wait for it for an hour."""

    wire: Wire

    def client(self) -> PartnerCenterClient:
        return PartnerCenterClient(
            f"https://localhost:{self.wire.port}",
            self.tokens,
            request_timeout_s=3600,
            retry=RetryPolicy(attempts=3, total_s=3600),
            chance=lambda: 0.0,
            ca_file=str(self.simulator.ca_path),
        )


def test_a_silent_partner_center_leaves_a_run_no_more_than_its_time(
    postgres_server: Postgres, template_database: str
) -> None:
    def attempt(message: str) -> None:
        with new_trial(postgres_server, template_database, message) as trial:
            kept = Kept.of(trial)
            meter = Meter()
            far = Remote(
                database_url=trial.database_url, simulator=trial.simulator, lease_s=LEASE_S
            )
            far.wire = Wire(trial.simulator.port, meter)
            meter.arm(int(message), far.wire.mute)
            began_s = time.monotonic()

            report = far.run("full", seconds=3)

            took_s = time.monotonic() - began_s
            far.wire.close()
            far.close()
            assert far.wire.is_mute
            assert took_s < 3 + GRACE_S
            assert report.state in ("failed", "partial")
            if report.failure is not None:
                assert report.failure.kind is FailureKind.TRY_LATER
            kept.assert_kept_by(trial)
            assert_nothing_is_held(trial)
            assert trial.recover().state == "completed"
            assert_healthy(trial)

    at_once(MESSAGES, attempt)
