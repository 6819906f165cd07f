"""Page and stored rows in, plan out: what to insert, update, leave alone, skip, set aside.

Pure: no clock, no database. The store applies a plan in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        fetched_ticks: when the page was fetched, by the server's clock where it told it: a
            change dated in the future counts as made then, so that it cannot win for ever.
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
        understood: ids whose quarantine entries a good version has closed.
        superseded: ids whose replayed content is older than what is stored.
        seen: every id on the page but those of erased customers; quarantined ones too.
        erased: referrals that turned out to be an erased customer's, each with its tombstone:
            whatever is stored of them has to go.
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

    @property
    def writes_rows(self) -> bool:
        """Whether any referral row changes."""
        return bool(self.inserts or self.updates or self.reappeared or self.erased)

    def erase(self, referral_id: str, tombstones: Tombstones) -> None:
        """Skip an item of an erased customer's, with all that is planned for its referral."""
        _skip(self.counts, "erased")
        self.erased[referral_id] = tombstones.of_id(referral_id)
        counts = self.counts
        if self.inserts.pop(referral_id, None) is not None:
            counts.inserted -= 1
            _skip(counts, "erased")
        if self.updates.pop(referral_id, None) is not None:
            counts.updated -= 1
            _skip(counts, "erased")
        kept = [item for item in self.quarantine if item.referral_id != referral_id]
        for _ in range(len(self.quarantine) - len(kept)):
            counts.quarantined -= 1
            _skip(counts, "erased")
        self.quarantine = kept
        self.reappeared.discard(referral_id)
        self.understood.discard(referral_id)
        self.superseded.discard(referral_id)
        self.seen.discard(referral_id)


def make_plan(
    items: Sequence[Referral | Malformed],
    stored: Mapping[str, StoredRow],
    *,
    rules: Rules,
    origin: Origin,
    prepared: Mapping[str, Row] | None = None,
) -> PagePlan:
    """Decide for each item of a page; the counts' piles add up to the number of items.

    Args:
        stored: by referral_id; ids that are not in it are not stored.
        prepared: what `prepare_rows` made of these very items beforehand, if it did.
    """
    plan = PagePlan()
    build = _Builder(rules=rules, origin=origin, prepared=prepared or {})
    counts = plan.counts
    known = dict(stored)
    for item in items:
        counts.fetched += 1
        if isinstance(item, Malformed):
            _set_aside(plan, item, rules.tombstones)
            continue
        if item.referral_id in plan.erased or rules.tombstones.covers_id(item.referral_id):
            if item.referral_id in known:
                plan.erase(item.referral_id, rules.tombstones)
            else:
                _skip(counts, "erased")
            continue
        plan.seen.add(item.referral_id)
        plan.understood.add(item.referral_id)
        _count_unknown(counts, item)
        before = known.get(item.referral_id)
        if before is None:
            after = _admit(plan, item, build)
        else:
            after = _bring_up_to_date(plan, item, before, build)
        if after is not None:
            known[item.referral_id] = after
    return plan


def prepare_rows(items: Sequence[Referral | Malformed], rules: Rules) -> dict[str, Row]:
    """The rows of the items that would be admitted, by id, for a plan that comes later."""
    return {
        item.referral_id: build_row(item, own_domains=rules.own_domains)
        for item in items
        if isinstance(item, Referral) and rules.admission.skip_reason(item) is None
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """Makes a plan's rows, unless they have been made already."""

    rules: Rules
    origin: Origin
    prepared: Mapping[str, Row]

    def row(self, referral: Referral) -> Row:
        row = self.prepared.get(referral.referral_id)
        # The same referral may stand on a page twice, with different content.
        if row is None or row.raw_data is not referral.raw:
            row = build_row(referral, own_domains=self.rules.own_domains)
        most = self.origin.fetched_ticks
        if row.pc_updated_ticks is not None and row.pc_updated_ticks > most:
            return msgspec.structs.replace(row, pc_updated_ticks=most)
        return row

    def shows_erased(self, referral: Referral, before: StoredRow) -> bool:
        """Whether content that is not stored names an erased customer's domain."""
        tombstones = self.rules.tombstones
        return (
            bool(tombstones.domains)
            and referral.content_hash != before.content_hash
            and tombstones.covers_domain(self.row(referral).domain)
        )


def _set_aside(plan: PagePlan, item: Malformed, tombstones: Tombstones) -> None:
    if _is_erased(plan, item, tombstones):
        _skip(plan.counts, "erased")
        return
    if item.referral_id is not None:
        plan.seen.add(item.referral_id)
    plan.quarantine.append(item)
    plan.counts.quarantined += 1


def _is_erased(plan: PagePlan, item: Malformed, tombstones: Tombstones) -> bool:
    """Whether what cannot be understood is, or may be, an erased customer's.

    Whose it is cannot be read from it; where the domain occurs at all, it is not kept.
    """
    if item.referral_id is not None and (
        item.referral_id in plan.erased or tombstones.covers_id(item.referral_id)
    ):
        return True
    return bool(tombstones.domains) and any(
        tombstones.covers_domain(domain) for domain in domains_in(restore_raw(item.raw_text))
    )


def _admit(plan: PagePlan, referral: Referral, build: _Builder) -> StoredRow | None:
    rules, origin = build.rules, build.origin
    reason = rules.admission.skip_reason(referral)
    if reason is not None:
        _skip(plan.counts, reason)
        return None
    row = build.row(referral)
    if rules.tombstones.covers_domain(row.domain):
        plan.erase(referral.referral_id, rules.tombstones)
        return None
    plan.inserts[referral.referral_id] = row
    plan.counts.inserted += 1
    _count_domain(plan.counts, row.domain is not None)
    _count_find(plan.counts, row.pc_updated_ticks, origin)
    return _as_stored(row)


def _bring_up_to_date(
    plan: PagePlan, referral: Referral, before: StoredRow, build: _Builder
) -> StoredRow | None:
    counts, origin = plan.counts, build.origin
    if build.shows_erased(referral, before):
        # A row without a domain until now, say, turns out to be the erased customer's; or it was,
        # as an older version of it tells.
        plan.erase(referral.referral_id, build.rules.tombstones)
        return None
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
    row = build.row(referral)
    if row.pc_updated_ticks is None:
        # Undated content wins by being fetched later, but must not open the door to older content.
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
