"""Referrals by filter and sort, page by page, as quick at a million rows as at ten.

The filter is counted first, up to `COUNTED_UP_TO`. Few matches are collected and sorted; many are
met soon enough by walking the sort's index. Only those of a search may all stand at its far end:
after so many rows without a page of them, they are collected all the same. Nothing depends on the
planner guessing right.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pc_core.reading import Attention, ReferralFilter, ReferralPage, ReferralSummary, Sort, SortKey
from pc_core.referral.words import fold, split_words
from pc_core.store.batch import reading
from pc_core.store.pool import Database
from pc_core.store.reading.cursors import read_cursor, write_cursor

if TYPE_CHECKING:
    from psycopg import Connection

COUNTED_UP_TO: Final = 10_000
"""Totals are exact up to here; beyond, only that there are more is known."""

ATTENTION_COUNTED_UP_TO: Final = 1_000
"""The same for what needs a person: nobody works through more by hand, and the page asks for five
such counts with every visit."""

_MIN_BEGINNING: Final = 2
"""Shortest beginning of a word that is searched for; one letter would find half of everything."""


OPEN: Final = b"r.status IN ('New', 'Active') AND r.missing_since IS NULL"
_EXPIRES: Final = (
    b"r.status = 'New' AND r.missing_since IS NULL AND r.expires_at >= %(as_of)s"
    b" AND r.expires_at <= %(as_of)s::timestamptz + "
)
"""Only an unanswered referral can still expire; how soon follows."""
# Each has its index: 0001 (expires, created) or 0002 with these very words.
_ATTENTION: Final[dict[Attention, bytes]] = {
    "expiring": _EXPIRES + b"interval '3 days'",
    # What was created long before was not new: a first sync or another filter brought it.
    "new": OPEN + b" AND r.first_seen_at >= %(seen_since)s"
    b" AND r.pc_created_at >= %(seen_since)s::timestamptz - interval '14 days'",
    "no_domain": b"r.domain IS NULL AND " + OPEN,
    "incomplete": b"r.referral_type = 'co-sell' AND " + OPEN + b" AND (r.deal_value IS NULL"
    b" OR r.currency IS NULL OR r.closing_at IS NULL OR r.company_name IS NULL"
    b" OR r.customer_country IS NULL)",
    "won_early": b"r.referral_type = 'co-sell' AND r.substatus = 'Won'"
    b" AND r.closed_at - r.pc_created_at < interval '72 hours'"
    b" AND r.closed_at >= %(as_of)s::timestamptz - interval '30 days'",
}

_SORT_COLUMNS: Final[dict[SortKey, tuple[bytes, bytes]]] = {
    "updated": (b"pc_updated_at", b"timestamptz"),
    "created": (b"pc_created_at", b"timestamptz"),
    "expires": (b"expires_at", b"timestamptz"),
    "company": (b"company_sort", b"text"),
    "deal_value": (b"deal_value", b"numeric"),
    "synced": (b"synced_at", b"timestamptz"),
}


SUMMARY_COLUMNS: Final = tuple(field.name for field in fields(ReferralSummary))
_SUMMARY: Final = b", ".join(b"r." + name.encode() for name in SUMMARY_COLUMNS)


class _Place(msgspec.Struct, kw_only=True, array_like=True):
    """Where a listing goes on: the last row's key and id, and what the first page found out."""

    key: str | None
    referral_id: str
    total: int
    total_is_exact: bool
    as_of: datetime


# As in referral.py: completed here, where there is only one thread.
msgspec.json.Decoder(_Place)


def list_referrals(
    database: Database, found: ReferralFilter, sort: Sort, cursor: str | None, limit: int
) -> ReferralPage:
    """One page of a listing.

    Raises:
        ForeignCursor: the cursor was not written for this filter and sort.
    """
    listing = [asdict(found), asdict(sort)]
    place = read_cursor(listing, cursor, _Place) if cursor else None
    as_of = place.as_of if place else datetime.now(UTC)
    conditions, values = _conditions(found, as_of)
    most = COUNTED_UP_TO if found.attention is None else ATTENTION_COUNTED_UP_TO
    keyed: list[tuple[Any, ...]] = []
    with reading(database) as connection:
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
        last = _Place(
            key=keyed[limit - 1][0],
            referral_id=rows[-1].referral_id,
            total=total,
            total_is_exact=exact,
            as_of=as_of,
        )
        next_cursor = write_cursor(listing, last)
    return ReferralPage(rows=rows, next_cursor=next_cursor, total=total, total_is_exact=exact)


