"""Companies: every filter and sort, and pages that add up to one list, however many there are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_core.reading import (
    COMPANY_SORT_KEYS,
    COUNTED_UP_TO,
    Company,
    CompanyFilter,
    CompanySort,
    ForeignCursor,
)
from pc_core.referral.words import fold
from pc_core.store.pool import Database
from pc_core.store.reading import companies
from pc_core.store.reading.reader import PostgresReader
from tests.store.samples import NOW, referral_id

type Connection = psycopg.Connection[Any]


@pytest.fixture
def reader(database: Database) -> PostgresReader:
    return PostgresReader(database)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The columns that matter here."""

    domain: str | None = "acme.example"
    company_name: str | None = "Acme"
    pc_updated_at: datetime | None = NOW
    status: str | None = "Active"
    deal_value: Decimal | None = None
    missing_since: datetime | None = None


SAMPLES = st.builds(
    Sample,
    domain=st.none() | st.sampled_from(["acme.example", "zeta.example", "ornek.example"]),
    company_name=st.none() | st.sampled_from(["Acme", "Örnek", "Zeta"]),
    pc_updated_at=st.none()
    | st.integers(0, 3).map(lambda hours: NOW + timedelta(hours=hours)),
    status=st.sampled_from(["New", "Active", "Closed", None]),
    deal_value=st.none() | st.sampled_from([Decimal("0.5"), Decimal(5)]),
    missing_since=st.none() | st.just(NOW),
)  # fmt: skip


def insert(sql: Connection, samples: list[Sample]) -> None:
    sql.execute("DELETE FROM partner_center_referrals")
    with sql.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO partner_center_referrals (referral_id, domain, company_name,"
            " company_sort, search_words, pc_updated_at, status, deal_value, currency,"
            " missing_since, content_hash, raw_data)"
            " VALUES (%s, %s, %s, %s, array_to_tsvector(%s::text[]), %s, %s, %s, 'EUR', %s, '',"
            " '{}')",
            [
                (
                    referral_id(number),
                    row.domain,
                    row.company_name,
                    row.company_name and fold(row.company_name),
                    [fold(row.company_name)] if row.company_name else [],
                    row.pc_updated_at,
                    row.status,
                    row.deal_value,
                    row.missing_since,
                )
                for number, row in enumerate(samples)
            ],
        )


def expected(samples: list[Sample], found: CompanyFilter) -> dict[str, tuple[str, Sample, int]]:
    """By domain: the newest referral's id and row, and how many there are."""
    by_domain: dict[str, list[tuple[str, Sample]]] = {}
    for number, row in enumerate(samples):
        if row.domain:
            by_domain.setdefault(row.domain, []).append((referral_id(number), row))
    shown = {}
    for domain, rows in by_domain.items():
        open_ones = [
            row for _, row in rows if row.status in ("New", "Active") and not row.missing_since
        ]
        newest = min(
            rows,
            key=lambda one: (
                one[1].pc_updated_at is None,
                -(one[1].pc_updated_at or NOW).timestamp(),
                one[0],
            ),
        )
        if found.several and len(rows) < 2:
            continue
        if found.has_open and not open_ones:
            continue
        if found.q and not fold(newest[1].company_name or "").startswith(fold(found.q)):
            continue
        shown[domain] = (*newest, len(rows))
    return shown


def read_pages(
    reader: PostgresReader, found: CompanyFilter, sort: CompanySort, limit: int, *, few: bool
) -> Iterator[list[Company]]:
    cursor = None
    if few:
        while True:
            page = reader.list_companies(found, sort=sort, cursor=cursor, limit=limit)
            yield page.companies
            cursor = page.next_cursor
            if cursor is None:
                return
    # As if there were too many referrals to collect: reads the index.
    values: dict[str, Any] = {"limit": limit, "most": COUNTED_UP_TO + 1}
    if found.q is not None:
        values["q"] = f"'{fold(found.q)}':*"
    place = None
    with reader._database.connection() as connection:
        while True:
            rows = companies._pick_many(connection, found, values, sort, place)
            yield [companies._company(row[3:]) for row in rows]
            if len(rows) < limit:
                return
            place = companies.CompanyPlace(key=rows[-1][1], referral_id=rows[-1][2], total=None)
            values |= {"after": place.key, "after_id": place.referral_id}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    samples=st.lists(SAMPLES, max_size=12),
    limit=st.integers(1, 3),
    few=st.booleans(),
    found=st.builds(
        CompanyFilter,
        q=st.sampled_from([None, "Acme", "ör"]),
        several=st.booleans(),
        has_open=st.booleans(),
    ),
)
def test_pages_add_up_to_one_sorted_list(
    reader: PostgresReader,
    sql: Connection,
    samples: list[Sample],
    limit: int,
    few: bool,
    found: CompanyFilter,
) -> None:
    insert(sql, samples)
    wanted = expected(samples, found)
    for key in COMPANY_SORT_KEYS:
        for order in ("asc", "desc"):
            sort = CompanySort(key=key, order="asc" if order == "asc" else "desc")
            pages = list(read_pages(reader, found, sort, limit, few=few))
            shown = [company for page in pages for company in page]

            def place(domain: str, by: str = key) -> tuple[Any, str]:
                row_id, row, _ = wanted[domain]
                name = row.company_name and fold(row.company_name)
                return (row.pc_updated_at if by == "updated" else name), row_id

            filled = [domain for domain in wanted if place(domain)[0] is not None]
            empty = [domain for domain in wanted if place(domain)[0] is None]
            filled.sort(key=place, reverse=order == "desc")
            empty.sort(key=lambda domain: wanted[domain][0], reverse=order == "desc")
            assert [company.domain for company in shown] == filled + empty
            for company in shown:
                assert company.referral_count == wanted[company.domain][2]
    assert reader.list_companies(found, limit=1).total == len(wanted)


