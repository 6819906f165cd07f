"""Referrals by filter and sort, page by page, with a cost that does not grow with the table.

The matches are counted first, up to `COUNTED_UP_TO`. Few matches are collected and sorted. Many
matches are found by reading the sort's index, which fills a page soon. Only the matches of a search
may all lie at the index's far end: if `COUNTED_UP_TO` rows do not fill a page, the matches are
collected after all. So the speed does not depend on the planner's guess.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

import msgspec
from msgspec.structs import asdict, fields

from pc_core.reading import (
    ATTENTION_COUNTED_UP_TO,
    COUNTED_UP_TO,
    Attention,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    Sort,
    SortKey,
)
from pc_core.referral.words import fold, split_words
from pc_core.store.batch import read_only
from pc_core.store.pool import Database
from pc_core.store.reading.cursors import read_cursor, write_cursor
from pc_core.store.reading.keyset import Keyset, Place, place_values

if TYPE_CHECKING:
    from psycopg import Connection

_MIN_BEGINNING: Final = 2
"""Fewest letters for a prefix search; one letter would match half of all referrals."""

OPEN: Final = "r.status IN ('New', 'Active') AND r.missing_since IS NULL"
_EXPIRES: Final = (
    "r.status = 'New' AND r.missing_since IS NULL AND r.expires_at >= %(as_of)s"
    " AND r.expires_at <= %(as_of)s::timestamptz + "
)
"""Only an unanswered referral can still expire. The interval is to be appended."""

# Each has an index, made by 0001 (expires, created) or 0002. Their conditions must stay the same.
_ATTENTION: Final[dict[Attention, LiteralString]] = {
    "expiring": f"{_EXPIRES}interval '3 days'",
    # A referral created long before is not new: the first sync or a wider filter brought it.
    "new": f"{OPEN} AND r.first_seen_at >= %(seen_since)s"
    " AND r.pc_created_at >= %(seen_since)s::timestamptz - interval '14 days'",
    "no_domain": f"r.domain IS NULL AND {OPEN}",
    "incomplete": f"r.referral_type = 'co-sell' AND {OPEN} AND (r.deal_value IS NULL"
    " OR r.currency IS NULL OR r.closing_at IS NULL OR r.company_name IS NULL"
    " OR r.customer_country IS NULL)",
    "won_early": "r.referral_type = 'co-sell' AND r.substatus = 'Won'"
    " AND r.closed_at - r.pc_created_at < interval '72 hours'"
    " AND r.closed_at >= %(as_of)s::timestamptz - interval '30 days'",
}

_SORT_COLUMNS: Final[dict[SortKey, tuple[LiteralString, LiteralString]]] = {
    "updated": ("pc_updated_at", "timestamptz"),
    "created": ("pc_created_at", "timestamptz"),
    "expires": ("expires_at", "timestamptz"),
    "company": ("company_sort", "text"),
    "deal_value": ("deal_value", "numeric"),
    "synced": ("synced_at", "timestamptz"),
}

SUMMARY_COLUMNS: Final = tuple(field.name for field in fields(ReferralSummary))
_SUMMARY: Final = ", ".join(f"r.{name}" for name in SUMMARY_COLUMNS)


class ReferralPlace(Place, kw_only=True, array_like=True):
    """The end of a page, with the total and the instant that the first page used."""

    total: int
    total_is_exact: bool
    as_of: datetime


# msgspec prepares a type when it is first decoded, which is not safe in two threads at once.
msgspec.json.Decoder(ReferralPlace)


def list_referrals(
    database: Database, found: ReferralFilter, sort: Sort, cursor: str | None, limit: int
) -> ReferralPage:
    """One page of a listing.

    Raises:
        ForeignCursor: the cursor was not written for this filter and sort.
    """
    listing = [asdict(found), asdict(sort)]
    place = read_cursor(listing, cursor, ReferralPlace) if cursor else None
    as_of = place.as_of if place else datetime.now(UTC)
    conditions, values = _conditions(found, as_of)
    most = COUNTED_UP_TO if found.attention is None else ATTENTION_COUNTED_UP_TO
    keyed: list[tuple[Any, ...]] = []
    with read_only(database.connection) as connection:
        total = place.total if place else _count(connection, conditions, values, most)
        exact = place.total_is_exact if place else total <= most
        if exact:
            up_to = most + 1 if found.q is not None and place is None else None
            hits, keyed = _pick_few(connection, conditions, values, sort, place, limit + 1, up_to)
            if up_to is not None:
                total, exact = hits, hits <= most
        if not exact:
            keyed = _pick_many(connection, conditions, values, sort, place, limit + 1)
        total = min(total, most)
    rows = [ReferralSummary(**dict(zip(SUMMARY_COLUMNS, row[1:], strict=True))) for row in keyed]
    next_cursor = None
    if len(rows) > limit:
        rows = rows[:limit]
        last = ReferralPlace(
            key=keyed[limit - 1][0],
            referral_id=rows[-1].referral_id,
            total=total,
            total_is_exact=exact,
            as_of=as_of,
        )
        next_cursor = write_cursor(listing, last)
    return ReferralPage(rows=rows, next_cursor=next_cursor, total=total, total_is_exact=exact)


def _conditions(
    found: ReferralFilter, as_of: datetime
) -> tuple[list[LiteralString], dict[str, Any]]:
    conditions: list[LiteralString] = []
    values: dict[str, Any] = {}
    words: tuple[tuple[LiteralString, LiteralString, list[str]], ...] = (
        ("status", "status", _as_spelt(found.status)),
        ("substatus", "substatus", _as_spelt(found.substatus)),
        ("direction", "direction", _as_spelt(found.direction)),
        ("domain", "domain", [word.lower() for word in found.domain]),
        ("country", "customer_country", [word.upper() for word in found.country]),
    )
    for name, column, wanted in words:
        if wanted:
            conditions.append(_is_one_of(column, name, wanted))
            values[name] = wanted if len(wanted) > 1 else wanted[0]
    if found.type:
        types = [word for word in found.type if word != "none"]
        values["type"] = types if len(types) != 1 else types[0]
        either = [_is_one_of("referral_type", "type", types)] if types else []
        if "none" in found.type:
            either.append("r.referral_type IS NULL")
        conditions.append(f"({' OR '.join(either)})")
    if found.q is not None:
        searched = split_words(fold(found.q))
        conditions.append(
            "r.search_words @@ %(q)s::tsquery" if searched else "r.referral_id IS NULL"
        )
        values |= search_values(searched)
    if found.updated_since is not None:
        conditions.append("r.pc_updated_at >= %(updated_since)s")
        values["updated_since"] = found.updated_since
    if found.expiring_within_days is not None:
        conditions.append(f"{_EXPIRES}make_interval(days => %(days)s)")
        values |= {"as_of": as_of, "days": found.expiring_within_days}
    if found.domain_missing:
        conditions.append("r.domain IS NULL")
    if found.missing != "any":
        conditions.append(
            "r.missing_since IS NULL" if found.missing == "no" else "r.missing_since IS NOT NULL"
        )
    if found.attention is not None:
        conditions.append(_ATTENTION[found.attention])
        values |= {"as_of": as_of, "seen_since": found.seen_since or as_of - timedelta(days=1)}
    return conditions, values


def search_values(searched: list[str]) -> dict[str, str]:
    """The tsquery for folded words: `q` with the last one as a prefix, `whole` with whole words."""
    whole = " & ".join(f"'{word}'" for word in searched)
    is_beginning = bool(searched) and len(searched[-1]) >= _MIN_BEGINNING
    return {"q": f"{whole}:*" if is_beginning else whole, "whole": whole}


def _is_one_of(
    column: LiteralString, name: LiteralString, wanted: Collection[str]
) -> LiteralString:
    if len(wanted) == 1:
        return f"r.{column} = %({name})s"
    return f"r.{column} = ANY(%({name})s)"


def _as_spelt(words: Collection[str]) -> list[str]:
    # Partner Center capitalises its values. Anything not in lower case is kept as it is.
    return [word.capitalize() if word.islower() else word for word in words]


def _where(conditions: Collection[LiteralString]) -> LiteralString:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _count(
    connection: Connection[Any], conditions: list[LiteralString], values: dict[str, Any], most: int
) -> int:
    """How many rows match, up to one more than `most`.

    A search counts whole words: a prefix count is slow for common words. The result is then a
    lower bound; up to `most`, the collected rows are counted exactly.
    """
    conditions = [text.replace("%(q)s", "%(whole)s") for text in conditions]
    # Reads the index on expires_at in its order; else the planner collects all new referrals first.
    by_date = any(text.startswith(_EXPIRES) for text in conditions)
    order = " ORDER BY r.expires_at" if by_date else ""
    row = connection.execute(
        "SELECT count(*) FROM (SELECT FROM partner_center_referrals r"
        f"{_where(conditions)}{order} LIMIT %(most)s) counted",
        values | {"most": most + 1},
    ).fetchone()
    return int(row[0]) if row else 0


def _pick_few(
    connection: Connection[Any],
    conditions: list[LiteralString],
    values: dict[str, Any],
    sort: Sort,
    place: Place | None,
    limit: int,
    up_to: int | None,
) -> tuple[int, list[tuple[Any, ...]]]:
    """Collect all matches, then sort them.

    Args:
        up_to: most matches to collect; with more, which ones is left to chance.

    Returns:
        How many were collected, and the rows of the page.
    """
    column, kind = _SORT_COLUMNS[sort.key]
    hits = Keyset(table="h", column="sort_key", kind=kind, order=sort.order)
    after = f" WHERE {hits.after(place)}" if place is not None else ""
    rows = connection.execute(
        f"WITH hits AS MATERIALIZED (SELECT r.referral_id, r.{column} AS sort_key"
        f" FROM partner_center_referrals r{_where(conditions)} LIMIT %(up_to)s),"
        f" page AS (SELECT h.referral_id, h.sort_key FROM hits h{after}"
        f" ORDER BY {hits.order_by} LIMIT %(limit)s)"
        f" SELECT (SELECT count(*) FROM hits), h.sort_key::text, {_SUMMARY}"
        " FROM page h JOIN partner_center_referrals r ON r.referral_id = h.referral_id"
        f" ORDER BY {hits.order_by}",
        values | place_values(place) | {"limit": limit, "up_to": up_to},
    ).fetchall()
    return (rows[0][0] if rows else 0), [row[1:] for row in rows]


def _pick_many(
    connection: Connection[Any],
    conditions: list[LiteralString],
    values: dict[str, Any],
    sort: Sort,
    place: Place | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    """Read the sort's index until the page is full."""
    column, kind = _SORT_COLUMNS[sort.key]
    keyset = Keyset(table="r", column=column, kind=kind, order=sort.order)
    values = values | place_values(place)
    select: LiteralString = f"SELECT r.{column}::text, {_SUMMARY} FROM "
    rows: list[tuple[Any, ...]] = []
    with_value = keyset.with_value(place)
    if with_value is not None:
        source: LiteralString
        if "q" in values:
            source = (
                f"(SELECT * FROM partner_center_referrals r WHERE {with_value}"
                f" ORDER BY {keyset.order_by_value} LIMIT %(walked)s) r{_where(conditions)}"
            )
        else:
            source = f"partner_center_referrals r{_where([*conditions, with_value])}"
        rows = connection.execute(
            f"{select}{source} ORDER BY {keyset.order_by_value} LIMIT %(limit)s",
            values | {"limit": limit, "walked": COUNTED_UP_TO},
        ).fetchall()
    if len(rows) < limit and "q" in values:
        return _pick_few(connection, conditions, values, sort, place, limit, None)[1]
    if len(rows) < limit:
        without_value = _where([*conditions, keyset.without_value(place)])
        rows += connection.execute(
            f"{select}partner_center_referrals r{without_value}"
            f" ORDER BY {keyset.order_by_id} LIMIT %(limit)s",
            values | {"limit": limit - len(rows)},
        ).fetchall()
    return rows
