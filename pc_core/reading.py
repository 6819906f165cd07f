"""What people and other systems ask of the stored data, and the answers to it.

Filters, sorts, rows and pages, and the port `Reader` that gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Protocol, get_args

from msgspec import Meta, Struct, UnsetType

from pc_core.sync.report import Report

MAX_CHANGES: Final = 500
"""Most changes in a referral's detail, the newest ones."""

COUNTED_UP_TO: Final = 10_000
"""A listing's total is exact up to here; of more, only that there are more is known."""

ATTENTION_COUNTED_UP_TO: Final = 1_000
"""The same for filters by attention. The page asks for five such counts on every visit."""

Order = Literal["asc", "desc"]
SortKey = Literal["updated", "created", "expires", "company", "deal_value", "synced"]
CompanySortKey = Literal["updated", "company"]
ReferralType = Literal["co-sell", "marketplace", "solution-provider"]

Missing = Literal["any", "no", "only"]
QuarantineState = Literal["open", "replayed", "superseded", "closed"]
Attention = Literal["expiring", "new", "no_domain", "incomplete", "won_early"]
"""What a person should look at: see `ReferralFilter.attention`."""

SORT_KEYS: Final[tuple[SortKey, ...]] = get_args(SortKey)
COMPANY_SORT_KEYS: Final[tuple[CompanySortKey, ...]] = get_args(CompanySortKey)
ATTENTION: Final[tuple[Attention, ...]] = get_args(Attention)

Instant = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(max_length=200)]
Words = Annotated[tuple[Text, ...], Meta(max_length=20)]


class ForeignCursor(ValueError):
    """The cursor belongs to another filter or sort, or is not a cursor: begin without it."""

    def __init__(self) -> None:
        super().__init__(
            "does not belong to this listing (its filter or sort has changed, or it was cut "
            "off); begin again without it"
        )


# Referrals


class Sort(Struct, frozen=True, kw_only=True):
    """How a listing is ordered: rows without a value come last, the id decides between equals."""

    key: SortKey = "updated"
    order: Order = "desc"


class ReferralFilter(Struct, frozen=True, kw_only=True):
    """Which referrals are listed: those that fulfil every condition given, by one of its values.

    Attributes:
        type: values of referral_type; `none` stands for no value.
        status, substatus, direction: Partner Center's values, in any case.
        domain: registrable domains, lower-case ASCII.
        country: as stored, in any case.
        q: words that must all occur in the names, domain, city or ids. The last word may be a
            prefix of at least two letters. Case, accents and the Turkish i's do not matter.
            Text without any letter or digit matches nothing.
        updated_since: changed in Partner Center then or later.
        expiring_within_days: unanswered, and expires within so many days.
        domain_missing: only referrals without a domain.
        missing: whether referrals that Partner Center no longer has are listed.
        attention: what a person should look at. expiring: unanswered, and expires within 3 days;
            new: open, and first seen since `seen_since`; no_domain: open, without a domain;
            incomplete: an open co-sell deal without value, currency, closing date, company or
            country; won_early: a co-sell deal won within 72 hours of its creation, in the last
            30 days.
        seen_since: for `new`; None: a day ago.
    """

    type: tuple[Literal[ReferralType, "none"], ...] = ()
    status: Words = ()
    substatus: Words = ()
    direction: Words = ()
    domain: Words = ()
    country: Words = ()
    q: Text | None = None
    updated_since: Instant | None = None
    expiring_within_days: Annotated[int, Meta(ge=0, le=3_650)] | None = None
    domain_missing: bool = False
    missing: Missing = "any"
    attention: Attention | None = None
    seen_since: Instant | None = None


class ReferralSummary(Struct, frozen=True, kw_only=True):
    """A referral in a list: the columns of partner_center_referrals, without people."""

    referral_id: str
    engagement_id: str | None
    external_reference_id: str | None
    name: str | None
    category: str | None
    referral_type: ReferralType | None
    classification_rule: str | None
    type: str | None
    qualification: str | None
    direction: str | None
    status: str | None
    substatus: str | None
    status_reason: str | None
    registration_status: str | None
    sales_stage: str | None
    company_name: str | None
    domain: str | None
    domain_source: str | None
    raw_domain: str | None
    customer_country: str | None
    customer_city: str | None
    customer_size: str | None
    deal_value: Decimal | None
    currency: str | None
    closing_at: Instant | None
    expires_at: Instant | None
    accepted_at: Instant | None
    closed_at: Instant | None
    pc_created_at: Instant | None
    pc_updated_at: Instant | None
    synced_at: Instant
    first_seen_at: Instant
    missing_since: Instant | None
    organization_id: str | None
    etag: str | None


