"""The floor: fetch, parse, one COPY into a temporary table, one upsert, one commit.

It writes the same columns and indexes with the same durability, sequentially and without any of
the product's duties: nothing is checked, classified, folded, compared or recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from dev.bench.contenders.task import Task
from dev.bench.contenders.wire import Wire, pages, raw
from dev.bench.stopwatch import Stopwatch

COLUMNS = (
    *("referral_id", "engagement_id", "external_reference_id", "organization_id", "name"),
    *("category", "referral_type", "classification_rule", "type", "qualification", "direction"),
    *("status", "substatus", "status_reason", "registration_status", "sales_stage"),
    *("company_name", "domain", "domain_source", "raw_domain", "customer_country"),
    *("customer_city", "customer_size", "contacts", "team", "deal_value", "currency"),
    *("closing_at", "expires_at", "accepted_at", "closed_at", "pc_created_at", "pc_updated_at"),
    *("pc_updated_ticks", "etag", "content_hash", "raw_data", "search_words", "company_sort"),
    "first_seen_at",
)
_LIST = ", ".join(COLUMNS)
_MAKE = f"""
CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS
SELECT {_LIST} FROM partner_center_referrals WITH NO DATA
"""  # noqa: S608 - the names above
_COPY = f"COPY incoming ({_LIST}) FROM STDIN"
_UPSERT = f"""
INSERT INTO partner_center_referrals AS r ({_LIST})
SELECT {_LIST} FROM incoming
ON CONFLICT (referral_id) DO UPDATE
SET {", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS[1:])}, synced_at = now()
WHERE r.content_hash <> EXCLUDED.content_hash
"""  # noqa: S608 - the names above
DOMAIN = re.compile(rb'"email":"[^"@]*@([^"]+)"')
NOT_IN_WORDS = str.maketrans(dict.fromkeys("'\\:", " "))
WATERMARK = """
SELECT to_char(max(pc_updated_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
FROM partner_center_referrals
"""


def values(item: bytes, wire: Wire, now: str) -> tuple[Any, ...]:
    """A row in the order of `COLUMNS`.

    Where a rule of the product would decide, something of the same size stands: the floor pays
    for writing a column and its index, not for finding its value.
    """
    customer, details = wire.customer_profile, wire.details
    company = customer.name
    team = raw(customer.team)
    address = DOMAIN.search(team)
    domain = address[1].decode() if address else None
    words = f"{company} {wire.name} {domain} {wire.id} {wire.engagement_id}".lower()
    return (
        wire.id,
        wire.engagement_id,
        wire.external_reference_id,
        wire.organization_id,
        wire.name,
        "co_sell_opportunity",
        "co-sell",
        "co_sell_type",
        wire.type,
        wire.qualification,
        wire.direction,
        wire.status,
        wire.substatus,
        wire.status_reason,
        wire.registration_status,
        wire.sales_stage,
        company,
        domain,
        "contact_email",
        domain,
        customer.address.country,
        customer.address.city,
        customer.size,
        team.decode(),
        raw(wire.team).decode(),
        details.deal_value,
        details.currency,
        details.closing_date_time,
        wire.expiration_date_time,
        wire.accepted_date_time,
        wire.closed_date_time,
        wire.created_date_time,
        wire.updated_date_time,
        0,
        wire.e_tag,
        "\\x" + sha256(item).hexdigest()[:32],
        item.decode(),
        words.translate(NOT_IN_WORDS),
        company,
        now,
    )


def _rows(task: Task, watermark: str | None, now: str) -> Iterator[tuple[Any, ...]]:
    for items, wires in pages(task, watermark):
        for item, wire in zip(items, wires, strict=True):
            yield values(raw(item), wire, now)


def main() -> None:
    """Do the task."""
    task = Task.read()
    stopwatch = Stopwatch()
    with psycopg.connect(task.database_url) as connection:
        watermark = None
        if not task.first:
            row = connection.execute(WATERMARK).fetchone()
            watermark = row[0] if row else None
        found = connection.execute("SELECT now()::text").fetchone()
        now = found[0] if found else ""
        connection.execute(_MAKE)
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for values_of_row in _rows(task, watermark, now):
                copy.write_row(values_of_row)
        connection.execute(_UPSERT)
    stopwatch.write(Path(task.measures))


if __name__ == "__main__":
    main()
