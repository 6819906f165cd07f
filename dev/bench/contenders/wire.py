"""Fetching pages as fast as Python can, and the few fields of a referral that have columns.

For the contenders that write the product's own tables without its duties.
"""

from __future__ import annotations

import http.client
import ssl
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from dev.bench.contenders.task import LIST_PATH, Task

OLDEST_FIRST = "createdDateTime asc"
NEWEST_CHANGE_FIRST = "updatedDateTime desc"


class Address(msgspec.Struct, gc=False):
    """Of a customer."""

    city: str | None = None
    country: str | None = None


class Customer(msgspec.Struct, gc=False):
    """A referral's customer."""

    name: str | None = None
    size: str | None = None
    address: Address = msgspec.field(default_factory=Address)
    team: msgspec.Raw = msgspec.Raw(b"[]")


class Details(msgspec.Struct, gc=False, rename="camel"):
    """A referral's deal."""

    deal_value: float | int | None = None
    currency: str | None = None
    closing_date_time: str | None = None


class Wire(msgspec.Struct, gc=False, rename="camel"):
    """A referral, as far as it has columns."""

    id: str
    updated_date_time: str
    created_date_time: str | None = None
    engagement_id: str | None = None
    external_reference_id: str | None = None
    organization_id: str | None = None
    name: str | None = None
    type: str | None = None
    qualification: str | None = None
    direction: str | None = None
    status: str | None = None
    substatus: str | None = None
    status_reason: str | None = None
    registration_status: str | None = None
    sales_stage: str | None = None
    expiration_date_time: str | None = None
    accepted_date_time: str | None = None
    closed_date_time: str | None = None
    e_tag: str | None = None
    customer_profile: Customer = msgspec.field(default_factory=Customer)
    details: Details = msgspec.field(default_factory=Details)
    team: msgspec.Raw = msgspec.Raw(b"[]")


class WirePage(msgspec.Struct, gc=False):
    """An answer of the list call."""

    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)


def bodies(task: Task, order: str) -> Iterator[tuple[list[msgspec.Raw], list[Wire]]]:
    """Every page in the order asked for: the items as they came, and what they mean."""
    address = urlsplit(task.api_url)
    connection = http.client.HTTPSConnection(
        str(address.hostname),
        address.port,
        context=ssl.create_default_context(cafile=task.ca_file),
    )
    read_page = msgspec.json.Decoder(WirePage).decode
    read_item = msgspec.json.Decoder(Wire).decode
    query: str | None = f"$orderby={quote(order)}&$top={task.page_size}"
    while query is not None:
        headers = {
            "Authorization": f"Bearer {task.token}",
            "client-request-id": str(uuid.uuid4()),
        }
        connection.request("GET", f"{LIST_PATH}?{query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"The simulator answered {answer.status}: {body[:200]!r}")
        page = read_page(body)
        yield page.value, [read_item(item) for item in page.value]
        query = None if page.next_link is None else page.next_link.partition("?")[2]
    connection.close()


def pages(task: Task, watermark: str | None) -> Iterator[tuple[list[msgspec.Raw], list[Wire]]]:
    """All pages for a first load, else those with changes that are not older than `watermark`."""
    if watermark is None:
        yield from bodies(task, OLDEST_FIRST)
        return
    for items, wires in bodies(task, NEWEST_CHANGE_FIRST):
        yield items, wires
        if not wires or wires[-1].updated_date_time[:19] < watermark:
            return


def raw(item: Any) -> bytes:
    """An item's own bytes."""
    return bytes(item)
