"""The stored referrals: list, export, detail. People appear in the detail alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import BadParameter, Query, own_cursor

if TYPE_CHECKING:
    from pc_core.reading import (
        Attention,
        Missing,
        Order,
        ReferralFilter,
        ReferralPage,
        ReferralSummary,
        Sort,
        SortKey,
    )
    from pc_core.web.routes.table_csv import Separator

LIMIT = 50
MOST = 200
ROWS_PER_PART = 5_000
"""Of an export: some 3 MB, built in memory, far below what an answer may be."""

_TYPES = ("co-sell", "marketplace", "solution-provider", "none")
_SORT_KEYS: dict[str, SortKey] = {
    "updated": "updated",
    "created": "created",
    "expires": "expires",
    "company": "company",
    "deal_value": "deal_value",
    "synced": "synced",
}
_ORDERS: dict[str, Order] = {"asc": "asc", "desc": "desc"}
_MISSING: dict[str, Missing] = {"any": "any", "no": "no", "only": "only"}
_SEPARATORS: dict[str, Separator] = {"comma": "comma", "semicolon": "semicolon"}
_ATTENTION: dict[str, Attention] = {
    "expiring": "expiring",
    "new": "new",
    "no_domain": "no_domain",
    "incomplete": "incomplete",
    "won_early": "won_early",
}
SHOWN_OF_EACH = 5
"""Of each kind of attention: enough to begin with, the list has the rest."""

CSV_COLUMNS = (
    "referral_id",
    "engagement_id",
    "external_reference_id",
    "referral_type",
    "category",
    "type",
    "qualification",
    "direction",
    "status",
    "substatus",
    "company_name",
    "domain",
    "customer_country",
    "customer_city",
    "customer_size",
    "name",
    "deal_value",
    "currency",
    "closing_at",
    "expires_at",
    "accepted_at",
    "closed_at",
    "pc_created_at",
    "pc_updated_at",
    "first_seen_at",
    "synced_at",
    "missing_since",
)


def _list(visit: Visit) -> Answer:
    query = Query(visit.request.query)
    file_format = query.choice("format", ("json", "csv"), default="json")
    separator = _SEPARATORS[query.choice("separator", _SEPARATORS, default="comma")]
    most, usual = (ROWS_PER_PART, ROWS_PER_PART) if file_format == "csv" else (MOST, LIMIT)
    limit = query.number("limit", low=1, high=most) or usual
    cursor = query.text("cursor", longest=2_000)
    wanted, sort = _filter(query), _sort(query)
    query.end()
    with own_cursor():
        page = visit.app.reader.list_referrals(wanted, sort=sort, cursor=cursor, limit=limit)
    if file_format == "csv":
        return _as_csv(visit, page, is_first=cursor is None, separator=separator)
    now = datetime.now(UTC)
    return respond.json_answer(
        {
            "referrals": [_shown(row, now) for row in page.rows],
            "next_cursor": page.next_cursor,
            "total": page.total,
            "total_is_exact": page.total_is_exact,
        }
    )


def _filter(query: Query) -> ReferralFilter:
    from pc_core.reading import ReferralFilter

    return ReferralFilter(
        type=query.choices("type", _TYPES),
        status=query.words("status"),
        substatus=query.words("substatus"),
        direction=query.words("direction"),
        domain=query.words("domain"),
        country=query.words("country"),
        q=query.text("q"),
        updated_since=query.instant("updated_since"),
        expiring_within_days=query.number("expiring_within_days", low=0, high=3_650),
        domain_missing=query.flag("domain_missing"),
        missing=_MISSING[query.choice("missing", _MISSING, default="any")],
        attention=_attention(query),
        seen_since=query.instant("seen_since"),
    )


def _attention(query: Query) -> Attention | None:
    wished = query.choice("attention", {*_ATTENTION, "any"}, default="any")
    return _ATTENTION.get(wished)


def _sort(query: Query) -> Sort:
    from pc_core.reading import Sort

    wished = query.text("sort") or "updated:desc"
    key, _, order = wished.partition(":")
    if key not in _SORT_KEYS or (order or "desc") not in _ORDERS:
        known = ", ".join(_SORT_KEYS)
        raise BadParameter("sort", f"must be one of {known}, with :asc or :desc behind it")
    return Sort(key=_SORT_KEYS[key], order=_ORDERS[order or "desc"])


def _shown(row: ReferralSummary, now: datetime) -> dict[str, Any]:
    from pc_core.referral.hosts import readable_domain

    return {
        **{name: getattr(row, name) for name in type(row).__dataclass_fields__},
        "domain_readable": readable_domain(row.domain) if row.domain else None,
        "days_to_expiry": (row.expires_at - now).days if row.expires_at else None,
    }


def _as_csv(visit: Visit, page: ReferralPage, *, is_first: bool, separator: Separator) -> Answer:
    from pc_core.web.routes import table_csv

    rows = ([getattr(row, name) for name in CSV_COLUMNS] for row in page.rows)
    headers = {"X-Row-Count": str(len(page.rows))}
    if page.next_cursor is not None:
        following = urlencode({**visit.request.query, "cursor": page.next_cursor})
        headers["Link"] = f'</{LIST.path}?{following}>; rel="next"'
    return respond.csv_answer(
        table_csv.table(CSV_COLUMNS, rows, with_head=is_first, separator=separator),
        file_name=f"partner-center-referrals-{datetime.now(UTC):%Y-%m-%d}.csv",
        headers=headers,
    )


def _detail(visit: Visit) -> Answer:
    from pc_core.reading import MAX_CHANGES
    from pc_core.web.routes.deal_details import deal_details

    query = Query(visit.request.query)
    include_raw = query.flag("include_raw")
    query.end()
    wished = Query(visit.request.placeholders).text("referral_id", longest=200) or ""
    reader = visit.app.reader
    # GUIDs are stored in lower case; any other id as it came.
    found = reader.get_referral(wished.lower())
    if found is None and wished != wished.lower():
        found = reader.get_referral(wished)
    if found is None:
        return respond.not_found("That referral")
    answer: dict[str, Any] = {
        "referral": {
            **_shown(found.summary, datetime.now(UTC)),
            "contacts": found.contacts,
            "team": found.team,
        },
        "details": deal_details(found.raw_data),
        "history": found.changes,
        "history_is_complete": len(found.changes) < MAX_CHANGES,
    }
    if include_raw:
        answer["raw_data"] = found.raw_data
    return respond.json_answer(answer)


def _needs_attention(visit: Visit) -> Answer:
    from pc_core.reading import ReferralFilter

    query = Query(visit.request.query)
    seen_since = query.instant("seen_since")
    query.end()
    now = datetime.now(UTC)
    kinds = []
    for kind in _ATTENTION.values():
        page = visit.app.reader.list_referrals(
            ReferralFilter(attention=kind, seen_since=seen_since),
            sort=_most_urgent_first(kind),
            limit=SHOWN_OF_EACH,
        )
        kinds.append(
            {
                "kind": kind,
                "total": page.total,
                "total_is_exact": page.total_is_exact,
                "referrals": [_shown(row, now) for row in page.rows],
            }
        )
    return respond.json_answer({"kinds": kinds})


def _most_urgent_first(kind: Attention) -> Sort:
    from pc_core.reading import Sort

    return Sort(key="expires", order="asc") if kind == "expiring" else Sort()


def _statistics(visit: Visit) -> Answer:
    Query(visit.request.query).end()
    return respond.json_answer(visit.app.reader.statistics(datetime.now(UTC)))


LIST = Route(
    path="api/v1/partner-center/referrals",
    method="GET",
    who=Role.READER,
    handle=_list,
    operation={
        "operationId": "listReferrals",
        "summary": "Referrals by filter and sort, page by page",
        "parameters": [
            describe.parameter("type", f"Of: {', '.join(_TYPES)}. Comma list.", describe.TEXT),
            describe.parameter("status", "New, Active, Closed. Comma list.", describe.TEXT),
            describe.parameter("substatus", "Comma list.", describe.TEXT),
            describe.parameter("direction", "Incoming, Outgoing. Comma list.", describe.TEXT),
            describe.parameter("domain", "The customer's. Comma list.", describe.TEXT),
            describe.parameter("country", "As stored, usually two letters.", describe.TEXT),
            describe.parameter(
                "q",
                "Words that each begin a word of the names, domain, city or ids; case, accents "
                "and the Turkish i's do not matter.",
                describe.TEXT,
            ),
            describe.parameter(
                "updated_since", "A date, or a time with its offset.", describe.TEXT
            ),
            describe.parameter(
                "expiring_within_days",
                "Unanswered, and expires so soon.",
                describe.whole(0, 3_650),
            ),
            describe.parameter(
                "attention",
                "What needs a person: expiring (unanswered, within 3 days), new (open, first seen "
                "since seen_since), no_domain, incomplete (an open co-sell deal without value, "
                "currency, closing date, company or country), won_early (within 72 hours of "
                "creation: deal registration may be rejected).",
                {"enum": [*_ATTENTION, "any"], "default": "any"},
            ),
            describe.parameter(
                "seen_since", "For attention=new; a day ago if not given.", describe.TEXT
            ),
            describe.parameter("domain_missing", "Only those without one.", describe.FLAG),
            describe.parameter(
                "missing",
                "Whether those that Partner Center no longer knows are shown.",
                {"enum": list(_MISSING), "default": "any"},
            ),
            describe.parameter(
                "sort",
                f"One of {', '.join(_SORT_KEYS)}, with :asc or :desc behind it.",
                {"type": "string", "default": "updated:desc"},
            ),
            describe.parameter("limit", "How many.", describe.whole(1, MOST, LIMIT)),
            describe.parameter("cursor", "next_cursor of the page before.", describe.TEXT),
            describe.parameter(
                "format",
                f"csv: a table in parts of up to {ROWS_PER_PART} rows; the Link header leads to "
                "the next part.",
                {"enum": ["json", "csv"], "default": "json"},
            ),
            describe.parameter(
                "separator",
                "Between a csv's cells; semicolon comes with decimal commas.",
                {"enum": list(_SEPARATORS), "default": "comma"},
            ),
        ],
        "responses": {
            "200": {
                "description": "A page",
                "headers": {
                    "Link": {
                        "description": 'With format=csv: the next part, rel="next".',
                        "schema": {"type": "string"},
                    }
                },
                "content": {
                    "application/json": {"schema": describe.reference("Referrals")},
                    "text/csv": {"schema": {"type": "string"}},
                },
            }
        },
    },
)

DETAIL = Route(
    path="api/v1/partner-center/referrals/{referral_id}",
    method="GET",
    who=Role.READER,
    handle=_detail,
    operation={
        "operationId": "getReferral",
        "summary": "One referral with its people and its history",
        "parameters": [
            describe.placeholder("referral_id", "Partner Center's id."),
            describe.parameter(
                "include_raw", "With what Partner Center sent, as it is.", describe.FLAG
            ),
        ],
        "responses": {
            "200": describe.answer("The referral", "Referral"),
            "404": describe.problem("Not stored here"),
        },
    },
)

ATTENTION = Route(
    path="api/v1/partner-center/attention",
    method="GET",
    who=Role.READER,
    handle=_needs_attention,
    operation={
        "operationId": "listAttention",
        "summary": "What needs a person today, by kind, with the first referrals of each",
        "parameters": [
            describe.parameter(
                "seen_since",
                "Since when an open referral counts as new; a day ago if not given.",
                describe.TEXT,
            )
        ],
        "responses": {"200": describe.answer("Each kind, also those without any", "Attention")},
    },
)

STATISTICS = Route(
    path="api/v1/partner-center/statistics",
    method="GET",
    who=Role.READER,
    handle=_statistics,
    operation={
        "operationId": "countReferrals",
        "summary": "Referrals by type and week of creation, and by country",
        "responses": {"200": describe.answer("Counts", "Statistics")},
    },
)
