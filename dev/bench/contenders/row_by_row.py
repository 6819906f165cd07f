"""The script that is written first: requests, json, one upsert per row.

It commits once per page, the kinder of the two usual forms; a commit per row waits for the disk
for every row.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import psycopg
import requests

from dev.bench.contenders.floor import COLUMNS, NOT_IN_WORDS, WATERMARK
from dev.bench.contenders.task import LIST_PATH, Task
from dev.bench.stopwatch import Stopwatch

_UPSERT = f"""
INSERT INTO partner_center_referrals ({", ".join(COLUMNS)})
VALUES ({", ".join(["%s"] * len(COLUMNS))})
ON CONFLICT (referral_id) DO UPDATE
SET {", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS[1:])}, synced_at = now()
"""  # noqa: S608 - the names above


def _values(referral: dict[str, Any], now: str) -> tuple[Any, ...]:
    customer = referral.get("customerProfile") or {}
    address = customer.get("address") or {}
    details = referral.get("details") or {}
    company, name, referral_id = customer.get("name"), referral.get("name"), referral["id"]
    people = customer.get("team") or [{}]
    domain = (people[0].get("email") or "").partition("@")[2] or None
    words = f"{company} {name} {domain} {referral_id} {referral.get('engagementId')}".lower()
    text = json.dumps(referral)
    return (
        referral_id,
        referral.get("engagementId"),
        referral.get("externalReferenceId"),
        referral.get("organizationId"),
        name,
        *("co_sell_opportunity", "co-sell", "co_sell_type"),
        *(referral.get(key) for key in ("type", "qualification", "direction", "status")),
        *(referral.get(key) for key in ("substatus", "statusReason", "registrationStatus")),
        referral.get("salesStage"),
        *(company, domain, "contact_email", domain),
        *(address.get("country"), address.get("city"), customer.get("size")),
        json.dumps(customer.get("team") or []),
        json.dumps(referral.get("team") or []),
        *(details.get(key) for key in ("dealValue", "currency", "closingDateTime")),
        *(referral.get(key) for key in ("expirationDateTime", "acceptedDateTime")),
        *(referral.get(key) for key in ("closedDateTime", "createdDateTime", "updatedDateTime")),
        0,
        referral.get("eTag"),
        uuid.uuid5(uuid.NAMESPACE_URL, text).bytes,
        text,
        words.translate(NOT_IN_WORDS),
        *(company, now),
    )


def main() -> None:
    """Do the task."""
    task = Task.read()
    stopwatch = Stopwatch()
    session = requests.Session()
    session.verify = task.ca_file
    session.headers["Authorization"] = f"Bearer {task.token}"
    with psycopg.connect(task.database_url) as connection:
        found = connection.execute(WATERMARK).fetchone()
        watermark = None if task.first or found is None else found[0]
        stamped = connection.execute("SELECT now()::text").fetchone()
        now = stamped[0] if stamped else ""
        connection.commit()
        order = "createdDateTime asc" if watermark is None else "updatedDateTime desc"
        parameters = {"$orderby": order, "$top": str(task.page_size)}
        answer = session.get(
            task.api_url + LIST_PATH,
            params=parameters,
            headers={"client-request-id": str(uuid.uuid4())},
            timeout=60,
        )
        while True:
            answer.raise_for_status()
            page = answer.json()
            for referral in page["value"]:
                connection.execute(_UPSERT, _values(referral, now))
            connection.commit()
            link = page.get("@odata.nextLink")
            is_old = watermark is not None and (
                not page["value"] or page["value"][-1]["updatedDateTime"][:19] < watermark
            )
            if link is None or is_old:
                break
            answer = session.get(link, headers={"client-request-id": str(uuid.uuid4())}, timeout=60)
    stopwatch.write(Path(task.measures))


if __name__ == "__main__":
    main()
