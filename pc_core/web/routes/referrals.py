"""The stored referrals: list, export, detail. Only the detail shows people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from pc_core.reading import (
    ATTENTION,
    MAX_CHANGES,
    Attention,
    FieldChange,
    Instant,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    Sort,
    Statistics,
    Text,
)
from pc_core.referral.hosts import readable_domain
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Parameters, Route, Visit
from pc_core.web.query import BadParameter, own_cursor
from pc_core.web.routes import table_csv
from pc_core.web.routes.deal_details import DealDetails, deal_details

LIMIT = 50
MOST = 200
ROWS_PER_PART = 5_000
"""Rows in a part of an export: about 3 MB, built in memory, far below Azure's limit."""

SHOWN_OF_EACH = 5
"""Referrals shown of each kind of attention; the list has the rest."""

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


class ReferralQuery(Parameters, ReferralFilter, frozen=True, kw_only=True):
    """Which referrals, and how they are shown.

    Attributes:
        sort: one of the words, with :asc or :desc behind it.
        limit: how many; at most 200, or 5000 with format=csv. Without it 50, or 5000.
        cursor: `next_cursor` of the page before.
        format: csv: a table in parts of up to 5000 rows; the Link header leads to the next part.
        separator: between the cells of a csv; with semicolon, decimals are written with a comma.
    """

    sort: Sort = Sort()
    limit: Annotated[int, Meta(ge=1, le=ROWS_PER_PART)] | None = None
    cursor: Annotated[str, Meta(max_length=2_000)] | None = None
    format: Literal["json", "csv"] = "json"
    separator: table_csv.Separator = "comma"


class DetailParameters(Parameters, frozen=True, kw_only=True):
    """Which referral.

    Attributes:
        referral_id: Partner Center's id.
        include_raw: with what Partner Center sent, unchanged.
    """

    referral_id: Text
    include_raw: bool = False


class AttentionQuery(Parameters, frozen=True, kw_only=True):
    """What is new.

    Attributes:
        seen_since: since when an open referral counts as new; a day ago if not given.
    """

    seen_since: Instant | None = None


class ListedReferral(ReferralSummary, frozen=True, kw_only=True):
    """A referral in a list, with its domain as people write it."""

    domain_readable: str | None
    days_to_expiry: int | None


class Referrals(Struct, frozen=True, kw_only=True):
    """A page of referrals. If `total_is_exact` is false, there are more than `total`."""

    referrals: list[ListedReferral]
    next_cursor: str | None
    total: int
    total_is_exact: bool


class ReferralWithPeople(ListedReferral, frozen=True, kw_only=True):
    """A referral with its people."""

    contacts: list[Any]
    team: list[Any]


class ShownReferral(Struct, frozen=True, kw_only=True):
    """A referral with its people, its details and its history."""

    referral: ReferralWithPeople
    details: DealDetails
    history: list[FieldChange]
    history_is_complete: bool
    raw_data: dict[str, Any] | UnsetType = UNSET


class KindOfAttention(Struct, frozen=True, kw_only=True):
    """The first referrals that need attention for one reason."""

    kind: Attention
    total: int
    total_is_exact: bool
    referrals: list[ListedReferral]


class NeedAttention(Struct, frozen=True, kw_only=True):
    """Each kind of attention, also those without a referral."""

    kinds: list[KindOfAttention]


def _list(visit: Visit, query: ReferralQuery) -> HttpAnswer:
    as_csv = query.format == "csv"
    limit = query.limit or (ROWS_PER_PART if as_csv else LIMIT)
    if limit > MOST and not as_csv:
        raise BadParameter("limit", f"must be at most {MOST} unless format is csv")
    wanted = ReferralFilter(
        **{name: getattr(query, name) for name in ReferralFilter.__struct_fields__}
    )
    with own_cursor():
        page = visit.app.reader.list_referrals(
            wanted, sort=query.sort, cursor=query.cursor, limit=limit
        )
    if as_csv:
        return _table(visit, page, query)
    return respond.json_answer(
        Referrals(
            referrals=_listed(page),
            next_cursor=page.next_cursor,
            total=page.total,
            total_is_exact=page.total_is_exact,
        )
    )


