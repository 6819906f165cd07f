"""An erased customer is gone, and does not come back."""

from dataclasses import asdict
from typing import Any

import psycopg

from pc_core.referral.read import parse
from pc_core.referral.tombstones import ErasureCount
from tests.store.samples import Saver, referral_id, referral_json

type Connection = psycopg.Connection[Any]

BAD_DATE = {"updatedDateTime": "yesterday"}


def table_counts(sql: Connection) -> list[tuple[Any, ...]]:
    return sql.execute(
        "SELECT (SELECT count(*) FROM partner_center_referrals),"
        " (SELECT count(*) FROM partner_center_referral_changes),"
        " (SELECT count(*) FROM partner_center_quarantine),"
        " (SELECT count(*) FROM partner_center_tombstones)"
    ).fetchall()


def fill(saver: Saver) -> None:
    saver.save(referral_json(1), referral_json(2), seen_in=("sweep",))
    saver.save(referral_json(1, name="changed"), referral_json(1, **BAD_DATE))
    saver.save(
        referral_json(3, **BAD_DATE), referral_json(4, name="about fabrikam-1.com.tr", **BAD_DATE)
    )


def test_a_dry_run_counts_and_changes_nothing(saver: Saver, sql: Connection) -> None:
    fill(saver)
    before = table_counts(sql)

    counted = saver.store.erase(saver.lease, domain="fabrikam-1.com.tr", dry_run=True)

    assert counted == ErasureCount(referrals=1, changes=1, quarantine=1, tombstones=2, mentions=1)
    assert table_counts(sql) == before


def test_erasing_a_domain_removes_its_rows_history_and_quarantine(
    saver: Saver, sql: Connection
) -> None:
    fill(saver)

    removed = saver.store.erase(saver.lease, domain=" Fabrikam-1.com.tr", dry_run=False)

    assert asdict(removed) == {
        "referrals": 1,
        "changes": 1,
        "quarantine": 1,
        "tombstones": 2,
        "mentions": 1,
    }
    assert table_counts(sql) == [(1, 0, 2, 2)]
    assert sql.execute("SELECT referral_id FROM partner_center_sweep_seen").fetchall() == [
        (referral_id(2),)
    ]


def test_what_was_erased_is_recognised(saver: Saver) -> None:
    fill(saver)
    saver.store.erase(saver.lease, domain="fabrikam-1.com.tr", dry_run=False)
    saver.store.erase(saver.lease, referral_ids=[referral_id(2)], dry_run=False)

    tombstones = saver.store.load_tombstones()

    assert tombstones.covers_domain("fabrikam-1.com.tr")
    assert tombstones.covers_id(referral_id(1))
    assert tombstones.covers_id(referral_id(2))
    assert not tombstones.covers_domain("fabrikam-2.com.tr")
    assert not tombstones.covers_id(referral_id(3))
    plan = saver.plan(
        [parse(referral_json(1)), parse(referral_json(2)), parse(referral_json(5))],
        tombstones=tombstones,
    )
    assert set(plan.inserts) == {referral_id(5)}


def test_erasing_by_id_leaves_the_rest_of_the_domain(saver: Saver, sql: Connection) -> None:
    fill(saver)

    removed = saver.store.erase(
        saver.lease, referral_ids=[referral_id(1).upper(), referral_id(3)], dry_run=False
    )
    again = saver.store.erase(saver.lease, referral_ids=[referral_id(1)], dry_run=False)

    assert (removed.referrals, removed.quarantine, removed.tombstones) == (1, 2, 2)
    assert (again.referrals, again.quarantine, again.tombstones) == (0, 0, 0)
    assert table_counts(sql) == [(1, 0, 1, 2)]
