"""A `Referral` in, a `Row` out: every column that depends on the content alone.

The names are those of the table `partner_center_referrals`; `COLUMNS` is their order.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from pc_core.referral import classification, company_domain
from pc_core.referral.classification import classify
from pc_core.referral.company_domain import find_company_domain
from pc_core.referral.hosts import readable_domain
from pc_core.referral.referral import Referral
from pc_core.referral.words import MAX_SORT_CHARS, fold, split_words

_ROW_RULES_VERSION: Final = 1

RULES_VERSION: Final = (
    _ROW_RULES_VERSION + classification.RULES_VERSION + company_domain.RULES_VERSION
)
"""Increases with every change of a rule from Referral to Row, so that stored rows are rebuilt."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The columns of one row of `partner_center_referrals` that depend on the content.

    A PostgreSQL text column can hold every text. `contacts`, `team` and `raw_data` are JSON in
    UTF-8 for jsonb columns, kept as bytes. Instants are aware UTC; `pc_updated_ticks` counts
    100 ns since 1970-01-01 UTC. `search_words` are the words of the free-text search, separated by
    blanks; `company_sort` is the folded company name, for sorting.
    """

    referral_id: str
    engagement_id: str | None
    external_reference_id: str | None
    name: str | None
    category: str
    referral_type: str | None
    classification_rule: str
    type: str | None
    qualification: str | None
    direction: str | None
    status: str | None
    substatus: str | None
    status_reason: str | None
    company_name: str | None
    domain: str | None
    domain_source: str | None
    raw_domain: str | None
    customer_country: str | None
    customer_city: str | None
    customer_size: str | None
    contacts: bytes
    team: bytes
    deal_value: Decimal | None
    currency: str | None
    closing_at: datetime | None
    expires_at: datetime | None
    accepted_at: datetime | None
    closed_at: datetime | None
    pc_created_at: datetime | None
    pc_updated_at: datetime | None
    pc_updated_ticks: int | None
    etag: str | None
    content_hash: bytes
    raw_data: bytes
    organization_id: str | None
    registration_status: str | None
    sales_stage: str | None
    search_words: str
    company_sort: str | None


COLUMNS: Final[tuple[str, ...]] = Row.__struct_fields__

_JSON: Final = msgspec.json.Encoder(decimal_format="number")
_NO_PEOPLE: Final = b"[]"


def build_row(referral: Referral, *, own_domains: frozenset[str]) -> Row:
    """Classify the referral, find the company's domain, and fill the columns.

    Args:
        own_domains: the partner's mail domains, which are never a customer's.
    """
    kind = classify(referral)
    company = find_company_domain(
        emails=referral.contact_emails,
        external_ids=referral.external_ids,
        websites=referral.websites,
        own_domains=own_domains,
    )
    return Row(
        referral_id=referral.referral_id,
        engagement_id=referral.engagement_id,
        external_reference_id=referral.external_reference_id,
        name=referral.name,
        category=kind.category,
        referral_type=kind.referral_type,
        classification_rule=kind.rule,
        type=referral.type,
        qualification=referral.qualification,
        direction=referral.direction,
        status=referral.status,
        substatus=referral.substatus,
        status_reason=referral.status_reason,
        company_name=referral.company_name,
        domain=company.domain,
        domain_source=company.source,
        raw_domain=company.raw_domain,
        customer_country=referral.country,
        customer_city=referral.city,
        customer_size=referral.size,
        contacts=_people(referral.contacts),
        team=_people(referral.team),
        deal_value=referral.deal_value,
        currency=referral.currency,
        closing_at=referral.closing_at,
        expires_at=referral.expires_at,
        accepted_at=referral.accepted_at,
        closed_at=referral.closed_at,
        pc_created_at=referral.created_at,
        pc_updated_at=referral.updated_at,
        pc_updated_ticks=referral.updated_ticks,
        etag=referral.etag,
        content_hash=referral.content_hash,
        raw_data=referral.raw,
        organization_id=referral.organization_id,
        registration_status=referral.registration_status,
        sales_stage=referral.sales_stage,
        search_words=_search_words(referral, company.domain),
        company_sort=_company_sort(referral.company_name),
    )


def _people(members: list[Any]) -> bytes:
    return _JSON.encode(members) if members else _NO_PEOPLE


def _search_words(referral: Referral, domain: str | None) -> str:
    """The words of the free-text search; none of the contacts."""
    readable = readable_domain(domain) if domain is not None else None
    pieces = (
        referral.company_name,
        referral.name,
        domain,
        readable if readable != domain else None,
        referral.referral_id,
        referral.engagement_id,
        referral.external_reference_id,
        referral.city,
    )
    return " ".join(split_words("\n".join([fold(piece) for piece in pieces if piece])))


def _company_sort(name: str | None) -> str | None:
    return None if name is None else fold(name)[:MAX_SORT_CHARS]
