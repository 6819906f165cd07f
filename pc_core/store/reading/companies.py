"""Companies by filter and sort, page by page, as quick at a million referrals as at ten.

A company is a domain; it stands in the list where its newest referral stands. As in `listing`, few
hits are collected and sorted, many are met soon enough by walking the sort's index; then the fifty
of a page alone are looked up in partner_center_companies.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pc_core.reading import Company, CompanyFilter, CompanyPage, CompanySort, CompanySortKey
from pc_core.referral.words import fold, split_words
from pc_core.store.batch import reading
from pc_core.store.pool import Database
from pc_core.store.reading.cursors import read_cursor, write_cursor
from pc_core.store.reading.listing import COUNTED_UP_TO, OPEN, search_values

if TYPE_CHECKING:
    from psycopg import Connection


_SORT_COLUMNS: Final[dict[CompanySortKey, tuple[bytes, bytes]]] = {
    "updated": (b"pc_updated_at", b"timestamptz"),
    "company": (b"company_sort", b"text"),
}

# The view partner_center_companies takes the same one for its newest.
_NEWEST: Final = b" ORDER BY f.pc_updated_at DESC NULLS LAST, f.referral_id LIMIT 1"
_IS_NEWEST: Final = (
    b"n.domain IS NOT NULL AND n.referral_id = (SELECT f.referral_id FROM"
    b" partner_center_referrals f WHERE f.domain = n.domain" + _NEWEST + b")"
)
_REFERRALS: Final = b"partner_center_referrals n"
_MATCHES: Final = b"n.search_words @@ %(q)s::tsquery"


COMPANY_COLUMNS: Final = tuple(Company.__dataclass_fields__)
_COMPANY: Final = b", ".join(b"c." + name.encode() for name in COMPANY_COLUMNS)


class _Place(msgspec.Struct, kw_only=True, array_like=True):
    """Where a listing goes on: the last company's key and newest referral, and the total."""

    key: str | None
    referral_id: str
    total: int | None


# As in referral.py: completed here, where there is only one thread.
msgspec.json.Decoder(_Place)


def get_company(database: Database, domain: str) -> Company | None:
    """What is known of a domain, lower-case ASCII; None without referrals."""
    with reading(database) as connection:
        row = connection.execute(
            b"SELECT " + _COMPANY + b" FROM partner_center_companies c WHERE c.domain = %(domain)s",
            {"domain": domain},
        ).fetchone()
    return _company(row) if row else None


def list_companies(
    database: Database, found: CompanyFilter, sort: CompanySort, cursor: str | None, limit: int
) -> CompanyPage:
    """One page of the companies.

    Raises:
        ForeignCursor: the cursor was not written for this filter and sort.
    """
    listing = ["companies", asdict(found), asdict(sort)]
    place = read_cursor(listing, cursor, _Place) if cursor else None
    values: dict[str, Any] = {"limit": limit + 1, "most": COUNTED_UP_TO + 1}
    if found.q is not None:
        searched = split_words(fold(found.q))
        if not searched:
            return CompanyPage(companies=[], next_cursor=None, total=0)
        values["q"] = search_values(searched)["q"]
    if place is not None:
        values |= {"after": place.key, "after_id": place.referral_id}
    with reading(database) as connection:
        few = place.total is not None if place else _are_few(connection, found, values)
        rows = None
        if few:
            up_to = values["most"] if found.q is not None and place is None else None
            rows = _pick_few(connection, found, values, sort, place, up_to)
        if rows is None:
            few = False
            rows = _pick_many(connection, found, values, sort, place)
    total = place.total if place else (rows[0][0] if rows else 0) if few else None
    next_cursor = None
    if len(rows) > limit:
        rows = rows[:limit]
        last = _Place(key=rows[-1][1], referral_id=rows[-1][2], total=total)
        next_cursor = write_cursor(listing, last)
    return CompanyPage(
        companies=[_company(row[3:]) for row in rows], next_cursor=next_cursor, total=total
    )


def _company(row: tuple[Any, ...]) -> Company:
    return Company(**dict(zip(COMPANY_COLUMNS, row, strict=True)))


def _are_few(connection: Connection[Any], found: CompanyFilter, values: dict[str, Any]) -> bool:
    """Whether the referrals that can bring a company in are quickly collected.

    Of a search that is found out by collecting them.
    """
    if found.q is not None:
        return True
    matching = b"n.domain IS NOT NULL"
    if found.has_open:
        matching += b" AND " + OPEN.replace(b"r.", b"n.")
    row = connection.execute(
        b"SELECT count(*) FROM (SELECT FROM " + _REFERRALS + b" WHERE " + matching
        + b" LIMIT %(most)s) counted",
        values,
    ).fetchone()  # fmt: skip
    return row is not None and row[0] <= COUNTED_UP_TO


def _company_conditions(found: CompanyFilter) -> bytes:
    conditions = b""
    if found.several:
        conditions += (
            b" AND EXISTS (SELECT FROM partner_center_referrals o WHERE o.domain = n.domain"
            b" OFFSET 1)"
        )
    if found.has_open:
        conditions += (
            b" AND EXISTS (SELECT FROM partner_center_referrals r WHERE r.domain = n.domain AND "
            + OPEN + b")"
        )  # fmt: skip
    return conditions


