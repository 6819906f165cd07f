"""Companies by filter and sort, page by page, with a cost that does not grow with the table.

A company is a domain; its place in the sort is that of its newest referral. As in `listing`, few
matches are collected and sorted, and many are found by reading the sort's index. Only the companies
of the page are then looked up in the view partner_center_companies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

import msgspec
from msgspec.structs import asdict, fields, replace

from pc_core.reading import (
    COUNTED_UP_TO,
    Company,
    CompanyFilter,
    CompanyPage,
    CompanySort,
    CompanySortKey,
)
from pc_core.referral.words import fold, split_words
from pc_core.store.batch import read_only
from pc_core.store.pool import Database
from pc_core.store.reading.cursors import read_cursor, write_cursor
from pc_core.store.reading.keyset import Keyset, Place, place_values
from pc_core.store.reading.listing import OPEN, search_values

if TYPE_CHECKING:
    from psycopg import Connection

_SORT_COLUMNS: Final[dict[CompanySortKey, tuple[LiteralString, LiteralString]]] = {
    "updated": ("pc_updated_at", "timestamptz"),
    "company": ("company_sort", "text"),
}

# The view partner_center_companies chooses the newest referral in the same way.
_NEWEST: Final = "ORDER BY f.pc_updated_at DESC NULLS LAST, f.referral_id LIMIT 1"
_IS_NEWEST: Final = (
    "n.domain IS NOT NULL AND n.referral_id = (SELECT f.referral_id"
    f" FROM partner_center_referrals f WHERE f.domain = n.domain {_NEWEST})"
)
_MATCHES: Final = "n.search_words @@ %(q)s::tsquery"

COMPANY_COLUMNS: Final = tuple(field.name for field in fields(Company))
_COMPANY: Final = ", ".join(f"c.{name}" for name in COMPANY_COLUMNS)


class CompanyPlace(Place, kw_only=True, array_like=True):
    """The end of a page of companies: its last company's newest referral, and the total."""

    total: int | None


# msgspec prepares a type when it is first decoded, which is not safe in two threads at once.
msgspec.json.Decoder(CompanyPlace)


