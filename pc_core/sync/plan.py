"""Page and stored rows in, plan out: what to insert, update, leave alone, skip, set aside.

Pure: no clock, no database. The store applies a plan in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pc_core.referral.admission import Admission
from pc_core.referral.company_domain import domains_in
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.row import Row, build_row
from pc_core.referral.storable import restore_raw
from pc_core.referral.tombstones import Tombstones
from pc_core.sync.report import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """What a plan needs to know of a stored referral.

    Attributes:
        content_hash: of the stored content; equal hashes mean that there is nothing to write.
        updated_ticks: Partner Center's updatedDateTime, capped by when it was fetched (100 ns).
        missing: whether a sweep had marked it as gone.
        has_domain: whether a company domain was found.
    """

    content_hash: bytes
    updated_ticks: int | None
    missing: bool
    has_domain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the settings contribute to a plan."""

    admission: Admission
    own_domains: frozenset[str]
    tombstones: Tombstones = field(default_factory=Tombstones)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the items of a page come from.

    Attributes:
        kind: a `replay` of quarantine only wins over strictly older content; a page that was just
            fetched also wins a tie.
        fetched_ticks: when the page was fetched, by the server's clock where its answer had one.
            A change dated later counts as made then, so that it cannot win for ever.
        drift_ticks: set during a sweep that should find nothing new: changes older than this
            that it finds are drift.
        backfill: set during a sweep that is expected to find much.
    """

    kind: Literal["live", "replay"] = "live"
    fetched_ticks: int
    drift_ticks: int | None = None
    backfill: bool = False


@dataclass(slots=True, kw_only=True)
class PagePlan:
    """What one page changes.

    Attributes:
        inserts, updates: rows to write, at most one per referral.
        quarantine: items to set aside; the store writes each id and content once.
        reappeared: stored referrals, marked missing, that were on the page.
        understood: ids that could be read; the store closes their open quarantine entries.
        superseded: ids whose replayed content is older than what is stored.
        seen: every id on the page but those of erased customers; quarantined ones too.
        erased: referrals that turned out to be an erased customer's, each with its tombstone;
            what is stored of them is removed.
    """

    inserts: dict[str, Row] = field(default_factory=dict)
    updates: dict[str, Row] = field(default_factory=dict)
    quarantine: list[Malformed] = field(default_factory=list)
    reappeared: set[str] = field(default_factory=set)
    understood: set[str] = field(default_factory=set)
    superseded: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    erased: dict[str, bytes] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    def skip_erased(self, referral_id: str, tombstones: Tombstones) -> None:
        """Skip an item of an erased customer, and remove what is stored of its referral."""
        _skip(self.counts, "erased")
        self.erased[referral_id] = tombstones.of_id(referral_id)


class RowBuilder:
    """Builds rows, each once: beforehand in another thread, or when the plan needs it.

    Args:
        own_domains: the partner's own mail domains.
    """

    def __init__(self, own_domains: frozenset[str]) -> None:
        self._own_domains = own_domains
        self._built: dict[str, Row] = {}

    def build_ahead(self, items: Sequence[Referral | Malformed], admission: Admission) -> None:
        """Build the rows of all items that the filter admits."""
        for item in items:
            if isinstance(item, Referral) and admission.skip_reason(item) is None:
                self(item)

    def __call__(self, referral: Referral) -> Row:
        """The referral's row."""
        row = self._built.get(referral.referral_id)
        # The same referral may stand on a page twice, with different content.
        if row is None or row.raw_data is not referral.raw:
            row = build_row(referral, own_domains=self._own_domains)
            self._built[referral.referral_id] = row
        return row


def make_plan(
    items: Sequence[Referral | Malformed],
    stored: Mapping[str, StoredRow],
    *,
    rules: Rules,
    origin: Origin,
    row_of: Callable[[Referral], Row] | None = None,
) -> PagePlan:
    """Decide for each item of a page; the counts' piles add up to the number of items.

    Args:
        stored: by referral_id; ids that are not in it are not stored.
        row_of: builds a referral's row; None: with a builder of its own.
    """
    plan = PagePlan()
    page = _PageRules(rules=rules, origin=origin, row_of=row_of or RowBuilder(rules.own_domains))
    erased = _erased_ids(items, stored, page)
    known = dict(stored)
    for item in items:
        plan.counts.fetched += 1
        if item.referral_id is not None and item.referral_id in erased:
            plan.skip_erased(item.referral_id, rules.tombstones)
        elif isinstance(item, Malformed):
            _set_aside(plan, item, rules.tombstones)
        elif rules.tombstones.covers_id(item.referral_id):
            _skip(plan.counts, "erased")
        else:
            plan.seen.add(item.referral_id)
            plan.understood.add(item.referral_id)
            _count_unknown(plan.counts, item)
            before = known.get(item.referral_id)
            if before is None:
                after = _admit(plan, item, page)
            else:
                after = _bring_up_to_date(plan, item, before, page)
            if after is not None:
                known[item.referral_id] = after
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class _PageRules:
    """What holds for all items of a page."""

    rules: Rules
    origin: Origin
    row_of: Callable[[Referral], Row]

    def row(self, referral: Referral) -> Row:
        """The referral's row, dated no later than it was fetched."""
        row = self.row_of(referral)
        most = self.origin.fetched_ticks
        if row.pc_updated_ticks is not None and row.pc_updated_ticks > most:
            return msgspec.structs.replace(row, pc_updated_ticks=most)
        return row