def _pick_few(
    connection: Connection[Any],
    found: CompanyFilter,
    values: dict[str, Any],
    sort: CompanySort,
    place: _Place | None,
    up_to: int | None,
) -> list[tuple[Any, ...]] | None:
    """A page of those that are collected; None: a search has `up_to` hits or more."""
    column, kind = _SORT_COLUMNS[sort.key]
    way, beyond = (b"ASC", b">") if sort.order == "asc" else (b"DESC", b"<")
    order = b"n.sort_key " + way + b" NULLS LAST, n.referral_id " + way
    after = b""
    if place is not None and place.key is None:
        after = b" WHERE n.sort_key IS NULL AND n.referral_id " + beyond + b" %(after_id)s"
    elif place is not None:
        after = (
            b" WHERE (n.sort_key, n.referral_id) " + beyond
            + b" (%(after)s::" + kind + b", %(after_id)s) OR n.sort_key IS NULL"
        )  # fmt: skip
    if found.q is not None:
        hits = (
            b"SELECT n.domain, n.referral_id, n." + column + b" AS sort_key FROM " + _REFERRALS
            + b" WHERE n.domain IS NOT NULL AND " + _MATCHES + b" LIMIT %(up_to)s"
        )  # fmt: skip
        newest = b"SELECT n.* FROM hits n WHERE " + _IS_NEWEST
        if up_to is not None:
            newest += b" AND (SELECT count(*) FROM hits) < %(up_to)s"
    else:
        hits = (
            b"SELECT DISTINCT r.domain FROM partner_center_referrals r WHERE r.domain IS NOT NULL"
            + (b" AND " + OPEN if found.has_open else b"")
        )  # fmt: skip
        newest = (
            b"SELECT n.* FROM hits h CROSS JOIN LATERAL (SELECT f.domain, f.referral_id, f."
            + column + b" AS sort_key FROM partner_center_referrals f WHERE f.domain = h.domain"
            + _NEWEST + b") n WHERE true"
        )  # fmt: skip
        # The hits have open ones already.
        found = replace(found, has_open=False)
    statement = (
        b"WITH hits AS MATERIALIZED (" + hits + b"), newest AS MATERIALIZED ("
        + newest + _company_conditions(found)
        + b"), page AS MATERIALIZED (SELECT n.* FROM newest n" + after
        + b" ORDER BY " + order + b" LIMIT %(limit)s)"
        b" SELECT counted.hits, counted.companies, n.sort_key::text, n.referral_id, " + _COMPANY
        + b" FROM (SELECT (SELECT count(*) FROM hits) AS hits,"
        b" (SELECT count(*) FROM newest) AS companies) counted"
        b" LEFT JOIN (page n JOIN partner_center_companies c ON c.domain = n.domain) ON true"
        b" ORDER BY " + order
    )  # fmt: skip
    rows = connection.execute(statement, values | {"up_to": up_to}).fetchall()
    if up_to is not None and rows[0][0] >= up_to:
        return None
    return [row[1:] for row in rows if row[3] is not None]


def _pick_many(
    connection: Connection[Any],
    found: CompanyFilter,
    values: dict[str, Any],
    sort: CompanySort,
    place: _Place | None,
) -> list[tuple[Any, ...]]:
    column, kind = _SORT_COLUMNS[sort.key]
    way, beyond = (b"ASC", b">") if sort.order == "asc" else (b"DESC", b"<")
    conditions = _IS_NEWEST + _company_conditions(found)
    rows: list[tuple[Any, ...]] = []
    if place is None or place.key is not None:
        with_key = b"n." + column + b" IS NOT NULL"
        if place is not None:
            with_key += (
                b" AND (n." + column + b", n.referral_id) " + beyond
                + b" (%(after)s::" + kind + b", %(after_id)s)"
            )  # fmt: skip
        order = b"n." + column + b" " + way + b", n.referral_id " + way
        if found.q is None:
            source = _REFERRALS + b" WHERE " + with_key + b" AND " + conditions
        else:
            source = (
                b"(SELECT n.* FROM " + _REFERRALS + b" WHERE " + with_key + b" ORDER BY " + order
                + b" LIMIT %(most)s) n WHERE " + _MATCHES + b" AND " + conditions
            )  # fmt: skip
        rows = _walk(connection, source, order, column, values)
    if len(rows) < values["limit"] and found.q is not None:
        # As in `listing`: the hits may stand at the sort's far end.
        return _pick_few(connection, found, values, sort, place, None) or []
    if len(rows) < values["limit"]:
        source = _REFERRALS + b" WHERE n." + column + b" IS NULL AND " + conditions
        if place is not None and place.key is None:
            source += b" AND n.referral_id " + beyond + b" %(after_id)s"
        rest = values | {"limit": values["limit"] - len(rows)}
        rows += _walk(connection, source, b"n.referral_id " + way, column, rest)
    return rows


def _walk(
    connection: Connection[Any],
    source: bytes,
    order: bytes,
    column: bytes,
    values: dict[str, Any],
) -> list[tuple[Any, ...]]:
    statement = (
        b"WITH page AS MATERIALIZED (SELECT n.domain, n.referral_id, n." + column
        + b" FROM " + source + b" ORDER BY " + order + b" LIMIT %(limit)s)"
        b" SELECT NULL, n." + column + b"::text, n.referral_id, " + _COMPANY
        + b" FROM page n JOIN partner_center_companies c ON c.domain = n.domain ORDER BY " + order
    )  # fmt: skip
    return connection.execute(statement, values).fetchall()