def test_a_company_tells_its_counts_and_open_value(reader: PostgresReader, sql: Connection) -> None:
    insert(
        sql,
        [
            Sample(deal_value=Decimal("1.5")),
            Sample(deal_value=Decimal(2), status="New"),
            Sample(deal_value=Decimal(9), status="Closed"),
            Sample(deal_value=Decimal(9), missing_since=NOW),
        ],
    )
    [company] = reader.list_companies().companies
    assert (company.referral_count, company.open_count, company.other_count) == (4, 2, 4)
    assert company.open_value == {"EUR": 3.5}
    assert company == reader.get_company("acme.example")


def test_a_cursor_belongs_to_its_filter_and_sort(reader: PostgresReader, sql: Connection) -> None:
    insert(sql, [Sample(), Sample(domain="zeta.example")])
    cursor = reader.list_companies(limit=1).next_cursor
    assert cursor is not None
    assert len(reader.list_companies(limit=1, cursor=cursor).companies) == 1
    with pytest.raises(ForeignCursor):
        reader.list_companies(CompanyFilter(several=True), cursor=cursor)
    with pytest.raises(ForeignCursor):
        reader.list_companies(sort=CompanySort(key="company"), cursor=cursor)
    with pytest.raises(ForeignCursor):
        reader.list_referrals(cursor=cursor)


def test_many_referrals_are_not_counted_by_company(reader: PostgresReader, sql: Connection) -> None:
    rows = COUNTED_UP_TO + 2
    sql.execute(
        "INSERT INTO partner_center_referrals (referral_id, domain, status, content_hash,"
        " raw_data, pc_updated_at) SELECT n::text, n %% 5000 || '.example',"
        " CASE WHEN n %% 2 = 0 THEN 'New' ELSE 'Closed' END, '', '{}',"
        " now() - n * interval '1 minute' FROM generate_series(1, %s) AS n",
        (rows,),
    )
    everything = reader.list_companies(limit=50)
    assert (everything.total, len(everything.companies)) == (None, 50)
    following = reader.list_companies(limit=50, cursor=everything.next_cursor)
    seen = {company.domain for company in everything.companies + following.companies}
    assert len(seen) == 100
    opened = reader.list_companies(CompanyFilter(has_open=True), limit=1)
    assert opened.total == 2_500
    assert reader.list_companies(CompanyFilter(q="?!")).total == 0


def test_many_hits_of_a_search_are_found_at_the_far_end_of_the_sort_too(
    reader: PostgresReader, sql: Connection
) -> None:
    """The hits are the older half, two to a company."""
    rows = 2 * (COUNTED_UP_TO + 2)
    sql.execute(
        "INSERT INTO partner_center_referrals (referral_id, domain, search_words, content_hash,"
        " raw_data, pc_updated_at)"
        " SELECT to_char(n, 'FM00000'), to_char((n + 1) / 2, 'FM00000') || '.example',"
        " array_to_tsvector(ARRAY[CASE WHEN n > %(rows)s / 2 THEN 'zeta' ELSE 'acme' END]), '',"
        " '{}', now() - n * interval '1 minute' FROM generate_series(1, %(rows)s) AS n",
        {"rows": rows},
    )

    first = reader.list_companies(CompanyFilter(q="zet"), limit=3)
    second = reader.list_companies(CompanyFilter(q="zet"), limit=3, cursor=first.next_cursor)

    shown = [company.domain for company in first.companies + second.companies]
    assert shown == [f"{rows // 4 + place:05}.example" for place in range(1, 7)]
    assert (first.total, first.companies[0].referral_count) == (None, 2)