def _conditions(found: ReferralFilter, as_of: datetime) -> tuple[list[bytes], dict[str, Any]]:
    conditions: list[bytes] = []
    values: dict[str, Any] = {}
    words = (
        ("status", b"status", _as_spelt(found.status)),
        ("substatus", b"substatus", _as_spelt(found.substatus)),
        ("direction", b"direction", _as_spelt(found.direction)),
        ("domain", b"domain", [word.lower() for word in found.domain]),
        ("country", b"customer_country", [word.upper() for word in found.country]),
    )
    for name, column, wanted in words:
        if wanted:
            conditions.append(_is_one_of(column, name.encode(), wanted))
            values[name] = wanted if len(wanted) > 1 else wanted[0]
    if found.type:
        types = [word for word in found.type if word != "none"]
        values["type"] = types if len(types) != 1 else types[0]
        either = [_is_one_of(b"referral_type", b"type", types)] if types else []
        if "none" in found.type:
            either.append(b"r.referral_type IS NULL")
        conditions.append(b"(" + b" OR ".join(either) + b")")
    if found.q is not None:
        searched = split_words(fold(found.q))
        conditions.append(
            b"r.search_words @@ %(q)s::tsquery" if searched else b"r.referral_id IS NULL"
        )
        values |= search_values(searched)
    if found.updated_since is not None:
        conditions.append(b"r.pc_updated_at >= %(updated_since)s")
        values["updated_since"] = found.updated_since
    if found.expiring_within_days is not None:
        conditions.append(_EXPIRES + b"make_interval(days => %(days)s)")
        values |= {"as_of": as_of, "days": found.expiring_within_days}
    if found.domain_missing:
        conditions.append(b"r.domain IS NULL")
    if found.missing != "any":
        conditions.append(
            b"r.missing_since IS NULL" if found.missing == "no" else b"r.missing_since IS NOT NULL"
        )
    if found.attention is not None:
        conditions.append(_ATTENTION[found.attention])
        values |= {"as_of": as_of, "seen_since": found.seen_since or as_of - timedelta(days=1)}
    return conditions, values


def search_values(searched: list[str]) -> dict[str, str]:
    """`q`: the search for these folded words, the last one by its beginning; `whole`: as a word."""
    whole = " & ".join(f"'{word}'" for word in searched)
    is_beginning = bool(searched) and len(searched[-1]) >= _MIN_BEGINNING
    return {"q": f"{whole}:*" if is_beginning else whole, "whole": whole}


def _is_one_of(column: bytes, name: bytes, wanted: Collection[str]) -> bytes:
    if len(wanted) == 1:
        return b"r." + column + b" = %(" + name + b")s"
    return b"r." + column + b" = ANY(%(" + name + b")s)"


def _as_spelt(words: Collection[str]) -> list[str]:
    # Partner Center writes its values with a capital; an unknown one is taken as given.
    return [word.capitalize() if word.islower() else word for word in words]


def _where(conditions: Collection[bytes]) -> bytes:
    return b" WHERE " + b" AND ".join(conditions) if conditions else b""


def _count(
    connection: Connection[Any], conditions: list[bytes], values: dict[str, Any], most: int
) -> int:
    """How many match, up to one more than `most`; of a search, as whole words only.

    These are counted in a fraction of the time that beginnings take, where a word is so common that
    counting takes any, and what they find is found by its beginning too. Where they are few, what
    is collected is counted.
    """
    conditions = [text.replace(b"%(q)s", b"%(whole)s") for text in conditions]
    # What expires is met in the order of its date; else the planner collects all that is new first.
    by_date = any(text.startswith(_EXPIRES) for text in conditions)
    order = b" ORDER BY r.expires_at" if by_date else b""
    statement = (
        b"SELECT count(*) FROM (SELECT FROM partner_center_referrals r"
        + _where(conditions)
        + order
        + b" LIMIT %(most)s) counted"
    )
    row = connection.execute(statement, values | {"most": most + 1}).fetchone()
    return int(row[0]) if row else 0


