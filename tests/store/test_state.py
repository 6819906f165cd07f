"""The state that one run leaves is read unchanged by the next."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_core.errors import SignInState
from pc_core.identity.account import Account, SignInStatus
from pc_core.referral.tombstones import tombstone
from pc_core.store.postgres import PostgresStore
from pc_core.sync.state import Fingerprint, PendingHead, Sweep, SyncState
from tests.store.samples import NOW, Saver, report

TICKS = st.integers(min_value=-(2**62), max_value=2**62)
WIRE_TEXT = st.text(st.characters(codec="utf-8"), max_size=50)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)
INSTANT = st.integers(min_value=0, max_value=7_000_000_000_000_000).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
NUMBER = st.integers(min_value=0, max_value=2**40)


def maybe[T](values: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | values


STATES = st.builds(
    SyncState,
    watermark_ticks=maybe(TICKS),
    order_verdict=st.sampled_from(["proven", "unproven", "refuted"]),
    order_checked_at=maybe(INSTANT),
    order_refuted_at=maybe(INSTANT),
    top_caps_at=maybe(INSTANT),
    head=maybe(
        st.builds(
            PendingHead,
            stop_ticks=TICKS,
            newest_ticks=TICKS,
            next_link=maybe(WIRE_TEXT),
            restarts=NUMBER,
        )
    ),
    sweep=maybe(
        st.builds(
            Sweep,
            task_id=TEXT,
            started_at=INSTANT,
            reason=st.sampled_from(["first", "due", "asked", "settings_changed"]),
            phase=st.sampled_from(["reading", "checking", "shrank"]),
            ordered=st.booleans(),
            drift_ticks=maybe(TICKS),
            next_link=maybe(WIRE_TEXT),
            last_ticks=maybe(TICKS),
            received=NUMBER,
            pages=NUMBER,
            restarts=NUMBER,
            accepted=st.booleans(),
        )
    ),
    shrank_at=maybe(INSTANT),
    shrank_unseen=maybe(NUMBER),
    shrank_present=maybe(NUMBER),
    recompute_after=maybe(TEXT),
    fingerprint=maybe(st.builds(Fingerprint, filters=TEXT, rules=TEXT, account=TEXT)),
    organization_id=maybe(TEXT),
    tenant_id=maybe(TEXT),
    last_success_at=maybe(INSTANT),
    last_sweep_at=maybe(INSTANT),
)

STATUSES = st.builds(
    SignInStatus,
    state=st.sampled_from(SignInState),
    reason_code=maybe(WIRE_TEXT),
    message=maybe(WIRE_TEXT),
    since_at=INSTANT,
    checked_at=maybe(INSTANT),
    renewed_at=maybe(INSTANT),
    correlation_id=maybe(TEXT),
    account=maybe(st.builds(Account, account_id=TEXT, username=WIRE_TEXT, tenant_id=TEXT)),
)

SAME_DATABASE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_a_new_database_has_an_empty_state(store: PostgresStore) -> None:
    assert store.load_state() == SyncState()
    assert store.load_sign_in() is None


@SAME_DATABASE
@given(state=STATES)
def test_every_state_comes_back_as_it_was(saver: Saver, state: SyncState) -> None:
    saver.store.save_state(saver.lease, state=state, report=report())

    assert saver.store.load_state() == state


@SAME_DATABASE
@given(status=STATUSES)
def test_every_sign_in_state_comes_back_as_it_was(
    store: PostgresStore, sql: psycopg.Connection[Any], status: SignInStatus
) -> None:
    sql.execute("UPDATE partner_center_sync_state SET sign_in = NULL")

    store.save_sign_in(status)

    assert store.load_sign_in() == status


def test_a_change_of_state_or_reason_is_told_and_since_counts_from_it(
    store: PostgresStore,
) -> None:
    later = NOW + timedelta(hours=1)
    ok = SignInStatus(state=SignInState.OK, since_at=NOW, checked_at=NOW)
    ok_again = SignInStatus(state=SignInState.OK, since_at=later, checked_at=later)
    needed = SignInStatus(
        state=SignInState.SIGN_IN_NEEDED, reason_code="AADSTS700082", checked_at=later
    )
    other = SignInStatus(state=SignInState.SIGN_IN_NEEDED, reason_code="AADSTS50173")

    told = [store.save_sign_in(status) for status in (ok, ok_again)]
    still = store.load_sign_in()
    told += [store.save_sign_in(status) for status in (needed, needed, other)]
    now = store.load_sign_in()

    assert told == [True, False, True, False, True]
    assert still is not None
    assert (still.since_at, still.checked_at) == (NOW, later)
    assert now is not None
    assert (now.reason_code, now.since_at) == ("AADSTS50173", later)


def test_a_refusal_does_not_replace_a_sign_in_that_came_after_it_was_asked_for(
    store: PostgresStore,
) -> None:
    needed = SignInStatus(
        state=SignInState.SIGN_IN_NEEDED, checked_at=NOW + timedelta(seconds=9), since_at=NOW
    )
    signed_in_at = NOW + timedelta(seconds=5)
    store.save_sign_in(SignInStatus(state=SignInState.OK, checked_at=signed_in_at))

    late = store.save_sign_in(needed, unless_ok_after=NOW)
    kept = store.load_sign_in()
    in_time = store.save_sign_in(needed, unless_ok_after=signed_in_at)
    replaced = store.load_sign_in()

    assert (late, in_time) == (False, True)
    assert kept is not None
    assert (kept.state, kept.checked_at) == (SignInState.OK, signed_in_at)
    assert replaced is not None
    assert replaced.state is SignInState.SIGN_IN_NEEDED


def test_the_sign_in_state_can_be_saved_while_a_run_holds_the_lease(saver: Saver) -> None:
    saver.state = SyncState(watermark_ticks=3)
    saver.save()

    saver.store.save_sign_in(SignInStatus(state=SignInState.OK))

    assert saver.store.load_state() == saver.state
    saver.store.keep_lease(saver.lease)


def test_each_database_has_a_random_key_of_its_own(
    store: PostgresStore, sql: psycopg.Connection[Any]
) -> None:
    key = store.load_tombstones().key

    assert len(key) == 32
    assert len(set(key)) > 10
    assert tombstone(key, "domain", "Contoso.com ") == tombstone(key, "domain", "contoso.com")


def test_instants_come_back_in_utc_whatever_the_server_thinks(
    saver: Saver, sql: psycopg.Connection[Any], database_url: str
) -> None:
    name = database_url.rpartition("/")[2].partition("?")[0]
    sql.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Istanbul'")
    east = datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    saver.store.save_state(saver.lease, state=SyncState(last_success_at=east), report=report())

    loaded = saver.store.load_state().last_success_at

    assert loaded == east
    assert loaded is not None
    assert loaded.tzinfo is UTC
