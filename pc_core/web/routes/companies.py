"""The customers' companies: a list, and one by its domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import BadParameter, Query, own_cursor

if TYPE_CHECKING:
    from pc_core.reading import Company, CompanySort, CompanySortKey, Order

LIMIT = 50
MOST = 200

_SORT_KEYS: dict[str, CompanySortKey] = {"updated": "updated", "company": "company"}
_ORDERS: dict[str, Order] = {"asc": "asc", "desc": "desc"}


def _list(visit: Visit) -> Answer:
    from pc_core.reading import CompanyFilter

    query = Query(visit.request.query)
    limit = query.number("limit", low=1, high=MOST) or LIMIT
    cursor = query.text("cursor", longest=2_000)
    wanted = CompanyFilter(
        q=query.text("q"), several=query.flag("several"), has_open=query.flag("open")
    )
    sort = _sort(query)
    query.end()
    with own_cursor():
        page = visit.app.reader.list_companies(wanted, sort=sort, cursor=cursor, limit=limit)
    return respond.json_answer(
        {
            "companies": [_shown(company) for company in page.companies],
            "next_cursor": page.next_cursor,
            "total": page.total,
        }
    )


def _sort(query: Query) -> CompanySort:
    from pc_core.reading import CompanySort

    wished = query.text("sort") or "updated:desc"
    key, _, order = wished.partition(":")
    if key not in _SORT_KEYS or (order or "desc") not in _ORDERS:
        known = ", ".join(_SORT_KEYS)
        raise BadParameter("sort", f"must be one of {known}, with :asc or :desc behind it")
    return CompanySort(key=_SORT_KEYS[key], order=_ORDERS[order or "desc"])


def _shown(company: Company) -> dict[str, Any]:
    from pc_core.referral.hosts import readable_domain

    return {
        **{name: getattr(company, name) for name in type(company).__dataclass_fields__},
        "domain_readable": readable_domain(company.domain),
    }


def _one(visit: Visit) -> Answer:
    Query(visit.request.query).end()
    wished = Query(visit.request.placeholders).text("domain") or ""
    found = visit.app.reader.get_company(wished.lower())
    return (
        respond.not_found("That company") if found is None else respond.json_answer(_shown(found))
    )


LIST = Route(
    path="api/v1/partner-center/companies",
    method="GET",
    who=Role.READER,
    handle=_list,
    operation={
        "operationId": "listCompanies",
        "summary": "Customers by domain with their referrals counted, page by page",
        "parameters": [
            describe.parameter(
                "q",
                "Words that each begin a word of the newest referral's names, domain, city or ids.",
                describe.TEXT,
            ),
            describe.parameter("several", "Only with more than one referral.", describe.FLAG),
            describe.parameter("open", "Only with an open referral.", describe.FLAG),
            describe.parameter(
                "sort",
                "updated: by the newest change; company: by name; with :asc or :desc behind it.",
                {"type": "string", "default": "updated:desc"},
            ),
            describe.parameter("limit", "How many.", describe.whole(1, MOST, LIMIT)),
            describe.parameter("cursor", "next_cursor of the page before.", describe.TEXT),
        ],
        "responses": {
            "200": describe.answer(
                "A page; total is null where too many referrals match to count", "Companies"
            )
        },
    },
)

ONE = Route(
    path="api/v1/partner-center/companies/{domain}",
    method="GET",
    who=Role.READER,
    handle=_one,
    operation={
        "operationId": "getCompany",
        "summary": "A customer's domain and its referrals, counted",
        "parameters": [describe.placeholder("domain", "Registrable, as in the referrals.")],
        "responses": {
            "200": describe.answer("The company", "Company"),
            "404": describe.problem("No referral has that domain"),
        },
    },
)