class ReferralPage(Struct, frozen=True, kw_only=True):
    """A page of a listing.

    Attributes:
        next_cursor: asks for the next page of the same filter and sort; None: this is the last.
        total: how many referrals match, as counted for the first page; at most `COUNTED_UP_TO`,
            or `ATTENTION_COUNTED_UP_TO` if the filter names an attention.
        total_is_exact: False: there are more than `total`.
    """

    rows: list[ReferralSummary]
    next_cursor: str | None
    total: int
    total_is_exact: bool


class FieldChange(Struct, frozen=True, kw_only=True):
    """A change of one field: a column of partner_center_referrals, or `raw_data` for the rest."""

    change_id: int
    task_id: str
    changed_at: Instant
    field: str
    before: Any
    after: Any


class ReferralDetail(Struct, frozen=True, kw_only=True):
    """A referral with its people and its history.

    Attributes:
        changes: the newest `MAX_CHANGES`, newest first.
        raw_data: the whole referral as Partner Center sent it.
    """

    summary: ReferralSummary
    contacts: list[Any]
    team: list[Any]
    changes: list[FieldChange]
    raw_data: dict[str, Any]


class Week(Struct, frozen=True, kw_only=True):
    """Referrals that Partner Center created in one week, by type; the empty name is for no type."""

    begins_on: date
    by_type: Mapping[str, int]


class Statistics(Struct, frozen=True, kw_only=True):
    """How many referrals there are: by week of creation, oldest first, and by country."""

    weeks: list[Week]
    by_country: Mapping[str, int]


# Companies


class CompanySort(Struct, frozen=True, kw_only=True):
    """How companies are ordered; those without a value come last.

    Attributes:
        key: updated: when its newest referral changed; company: that referral's company name.
    """

    key: CompanySortKey = "updated"
    order: Order = "desc"


class CompanyFilter(Struct, frozen=True, kw_only=True):
    """Which companies are listed: those that fulfil every condition given.

    Attributes:
        q: words that must all occur in its newest referral, as in `ReferralFilter`.
        several: only companies with more than one referral.
        has_open: only companies with an open referral.
    """

    q: Text | None = None
    several: bool = False
    has_open: bool = False


class Company(Struct, frozen=True, kw_only=True):
    """A row of partner_center_companies: a customer domain and its referrals."""

    domain: str
    company_name: str | None
    referral_count: int
    co_sell_count: int
    marketplace_count: int
    solution_provider_count: int
    other_count: int
    open_count: int
    open_value: Mapping[str, Decimal]
    newest_updated_at: Instant | None
    first_seen_at: Instant


class CompanyPage(Struct, frozen=True, kw_only=True):
    """A page of companies.

    Attributes:
        next_cursor: asks for the next page of the same filter and sort; None: this is the last.
        total: how many companies match; None: too many referrals match to count them.
    """

    companies: list[Company]
    next_cursor: str | None
    total: int | None


# Runs and quarantine


class RunPage(Struct, frozen=True, kw_only=True):
    """Runs, newest first."""

    runs: list[Report]
    next_cursor: str | None


class QuarantineItem(Struct, frozen=True, kw_only=True):
    """An entry of the quarantine.

    Attributes:
        raw_text: what Partner Center sent, escaped where a text column could not hold it.
    """

    entry_id: int
    referral_id: str | None
    reason: str
    field: str | None
    detail: str
    state: QuarantineState
    task_id: str
    first_seen_at: Instant
    settled_at: Instant | None
    raw_text: str | UnsetType


class QuarantinePage(Struct, frozen=True, kw_only=True):
    """Entries, newest first."""

    entries: list[QuarantineItem]
    next_cursor: str | None


class Reader(Protocol):
    """The stored data, as people and other systems read it.

    Every call raises TryLater or FixSetting. Calls with a cursor also raise ForeignCursor.
    """

    def list_referrals(
        self,
        found: ReferralFilter | None = None,
        *,
        sort: Sort | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ReferralPage:
        """One page of a listing; an export asks for large ones."""

    def get_referral(self, referral_id: str) -> ReferralDetail | None:
        """One referral with its history; None if it is not stored."""

    def get_company(self, domain: str) -> Company | None:
        """The company of a domain, lower-case ASCII; None without referrals."""

    def list_companies(
        self,
        found: CompanyFilter | None = None,
        *,
        sort: CompanySort | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> CompanyPage:
        """One page of the companies."""

    def statistics(self, now: datetime) -> Statistics:
        """Referrals by week and country."""

    def list_runs(self, *, cursor: str | None = None, limit: int = 20) -> RunPage:
        """Runs, newest first; a running one shows its progress."""

    def get_run(self, task_id: str) -> Report | None:
        """One run; None if there is none on record."""

    def list_quarantine(
        self,
        *,
        state: QuarantineState | None = "open",
        cursor: str | None = None,
        limit: int = 50,
    ) -> QuarantinePage:
        """Entries, newest first; entries in any state if `state` is None."""