def get_company(database: Database, domain: str) -> Company | None:
    """The company of a domain, lower-case ASCII; None without referrals."""
    with read_only(database.connection) as connection:
        row = connection.execute(
            f"SELECT {_COMPANY} FROM partner_center_companies c WHERE c.domain = %(domain)s",
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
    place = read_cursor(listing, cursor, CompanyPlace) if cursor else None
    values: dict[str, Any] = {"limit": limit + 1, "most": COUNTED_UP_TO + 1} | place_values(place)
    if found.q is not None:
        searched = split_words(fold(found.q))
        if not searched:
            return CompanyPage(companies=[], next_cursor=None, total=0)
        values["q"] = search_values(searched)["q"]
    with read_only(database.connection) as connection:
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
        last = CompanyPlace(key=rows[-1][1], referral_id=rows[-1][2], total=total)
        next_cursor = write_cursor(listing, last)
    return CompanyPage(
        companies=[_company(row[3:]) for row in rows], next_cursor=next_cursor, total=total
    )


def _company(row: tuple[Any, ...]) -> Company:
    return Company(**dict(zip(COMPANY_COLUMNS, row, strict=True)))


def _are_few(connection: Connection[Any], found: CompanyFilter, values: dict[str, Any]) -> bool:
    """Whether the referrals that decide which companies match can be collected quickly.

    For a search, only collecting them tells.
    """
    if found.q is not None:
        return True
    is_open = f" AND {OPEN.replace('r.', 'n.')}" if found.has_open else ""
    row = connection.execute(
        "SELECT count(*) FROM (SELECT FROM partner_center_referrals n"
        f" WHERE n.domain IS NOT NULL{is_open} LIMIT %(most)s) counted",
        values,
    ).fetchone()
    return row is not None and row[0] <= COUNTED_UP_TO


def _company_conditions(found: CompanyFilter) -> LiteralString:
    conditions: LiteralString = ""
    if found.several:
        conditions += (
            " AND EXISTS (SELECT FROM partner_center_referrals o"
            " WHERE o.domain = n.domain OFFSET 1)"
        )
    if found.has_open:
        conditions += (
            " AND EXISTS (SELECT FROM partner_center_referrals r WHERE r.domain = n.domain"
            f" AND {OPEN})"
        )
    return conditions


def _pick_few(
    connection: Connection[Any],
    found: CompanyFilter,
    values: dict[str, Any],
    sort: CompanySort,
    place: Place | None,
    up_to: int | None,
) -> list[tuple[Any, ...]] | None:
    """Collect all companies, then sort them; None: a search has `up_to` hits or more."""
    column, kind = _SORT_COLUMNS[sort.key]
    keyset = Keyset(table="n", column="sort_key", kind=kind, order=sort.order)
    after = f" WHERE {keyset.after(place)}" if place is not None else ""
    hits: LiteralString
    newest: LiteralString
    if found.q is not None:
        hits = (
            f"SELECT n.domain, n.referral_id, n.{column} AS sort_key"
            " FROM partner_center_referrals n"
            f" WHERE n.domain IS NOT NULL AND {_MATCHES} LIMIT %(up_to)s"
        )
        newest = f"SELECT n.* FROM hits n WHERE {_IS_NEWEST}"
        if up_to is not None:
            newest += " AND (SELECT count(*) FROM hits) < %(up_to)s"
    else:
        is_open = f" AND {OPEN}" if found.has_open else ""
        hits = (
            "SELECT DISTINCT r.domain FROM partner_center_referrals r"
            f" WHERE r.domain IS NOT NULL{is_open}"
        )
        newest = (
            "SELECT n.* FROM hits h CROSS JOIN LATERAL (SELECT f.domain, f.referral_id,"
            f" f.{column} AS sort_key FROM partner_center_referrals f WHERE f.domain = h.domain"
            f" {_NEWEST}) n WHERE true"
        )
        # The hits have open referrals already.
        found = replace(found, has_open=False)
    rows = connection.execute(
        f"WITH hits AS MATERIALIZED ({hits}),"
        f" newest AS MATERIALIZED ({newest}{_company_conditions(found)}),"
        f" page AS MATERIALIZED (SELECT n.* FROM newest n{after}"
        f" ORDER BY {keyset.order_by} LIMIT %(limit)s)"
        f" SELECT counted.hits, counted.companies, n.sort_key::text, n.referral_id, {_COMPANY}"
        " FROM (SELECT (SELECT count(*) FROM hits) AS hits,"
        " (SELECT count(*) FROM newest) AS companies) counted"
        " LEFT JOIN (page n JOIN partner_center_companies c ON c.domain = n.domain) ON true"
        f" ORDER BY {keyset.order_by}",
        values | {"up_to": up_to},
    ).fetchall()
    if up_to is not None and rows[0][0] >= up_to:
        return None
    return [row[1:] for row in rows if row[3] is not None]


def _pick_many(
    connection: Connection[Any],
    found: CompanyFilter,
    values: dict[str, Any],
    sort: CompanySort,
    place: Place | None,
) -> list[tuple[Any, ...]]:
    """Read the sort's index until the page is full."""
    column, kind = _SORT_COLUMNS[sort.key]
    keyset = Keyset(table="n", column=column, kind=kind, order=sort.order)
    conditions = f"{_IS_NEWEST}{_company_conditions(found)}"
    rows: list[tuple[Any, ...]] = []
    with_value = keyset.with_value(place)
    if with_value is not None:
        order_by = keyset.order_by_value
        source: LiteralString
        if found.q is None:
            source = f"partner_center_referrals n WHERE {with_value} AND {conditions}"
        else:
            source = (
                f"(SELECT n.* FROM partner_center_referrals n WHERE {with_value}"
                f" ORDER BY {order_by} LIMIT %(most)s) n WHERE {_MATCHES} AND {conditions}"
            )
        rows = _read_in_order(connection, source, order_by, column, values)
    if len(rows) < values["limit"] and found.q is not None:
        # As in `listing`: the hits may lie at the index's far end.
        return _pick_few(connection, found, values, sort, place, None) or []
    if len(rows) < values["limit"]:
        source = f"partner_center_referrals n WHERE {keyset.without_value(place)} AND {conditions}"
        rest = values | {"limit": values["limit"] - len(rows)}
        rows += _read_in_order(connection, source, keyset.order_by_id, column, rest)
    return rows


def _read_in_order(
    connection: Connection[Any],
    source: LiteralString,
    order_by: LiteralString,
    column: LiteralString,
    values: dict[str, Any],
) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"WITH page AS MATERIALIZED (SELECT n.domain, n.referral_id, n.{column}"
        f" FROM {source} ORDER BY {order_by} LIMIT %(limit)s)"
        f" SELECT NULL, n.{column}::text, n.referral_id, {_COMPANY}"
        f" FROM page n JOIN partner_center_companies c ON c.domain = n.domain ORDER BY {order_by}",
        values,
    ).fetchall()