def _erased_ids(
    items: Sequence[Referral | Malformed], stored: Mapping[str, StoredRow], page: _PageRules
) -> set[str]:
    """Referrals of the page that are an erased customer's and have to go from the database.

    One item is enough: a stored row without a domain may turn out to be the erased customer's, or
    an older version of it may name that domain. What an erased customer's id has not left in the
    database needs no removing.
    """
    tombstones, admission = page.rules.tombstones, page.rules.admission
    found: set[str] = set()
    admitted: set[str] = set()
    for item in items:
        if isinstance(item, Malformed) or item.referral_id in found:
            continue
        before = stored.get(item.referral_id)
        if tombstones.covers_id(item.referral_id):
            if before is not None:
                found.add(item.referral_id)
        elif tombstones.domains:
            if before is not None:
                is_news = item.content_hash != before.content_hash
            else:
                is_news = item.referral_id in admitted or admission.skip_reason(item) is None
                if is_news:
                    admitted.add(item.referral_id)
            if is_news and tombstones.covers_domain(page.row(item).domain):
                found.add(item.referral_id)
    return found


def _set_aside(plan: PagePlan, item: Malformed, tombstones: Tombstones) -> None:
    if _is_erased(item, tombstones):
        _skip(plan.counts, "erased")
        return
    if item.referral_id is not None:
        plan.seen.add(item.referral_id)
    plan.quarantine.append(item)
    plan.counts.quarantined += 1


def _is_erased(item: Malformed, tombstones: Tombstones) -> bool:
    """Whether an item that cannot be understood is, or may be, an erased customer's.

    Its domain field cannot be read. If the erased domain occurs anywhere, the item is not kept.
    """
    if item.referral_id is not None and tombstones.covers_id(item.referral_id):
        return True
    return bool(tombstones.domains) and any(
        tombstones.covers_domain(domain) for domain in domains_in(restore_raw(item.raw_text))
    )


def _admit(plan: PagePlan, referral: Referral, page: _PageRules) -> StoredRow | None:
    reason = page.rules.admission.skip_reason(referral)
    if reason is not None:
        _skip(plan.counts, reason)
        return None
    row = page.row(referral)
    plan.inserts[referral.referral_id] = row
    plan.counts.inserted += 1
    _count_domain(plan.counts, row.domain is not None)
    _count_find(plan.counts, row.pc_updated_ticks, page.origin)
    return _as_stored(row)


def _bring_up_to_date(
    plan: PagePlan, referral: Referral, before: StoredRow, page: _PageRules
) -> StoredRow | None:
    counts, origin = plan.counts, page.origin
    if before.missing and origin.kind == "live":
        plan.reappeared.add(referral.referral_id)
    older = _is_older(referral, before, origin)
    if older and origin.kind == "replay":
        plan.superseded.add(referral.referral_id)
    if older or referral.content_hash == before.content_hash:
        if before.missing and origin.kind == "live":
            counts.updated += 1
            counts.reappeared += 1
        else:
            counts.unchanged += 1
        _count_domain(counts, before.has_domain)
        return None
    row = page.row(referral)
    if row.pc_updated_ticks is None:
        # Undated content wins by being fetched later, but must not let older content win later.
        row = msgspec.structs.replace(row, pc_updated_ticks=before.updated_ticks)
    if referral.referral_id in plan.inserts:
        # The same referral twice on a page: it is one new row, with the later content.
        plan.inserts[referral.referral_id] = row
        counts.unchanged += 1
        return _as_stored(row)
    plan.updates[referral.referral_id] = row
    counts.updated += 1
    _count_domain(counts, row.domain is not None)
    if before.missing:
        counts.reappeared += 1
    elif row.pc_updated_ticks is not None and row.pc_updated_ticks == before.updated_ticks:
        counts.changed_silently += 1
    else:
        _count_find(counts, row.pc_updated_ticks, origin)
    return _as_stored(row)


def _is_older(referral: Referral, before: StoredRow, origin: Origin) -> bool:
    if referral.updated_ticks is None or before.updated_ticks is None:
        return origin.kind == "replay"
    ticks = min(referral.updated_ticks, origin.fetched_ticks)
    if origin.kind == "replay":
        return ticks <= before.updated_ticks
    return ticks < before.updated_ticks


def _as_stored(row: Row) -> StoredRow:
    return StoredRow(
        content_hash=row.content_hash,
        updated_ticks=row.pc_updated_ticks,
        missing=False,
        has_domain=row.domain is not None,
    )


def _count_find(counts: Counts, ticks: int | None, origin: Origin) -> None:
    if origin.backfill:
        counts.backfilled += 1
    elif origin.drift_ticks is not None and ticks is not None and ticks < origin.drift_ticks:
        counts.drift += 1


def _count_domain(counts: Counts, found: bool) -> None:
    if not found:
        counts.domain_not_found += 1


def _count_unknown(counts: Counts, referral: Referral) -> None:
    for name, value in referral.unknown:
        counts.unknown_values[f"{name}={value[:40]}"] += 1
    for name in ("direction", "status", "substatus"):
        if getattr(referral, name) is None:
            counts.unknown_values[f"{name} missing"] += 1


def _skip(counts: Counts, reason: str) -> None:
    counts.skipped += 1
    counts.skipped_reasons[reason] += 1
