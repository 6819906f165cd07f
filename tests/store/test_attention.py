"""Attention filters, statistics and companies, read from a real PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pc_core.reading import ATTENTION, ATTENTION_COUNTED_UP_TO, ReferralFilter
from pc_core.store.pool import Database
from pc_core.store.reading.reader import PostgresReader
from tests.store.samples import referral_id

type Connection = psycopg.Connection[Any]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def reader(database: Database) -> PostgresReader:
    return PostgresReader(database)


def insert(sql: Connection, number: int, **changes: Any) -> str:
    """An open, complete co-sell deal that no attention filter finds, except for the changes."""
    now = datetime.now(UTC)
    row: dict[str, Any] = {
        "referral_id": referral_id(number),
        "referral_type": "co-sell",
        "status": "Active",
        "substatus": "Accepted",
        "company_name": "Fabrikam",
        "customer_country": "TR",
        "domain": "fabrikam.com.tr",
        "deal_value": 5,
        "currency": "TRY",
        "closing_at": now + 90 * DAY,
        "pc_created_at": now - 30 * DAY,
        "first_seen_at": now - 30 * DAY,
        "content_hash": b"",
        "raw_data": "{}",
        **changes,
    }
    names = ", ".join(row)
    marks = ", ".join(f"%({name})s" for name in row)
    sql.execute(
        f"INSERT INTO partner_center_referrals ({names}) VALUES ({marks})",  # noqa: S608
        row,
    )
    return referral_id(number)


def found(reader: PostgresReader, kind: Any, since: datetime | None = None) -> set[str]:
    page = reader.list_referrals(ReferralFilter(attention=kind, seen_since=since))
    assert page.total == len(page.rows)
    return {row.referral_id for row in page.rows}


def test_a_referral_in_order_needs_nobody(reader: PostgresReader, sql: Connection) -> None:
    insert(sql, 1)
    assert {kind: found(reader, kind) for kind in ATTENTION} == {kind: set() for kind in ATTENTION}


def test_each_kind_finds_its_own(reader: PostgresReader, sql: Connection) -> None:
    now = datetime.now(UTC)
    gone = {"missing_since": now}
    soon = insert(sql, 1, status="New", expires_at=now + 2 * DAY)
    later = insert(sql, 2, status="New", expires_at=now + 4 * DAY)
    insert(sql, 3, status="New", expires_at=now - HOUR)
    insert(sql, 4, status="Active", expires_at=now + DAY)
    insert(sql, 5, status="New", expires_at=now + DAY, **gone)
    nameless = insert(sql, 6, domain=None)
    insert(sql, 7, domain=None, status="Closed")
    insert(sql, 8, domain=None, **gone)
    poor = {
        insert(sql, 10 + number, **{name: None})
        for number, name in enumerate(
            ("deal_value", "currency", "closing_at", "company_name", "customer_country")
        )
    }
    insert(sql, 20, deal_value=None, referral_type="marketplace")
    won = {"status": "Closed", "substatus": "Won", "pc_created_at": now - 5 * DAY}
    early = insert(sql, 21, closed_at=now - 5 * DAY + 71 * HOUR, **won)
    insert(sql, 22, closed_at=now - 5 * DAY + 72 * HOUR, **won)
    insert(sql, 23, closed_at=now - 4 * DAY, **(won | {"referral_type": "marketplace"}))
    insert(sql, 24, closed_at=now - 39 * DAY, **(won | {"pc_created_at": now - 40 * DAY}))
    fresh = insert(sql, 25, pc_created_at=now - 2 * DAY, first_seen_at=now - HOUR)
    insert(sql, 26, pc_created_at=now - 60 * DAY, first_seen_at=now - HOUR)
    insert(sql, 27, pc_created_at=now - 2 * DAY, first_seen_at=now - HOUR, status="Closed")

    assert found(reader, "expiring") == {soon}
    for days, expected in ((1, set()), (3, {soon}), (5, {soon, later})):
        within = reader.list_referrals(ReferralFilter(expiring_within_days=days)).rows
        assert {row.referral_id for row in within} == expected
    assert found(reader, "no_domain") == {nameless}
    assert found(reader, "incomplete") == poor
    assert found(reader, "won_early") == {early}
    assert found(reader, "new") == {fresh}
    assert found(reader, "new", since=now - HOUR / 2) == set()


def test_kinds_are_read_from_their_indexes(reader: PostgresReader, sql: Connection) -> None:
    sql.execute("SET enable_seqscan = off")
    where = {
        "no_domain": "domain IS NULL AND status IN ('New', 'Active') AND missing_since IS NULL",
        "won_early": "referral_type = 'co-sell' AND substatus = 'Won'"
        " AND closed_at - pc_created_at < interval '72 hours' AND closed_at >= now()",
    }
    for kind, condition in where.items():
        statement = f"EXPLAIN SELECT FROM partner_center_referrals WHERE {condition}"
        rows = sql.execute(statement).fetchall()
        plan = "".join(line for (line,) in rows)
        assert f"partner_center_referrals_{kind}_idx" in plan


def test_weeks_and_countries_are_counted_and_kept_until_a_run_writes(
    reader: PostgresReader, sql: Connection
) -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    insert(sql, 1, pc_created_at=datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    insert(sql, 2, pc_created_at=datetime(2026, 3, 2, tzinfo=UTC), customer_country="DE")
    insert(sql, 3, pc_created_at=now, referral_type=None)
    insert(sql, 4, pc_created_at=now - 200 * DAY, customer_country=None)

    counted = reader.statistics(now)
    assert len(counted.weeks) == 13
    assert [week.begins_on for week in counted.weeks[-2:]] == [date(2026, 2, 23), date(2026, 3, 2)]
    assert counted.weeks[-2].by_type == {"co-sell": 1}
    assert counted.weeks[-1].by_type == {"co-sell": 1, "": 1}
    assert counted.by_country == {"TR": 2, "DE": 1}

    insert(sql, 5, pc_created_at=now)
    assert reader.statistics(now) == counted
    sql.execute("UPDATE partner_center_sync_state SET lease_fence = lease_fence + 1")
    assert reader.statistics(now).weeks[-1].by_type == {"co-sell": 2, "": 1}


def test_a_company_is_what_its_referrals_say(reader: PostgresReader, sql: Connection) -> None:
    insert(sql, 1)
    insert(sql, 2, status="Closed", referral_type="marketplace")
    company = reader.get_company("fabrikam.com.tr")
    assert company is not None
    assert (company.referral_count, company.open_count, company.co_sell_count) == (2, 1, 1)
    assert reader.get_company("elsewhere.example") is None


def test_what_needs_a_person_is_counted_less_far(database: Database, sql: Connection) -> None:
    sql.execute(
        "INSERT INTO partner_center_referrals (referral_id, status, content_hash, raw_data)"
        " SELECT n::text, 'New', '', '{}' FROM generate_series(1, %s) AS n",
        (ATTENTION_COUNTED_UP_TO + 1,),
    )
    page = PostgresReader(database).list_referrals(ReferralFilter(attention="no_domain"), limit=5)
    assert (page.total, page.total_is_exact, len(page.rows)) == (ATTENTION_COUNTED_UP_TO, False, 5)
