"""The views and queries of other systems and of the runbook."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.store.samples import Saver, referral_json

type Connection = psycopg.Connection[Any]


def of_company(number: int, company: str, **changes: Any) -> bytes:
    domain = f"{company.lower()}.com.tr"
    profile = {"name": company, "team": [{"email": f"x@{domain}"}]}
    return referral_json(number, customerProfile=profile, **changes)


@pytest.fixture
def companies(saver: Saver) -> None:
    saver.save(
        of_company(1, "Acme", updatedDateTime="2026-05-02T00:00:00Z"),
        of_company(2, "ACME", status="New", details={"dealValue": 1.5, "currency": "USD"}),
        of_company(3, "Acme", details={"dealValue": 100, "currency": "EUR"}),
        of_company(4, "Acme", status="Closed", details={"dealValue": 1e6, "currency": "EUR"}),
        of_company(5, "Acme", details={"dealValue": 7, "currency": None}),
        of_company(6, "Zeta", details={}),
        referral_json(7, customerProfile={"name": "Nobody"}),
    )


@pytest.mark.usefixtures("companies")
def test_the_runbooks_queries_work_verbatim(sql: Connection) -> None:
    count = sql.execute("SELECT COUNT(*) FROM partner_center_referrals;").fetchall()
    latest = sql.execute(
        "SELECT referral_id, referral_type, company_name, domain, status, synced_at"
        " FROM partner_center_referrals ORDER BY synced_at DESC LIMIT 5;"
    ).fetchall()

    assert count == [(7,)]
    assert len(latest) == 5
    assert {row[3] for row in latest} <= {"acme.com.tr", "zeta.com.tr", None}


@pytest.mark.usefixtures("companies")
def test_companies_have_one_row_per_domain(sql: Connection) -> None:
    rows = sql.execute(
        "SELECT domain, company_name, referral_count, co_sell_count, marketplace_count,"
        " solution_provider_count, other_count, open_count, open_value"
        " FROM partner_center_companies ORDER BY domain"
    ).fetchall()

    assert rows == [
        (
            "acme.com.tr",
            "ACME",
            5,
            0,
            0,
            0,
            5,
            4,
            {"": 7, "EUR": 100, "USD": pytest.approx(48502.25)},
        ),
        ("zeta.com.tr", "Zeta", 1, 0, 0, 0, 1, 1, {}),
    ]


@pytest.mark.usefixtures("companies")
def test_a_missing_referral_is_not_open(sql: Connection) -> None:
    sql.execute("UPDATE partner_center_referrals SET missing_since = now() WHERE domain LIKE 'z%'")

    assert sql.execute(
        "SELECT open_count FROM partner_center_companies WHERE domain = 'zeta.com.tr'"
    ).fetchall() == [(0,)]
    assert sql.execute("SELECT count(*) FROM partner_center_open_referrals").fetchone() == (5,)


def test_open_referrals_tell_the_days_to_their_expiry(saver: Saver, sql: Connection) -> None:
    now = datetime.now(UTC)
    ages = [timedelta(days=2, hours=1), timedelta(hours=3), timedelta(hours=-3), None]
    saver.save(
        *(
            referral_json(number, expirationDateTime=age and (now + age).isoformat())
            for number, age in enumerate(ages)
        ),
        referral_json(9, status="Closed"),
    )

    rows = sql.execute(
        "SELECT days_to_expiry, is_partner_center_referral, referral_status"
        " FROM partner_center_open_referrals ORDER BY referral_id"
    ).fetchall()

    assert rows == [(days, True, "active") for days in (2, 0, -1, None)]
