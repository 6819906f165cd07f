"""Everything works through a pooler that gives each transaction another server connection."""

import psycopg
import pytest

from pc_core.errors import LeaseLost, SignInState
from pc_core.identity.account import SignInStatus
from pc_core.reading import ReferralFilter
from pc_core.store import migrate
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.reader import PostgresReader
from pc_core.sync.ports import Held
from pc_core.sync.report import RunState
from pc_core.sync.state import SyncState
from tests.store.samples import NOW, Saver, referral_id, referral_json, report, take

pytestmark = pytest.mark.needs_pgbouncer


def test_a_run_and_its_readers_work_through_a_pooler(pooled_database_url: str) -> None:
    first, second = Database(pooled_database_url), Database(pooled_database_url)
    store, other = PostgresStore(first), PostgresStore(second)
    saver = Saver(store=store, lease=take(store), state=SyncState(watermark_ticks=4))

    saver.save(referral_json(1), referral_json(2), referral_json(3, updatedDateTime="x"))
    held = other.take_lease(report("second"), holder="other", ttl_s=60)
    saver.save(
        referral_json(1, status="Closed"),
        referral_json(2),
        seen_in=("head", "sweep"),
    )
    store.keep_lease(saver.lease)
    other.save_sign_in(SignInStatus(state=SignInState.OK))
    store.note_gone(saver.lease, [referral_id(9)])
    unseen = store.unseen(limit=5)
    store.purge(saver.lease, older_than_days=400)
    store.erase(saver.lease, referral_ids=[referral_id(3)], dry_run=False)
    store.finish_run(saver.lease, report().ended(RunState.COMPLETED, at=NOW))
    page = PostgresReader(second).list_referrals(ReferralFilter(status=("closed",)), limit=1)
    facts = PostgresReader(second).facts()
    with pytest.raises(LeaseLost):
        store.keep_lease(saver.lease)
    first.close()
    second.close()

    assert isinstance(held, Held)
    assert unseen.open == 0
    assert [row.referral_id for row in page.rows] == [referral_id(1)]
    assert (facts.referrals, facts.quarantine, facts.state.watermark_ticks) == (2, 0, 4)


def test_migrations_work_through_a_pooler(pooled_database_url: str) -> None:
    assert migrate.upgrade(pooled_database_url) == []
    assert migrate.status(pooled_database_url).is_current


def test_dates_are_read_through_a_pooler_whatever_style_is_set(
    pooled_database_url: str, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as sql:
        sql.execute(f"ALTER DATABASE {sql.info.dbname} SET DateStyle = German".encode())
    first, second = Database(pooled_database_url), Database(pooled_database_url)
    store = PostgresStore(first)
    saver = Saver(store=store, lease=take(store))

    for number in range(3):
        saver.save(referral_json(number))
        assert PostgresReader(second).facts().running is not None
    first.close()
    second.close()
