"""The customers' companies: a list, and one by its domain."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from pc_core.reading import Company, CompanyFilter, CompanySort, Text
from pc_core.referral.hosts import readable_domain
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Parameters, Route, Visit
from pc_core.web.query import own_cursor


class CompanyQuery(Parameters, frozen=True, kw_only=True):
    """Which companies.

    Attributes:
        q: words that must all occur in the newest referral; see the list of referrals.
        several: only companies with more than one referral.
        open: only companies with an open referral.
        sort: updated: by the newest change; company: by name.
        limit: how many.
        cursor: `next_cursor` of the page before.
    """

    q: Text | None = None
    several: bool = False
    open: bool = False
    sort: CompanySort = CompanySort()
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2_000)] | None = None


class CompanyParameters(Parameters, frozen=True, kw_only=True):
    """Which company.

    Attributes:
        domain: registrable, as in the referrals.
    """

    domain: Text


class ShownCompany(Company, frozen=True, kw_only=True):
    """A company, with its domain as people write it."""

    domain_readable: str


class Companies(Struct, frozen=True, kw_only=True):
    """A page of companies; `total` is null where too many referrals match to count."""

    companies: list[ShownCompany]
    next_cursor: str | None
    total: int | None


def _list(visit: Visit, query: CompanyQuery) -> HttpAnswer:
    wanted = CompanyFilter(q=query.q, several=query.several, has_open=query.open)
    with own_cursor():
        page = visit.app.reader.list_companies(
            wanted, sort=query.sort, cursor=query.cursor, limit=query.limit
        )
    return respond.json_answer(
        Companies(
            companies=[_shown(company) for company in page.companies],
            next_cursor=page.next_cursor,
            total=page.total,
        )
    )


def _one(visit: Visit, wanted: CompanyParameters) -> HttpAnswer:
    found = visit.app.reader.get_company(wanted.domain.lower())
    if found is None:
        return respond.not_found("That company")
    return respond.json_answer(_shown(found))


def _shown(company: Company) -> ShownCompany:
    return ShownCompany(**asdict(company), domain_readable=readable_domain(company.domain))


LIST = Route(
    path="api/v1/partner-center/companies",
    method="GET",
    who=Role.READER,
    given=CompanyQuery,
    handle=_list,
    operation_id="listCompanies",
    summary="List companies",
    answers={200: Companies},
)

ONE = Route(
    path="api/v1/partner-center/companies/{domain}",
    method="GET",
    who=Role.READER,
    given=CompanyParameters,
    handle=_one,
    operation_id="getCompany",
    summary="Get a company",
    answers={200: ShownCompany, 404: respond.Problem},
)