def _listed(page: ReferralPage) -> list[ListedReferral]:
    now = datetime.now(UTC)
    return [ListedReferral(**asdict(row), **_reckoned(row, now)) for row in page.rows]


def _reckoned(row: ReferralSummary, now: datetime) -> dict[str, Any]:
    return {
        "domain_readable": readable_domain(row.domain) if row.domain else None,
        "days_to_expiry": (row.expires_at - now).days if row.expires_at else None,
    }


def _table(visit: Visit, page: ReferralPage, query: ReferralQuery) -> HttpAnswer:
    rows = ([getattr(row, name) for name in CSV_COLUMNS] for row in page.rows)
    headers = {"X-Row-Count": str(len(page.rows))}
    if page.next_cursor is not None:
        following = urlencode({**visit.request.query, "cursor": page.next_cursor})
        headers["Link"] = f'</{LIST.path}?{following}>; rel="next"'
    return respond.csv_answer(
        table_csv.table(
            CSV_COLUMNS, rows, with_head=query.cursor is None, separator=query.separator
        ),
        file_name=f"partner-center-referrals-{datetime.now(UTC):%Y-%m-%d}.csv",
        headers=headers,
    )


def _detail(visit: Visit, wanted: DetailParameters) -> HttpAnswer:
    reader, referral_id = visit.app.reader, wanted.referral_id
    # GUIDs are stored in lower case; any other id as it came.
    found = reader.get_referral(referral_id.lower())
    if found is None and referral_id != referral_id.lower():
        found = reader.get_referral(referral_id)
    if found is None:
        return respond.not_found("That referral")
    row = found.summary
    return respond.json_answer(
        ShownReferral(
            referral=ReferralWithPeople(
                **asdict(row),
                **_reckoned(row, datetime.now(UTC)),
                contacts=found.contacts,
                team=found.team,
            ),
            details=deal_details(found.raw_data),
            history=found.changes,
            history_is_complete=len(found.changes) < MAX_CHANGES,
            raw_data=found.raw_data if wanted.include_raw else UNSET,
        )
    )


def _needs_attention(visit: Visit, query: AttentionQuery) -> HttpAnswer:
    kinds = []
    for kind in ATTENTION:
        page = visit.app.reader.list_referrals(
            ReferralFilter(attention=kind, seen_since=query.seen_since),
            sort=Sort(key="expires", order="asc") if kind == "expiring" else Sort(),
            limit=SHOWN_OF_EACH,
        )
        kinds.append(
            KindOfAttention(
                kind=kind,
                total=page.total,
                total_is_exact=page.total_is_exact,
                referrals=_listed(page),
            )
        )
    return respond.json_answer(NeedAttention(kinds=kinds))


def _statistics(visit: Visit, _: Parameters) -> HttpAnswer:
    return respond.json_answer(visit.app.reader.statistics(datetime.now(UTC)))


LIST = Route(
    path="api/v1/partner-center/referrals",
    method="GET",
    who=Role.READER,
    given=ReferralQuery,
    handle=_list,
    operation_id="listReferrals",
    summary="List or export referrals",
    answers={200: Referrals},
    exports=True,
)

DETAIL = Route(
    path="api/v1/partner-center/referrals/{referral_id}",
    method="GET",
    who=Role.READER,
    given=DetailParameters,
    handle=_detail,
    operation_id="getReferral",
    summary="Get a referral",
    answers={200: ShownReferral, 404: respond.Problem},
)

NEEDS_ATTENTION = Route(
    path="api/v1/partner-center/attention",
    method="GET",
    who=Role.READER,
    given=AttentionQuery,
    handle=_needs_attention,
    operation_id="listAttention",
    summary="List the referrals that need attention",
    answers={200: NeedAttention},
)

STATISTICS = Route(
    path="api/v1/partner-center/statistics",
    method="GET",
    who=Role.READER,
    given=Parameters,
    handle=_statistics,
    operation_id="countReferrals",
    summary="Count referrals by type and week of creation, and by country",
    answers={200: Statistics},
)
