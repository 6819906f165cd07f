"""Listings: every filter, every sort, and pages that add up to one sorted list."""

from collections.abc import Callable, Iterator
from copy import replace
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pc_core.reading import (
    SORT_KEYS,
    ForeignCursor,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    Sort,
)
from pc_core.referral.words import fold
from pc_core.store.pool import Database
from pc_core.store.reading import listing
from pc_core.store.reading.reader import PostgresReader
from tests.store.samples import NOW, Saver, referral_id, referral_json

type Connection = psycopg.Connection[Any]

ASC_AND_DESC = ("asc", "desc")
COPY_SEARCHABLE = (
    "COPY partner_center_referrals (referral_id, company_sort, search_words, content_hash,"
    " raw_data) FROM STDIN"
)


@pytest.fixture
def reader(database: Database) -> PostgresReader:
    return PostgresReader(database)


def read_all(
    reader: PostgresReader, found: ReferralFilter, sort: Sort, limit: int
) -> Iterator[ReferralPage]:
    cursor = None
    while True:
        page = reader.list_referrals(found, sort=sort, cursor=cursor, limit=limit)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The columns that the property test varies."""

    pc_updated_at: datetime | None
    pc_created_at: datetime | None
    expires_at: datetime | None
    company_name: str | None
    deal_value: Decimal | None
    status: str | None


FEW_INSTANTS = st.none() | st.integers(0, 3).map(lambda hours: NOW + timedelta(hours=hours))
SAMPLES = st.builds(
    Sample,
    pc_updated_at=FEW_INSTANTS,
    pc_created_at=FEW_INSTANTS,
    expires_at=FEW_INSTANTS,
    company_name=st.none() | st.sampled_from(["Acme", "acme", "Örnek", "İzmir", "izmir", "Zeta"]),
    deal_value=st.none() | st.sampled_from([Decimal("0.1"), Decimal("0.10"), Decimal(5)]),
    status=st.sampled_from(["New", "Active", None]),
)


def insert(sql: Connection, samples: list[Sample]) -> None:
    sql.execute("DELETE FROM partner_center_referrals")
    with sql.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO partner_center_referrals (referral_id, pc_updated_at, pc_created_at,"
            " expires_at, company_name, company_sort, deal_value, status, synced_at,"
            " content_hash, raw_data)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, '', '{}')",
            [
                (
                    referral_id(number),
                    row.pc_updated_at,
                    row.pc_created_at,
                    row.expires_at,
                    row.company_name,
                    row.company_name and fold(row.company_name),
                    row.deal_value,
                    row.status,
                    NOW + timedelta(hours=number % 3),
                )
                for number, row in enumerate(samples)
            ],
        )


KEYS: dict[str, Callable[[ReferralSummary], Any]] = {
    "updated": lambda row: row.pc_updated_at,
    "created": lambda row: row.pc_created_at,
    "expires": lambda row: row.expires_at,
    "company": lambda row: row.company_name and fold(row.company_name),
    "deal_value": lambda row: row.deal_value,
    "synced": lambda row: row.synced_at,
}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    samples=st.lists(SAMPLES, max_size=12),
    limit=st.integers(1, 5),
    status=st.sampled_from([(), ("Active",), ("Active", "New")]),
    few=st.booleans(),
)
def test_pages_add_up_to_one_sorted_list(
    reader: PostgresReader,
    sql: Connection,
    samples: list[Sample],
    limit: int,
    status: tuple[str, ...],
    few: bool,
) -> None:
    """Under every sort, values first and the id between equals, in both ways of picking."""
    insert(sql, samples)
    found = ReferralFilter(status=status)
    expected = sorted(
        referral_id(number)
        for number, row in enumerate(samples)
        if not status or row.status in status
    )
    for key in SORT_KEYS:
        for order in ASC_AND_DESC:
            sort = Sort(key=key, order="asc" if order == "asc" else "desc")
            pages = list(read_pages(reader, found, sort, limit, few=few))
            rows = [row for page in pages for row in page]

            of_row = KEYS[key]
            filled = [row for row in rows if of_row(row) is not None]
            empty = [row for row in rows if of_row(row) is None]
            assert rows == filled + empty
            reverse = order == "desc"
            assert filled == sorted(
                filled, key=lambda row: (of_row(row), row.referral_id), reverse=reverse
            )
            assert empty == sorted(empty, key=lambda row: row.referral_id, reverse=reverse)
            assert sorted(row.referral_id for row in rows) == expected
            assert all(len(page) == limit for page in pages[:-1])


def read_pages(
    reader: PostgresReader, found: ReferralFilter, sort: Sort, limit: int, *, few: bool
) -> Iterator[list[ReferralSummary]]:
    if few:
        for page in read_all(reader, found, sort, limit):
            yield page.rows
        return
    # As if there were too many matches to collect: reads the index.
    with reader._database.connection() as connection:
        conditions, values = listing._conditions(found, NOW)
        place = None
        while True:
            keyed = listing._pick_many(connection, conditions, values, sort, place, limit)
            names = listing.SUMMARY_COLUMNS
            rows = [ReferralSummary(**dict(zip(names, row[1:], strict=True))) for row in keyed]
            yield rows
            if len(rows) < limit:
                return
            place = listing.ReferralPlace(
                key=keyed[-1][0],
                referral_id=rows[-1].referral_id,
                total=0,
                total_is_exact=False,
                as_of=NOW,
            )


@pytest.fixture
def stored(saver: Saver, sql: Connection) -> None:
    """Eight referrals, each of which a filter of its own finds."""
    person = {"team": [{"email": "x@acme-gida.com.tr"}]}
    saver.save(
        referral_json(0),
        referral_json(1, status="New", substatus="Pending"),
        referral_json(2, direction="Outgoing", status="Closed", substatus="Won"),
        referral_json(3, customerProfile={"name": "IŞIL Gıda A.Ş."} | person),
        referral_json(4, updatedDateTime="2026-11-01T00:00:00Z"),
        referral_json(5, expirationDateTime="2027-01-01T00:00:00Z"),
        referral_json(
            6,
            type="Independent",
            qualification="Direct",
            inviteContext={"invitedBy": {"organizationId": "msft"}},
            customerProfile={"name": "Kunde", "address": {"country": "DE"}},
        ),
        referral_json(7),
    )
    sql.execute(
        "UPDATE partner_center_referrals SET missing_since = now() WHERE referral_id = %s",
        [referral_id(7)],
    )
    sql.execute(
        "UPDATE partner_center_referrals SET expires_at = now() + interval '2 days'"
        " WHERE expires_at IS NOT NULL"
    )
    sql.execute(
        "UPDATE partner_center_referrals SET expires_at = now() - interval '1 day'"
        " WHERE referral_id = %s",
        [referral_id(0)],
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ReferralFilter(), {0, 1, 2, 3, 4, 5, 6, 7}),
        (ReferralFilter(type=("marketplace",)), {6}),
        (ReferralFilter(type=("none",)), {0, 1, 2, 3, 4, 5, 7}),
        (ReferralFilter(type=("none", "marketplace", "co-sell"), status=("New",)), {1}),
        (ReferralFilter(status=("new",)), {1}),
        (ReferralFilter(status=("New", "Closed")), {1, 2}),
        (ReferralFilter(substatus=("Won",)), {2}),
        (ReferralFilter(direction=("outgoing",)), {2}),
        (ReferralFilter(domain=("Acme-Gida.com.tr",)), {3}),
        (ReferralFilter(country=("de",)), {6}),
        (ReferralFilter(q="işil"), {3}),
        (ReferralFilter(q="isi gida"), set()),
        (ReferralFilter(q="gida isi"), {3}),
        (ReferralFilter(q="gida i"), set()),
        (ReferralFilter(q="d"), set()),
        (ReferralFilter(q="acme-gida.com"), {3}),
        (ReferralFilter(q="sil"), set()),
        (ReferralFilter(q="--"), set()),
        (ReferralFilter(q="'x' | !y:*"), set()),
        (ReferralFilter(q=referral_id(4)), {4}),
        (ReferralFilter(updated_since=datetime(2026, 10, 1, tzinfo=UTC)), {4}),
        # 5 has a date, but was answered.
        (ReferralFilter(expiring_within_days=3), set()),
        (ReferralFilter(domain_missing=True), {6}),
        (ReferralFilter(missing="only"), {7}),
        (ReferralFilter(missing="no", country=("TR",), direction=("Incoming",)), {0, 1, 4, 5}),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("stored")
def test_a_filter_finds_what_it_says(
    reader: PostgresReader, found: ReferralFilter, expected: set[int]
) -> None:
    page = reader.list_referrals(found)

    assert {row.referral_id for row in page.rows} == {referral_id(n) for n in expected}
    assert (page.total, page.total_is_exact) == (len(expected), True)
    assert page.next_cursor is None


@pytest.mark.usefixtures("stored")
def test_a_cursor_fits_its_own_filter_and_sort_alone(reader: PostgresReader) -> None:
    found, sort = ReferralFilter(status=("Active",)), Sort(key="company")
    cursor = reader.list_referrals(found, sort=sort, limit=2).next_cursor
    assert cursor is not None

    others = [
        (replace(found, q="x"), sort, cursor),
        (found, Sort(key="company", order="asc"), cursor),
        (found, Sort(key="synced"), cursor),
        (found, sort, cursor[:-3]),
        (found, sort, "nonsense"),
        (found, sort, "çok yanlış"),
    ]
    for other, other_sort, text in others:
        with pytest.raises(ForeignCursor):
            reader.list_referrals(other, sort=other_sort, cursor=text)
    assert len(reader.list_referrals(found, sort=sort, cursor=cursor).rows) == 4


@pytest.mark.usefixtures("stored")
def test_the_total_is_that_of_the_first_page(reader: PostgresReader, saver: Saver) -> None:
    found = ReferralFilter(status=("Active",))
    first = reader.list_referrals(found, limit=2)
    saver.save(referral_json(50))

    second = reader.list_referrals(found, limit=2, cursor=first.next_cursor)

    assert (first.total, second.total) == (6, 6)


def test_more_than_ten_thousand_are_no_longer_counted(
    reader: PostgresReader, sql: Connection
) -> None:
    sql.execute(
        "INSERT INTO partner_center_referrals (referral_id, status, content_hash, raw_data,"
        " pc_updated_at)"
        " SELECT n::text, 'Active', '', '{}', now() - make_interval(secs => n / 2)"
        " FROM generate_series(1, 10001) AS n"
    )

    page = reader.list_referrals(ReferralFilter(status=("Active",)), limit=3)
    second = reader.list_referrals(
        ReferralFilter(status=("Active",)), limit=3, cursor=page.next_cursor
    )

    assert (page.total, page.total_is_exact) == (10_000, False)
    assert [row.referral_id for row in page.rows + second.rows] == ["1", "3", "2", "5", "4", "7"]


@pytest.mark.parametrize("order", ASC_AND_DESC)
@pytest.mark.parametrize("limit", [3, 10_001])
def test_many_hits_of_a_search_are_found_at_the_far_end_of_the_sort_too(
    reader: PostgresReader, sql: Connection, order: Literal["asc", "desc"], limit: int
) -> None:
    names = ["acme"] * 10_002 + ["zeta"] * 10_002 + [None] * 3
    rows = [
        (f"{number:05}", name, "acme" if name == "acme" else "zetalar")
        for number, name in enumerate(names)
    ]
    with sql.cursor() as cursor, cursor.copy(COPY_SEARCHABLE) as copy:
        for referral, name, words in rows:
            copy.write_row((referral, name, words, "", "{}"))
    hits = [referral for referral, name, words in rows if words == "zetalar"]
    named, nameless = hits[:-3], hits[-3:]
    expected = named + nameless if order == "asc" else named[::-1] + nameless[::-1]

    pages = read_all(reader, ReferralFilter(q="zeta"), Sort(key="company", order=order), limit)
    first, second = next(pages), next(pages)

    assert (first.total, first.total_is_exact) == (10_000, False)
    shown = [row.referral_id for row in first.rows + second.rows]
    assert shown == expected[: 2 * limit]
    assert (second.next_cursor is None) == (limit == 10_001)


@pytest.mark.usefixtures("stored")
def test_one_referral_comes_with_people_and_history(reader: PostgresReader, saver: Saver) -> None:
    saver.save(referral_json(1, status="Closed", substatus="Lost", details={"dealValue": 7}))

    detail = reader.get_referral(referral_id(1))

    assert detail is not None
    assert detail.summary.deal_value == 7
    assert detail.contacts == [{"firstName": "Deniz", "email": "deniz@fabrikam-1.com.tr"}]
    assert [(change.field, change.before, change.after) for change in detail.changes] == [
        ("currency", "USD", None),
        ("deal_value", 48500.75, 7),
        ("substatus", "Pending", "Lost"),
        ("status", "New", "Closed"),
    ]
    assert detail.raw_data["status"] == "Closed"
    assert reader.get_referral("unknown") is None