def _pick_few(
    connection: Connection[Any],
    conditions: list[bytes],
    values: dict[str, Any],
    sort: Sort,
    place: _Place | None,
    limit: int,
    up_to: int | None,
) -> tuple[int, list[tuple[Any, ...]]]:
    """How many were collected, and the rows of the page; of more than `up_to` any so many."""
    column, kind = _SORT_COLUMNS[sort.key]
    way, beyond = (b"ASC", b">") if sort.order == "asc" else (b"DESC", b"<")
    order = b"h.sort_key " + way + b" NULLS LAST, h.referral_id " + way
    after = b""
    if place is not None and place.key is None:
        after = b" WHERE h.sort_key IS NULL AND h.referral_id " + beyond + b" %(after_id)s"
    elif place is not None:
        after = (
            b" WHERE (h.sort_key, h.referral_id) " + beyond
            + b" (%(after)s::" + kind + b", %(after_id)s) OR h.sort_key IS NULL"
        )  # fmt: skip
    statement = (
        b"WITH hits AS MATERIALIZED (SELECT r.referral_id, r." + column
        + b" AS sort_key FROM partner_center_referrals r" + _where(conditions)
        + b" LIMIT %(up_to)s),"
        b" page AS (SELECT h.referral_id, h.sort_key FROM hits h" + after
        + b" ORDER BY " + order + b" LIMIT %(limit)s)"
        b" SELECT (SELECT count(*) FROM hits), h.sort_key::text, " + _SUMMARY
        + b" FROM page h JOIN partner_center_referrals r ON r.referral_id = h.referral_id"
        b" ORDER BY " + order
    )  # fmt: skip
    values = values | _after(place) | {"limit": limit, "up_to": up_to}
    rows = connection.execute(statement, values).fetchall()
    return (rows[0][0] if rows else 0), [row[1:] for row in rows]


def _pick_many(
    connection: Connection[Any],
    conditions: list[bytes],
    values: dict[str, Any],
    sort: Sort,
    place: _Place | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    column, kind = _SORT_COLUMNS[sort.key]
    way, beyond = (b"ASC", b">") if sort.order == "asc" else (b"DESC", b"<")
    values = values | _after(place)
    rows: list[tuple[Any, ...]] = []
    select = b"SELECT r." + column + b"::text, " + _SUMMARY + b" FROM "
    order = b" ORDER BY r." + column + b" " + way + b", r.referral_id " + way + b" LIMIT "
    if place is None or place.key is not None:
        with_value = [b"r." + column + b" IS NOT NULL"]
        if place is not None:
            with_value.append(
                b"(r." + column + b", r.referral_id) " + beyond
                + b" (%(after)s::" + kind + b", %(after_id)s)"
            )  # fmt: skip
        if "q" in values:
            walked = (
                b"(SELECT * FROM partner_center_referrals r" + _where(with_value)
                + order + b"%(walked)s) r" + _where(conditions)
            )  # fmt: skip
        else:
            walked = b"partner_center_referrals r" + _where([*conditions, *with_value])
        rows = connection.execute(
            select + walked + order + b"%(limit)s",
            values | {"limit": limit, "walked": COUNTED_UP_TO},
        ).fetchall()
    if len(rows) < limit and "q" in values:
        return _pick_few(connection, conditions, values, sort, place, limit, None)[1]
    if len(rows) < limit:
        without = [*conditions, b"r." + column + b" IS NULL"]
        if place is not None and place.key is None:
            without.append(b"r.referral_id " + beyond + b" %(after_id)s")
        statement = (
            select + b"partner_center_referrals r" + _where(without)
            + b" ORDER BY r.referral_id " + way + b" LIMIT %(limit)s"
        )  # fmt: skip
        rows += connection.execute(statement, values | {"limit": limit - len(rows)}).fetchall()
    return rows


def _after(place: _Place | None) -> dict[str, Any]:
    return {} if place is None else {"after": place.key, "after_id": place.referral_id}
