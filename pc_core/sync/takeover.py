"""Imports the earlier system's table: every row is read again by today's rules.

The earlier system kept each referral's JSON but read it wrongly in places. So only the JSON is
imported, and every row whose columns come out differently is reported.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pc_core.errors import RowRefused
from pc_core.observe import events
from pc_core.referral.admission import Admission
from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.row import build_row
from pc_core.referral.ticks import to_ticks
from pc_core.sync.plan import Origin, PagePlan, Rules, make_plan
from pc_core.sync.ports import Earlier, EarlierRow, Store
from pc_core.sync.report import Counts
from pc_core.sync.saving import without
from pc_core.sync.state import SyncState
from pc_core.sync.under_lease import OpenRun, new_report, under_lease

ROWS_AT_A_TIME = 200

EVERYTHING = Admission(directions=None, statuses=None, excluded_substatuses=frozenset())
"""Everything that the earlier system stored is kept, whatever today's filter says."""

_WITHOUT_A_PLACE = ("linked_lead_id", "link_status", "azure_tenant_id")
_NOTHING_SAID = (None, "", "unlinked")
_COMPARED = ("referral_type", "domain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a row differs from the earlier one.

    Attributes:
        changed: by column: what the earlier system had, and what holds now.
        without_a_place: values of columns that the new table lacks.
        set_aside: why the row could not be understood; None: it was.
    """

    referral_id: str
    changed: Mapping[str, tuple[Any, Any]]
    without_a_place: Mapping[str, Any]
    set_aside: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "referral_id": self.referral_id,
            "changed": {
                name: {"before": before, "now": now} for name, (before, now) in self.changed.items()
            },
            "without_a_place": dict(self.without_a_place),
            "set_aside": self.set_aside,
        }


@dataclass(slots=True, kw_only=True)
class Takeover:
    """What an import did, or would do.

    Attributes:
        counts: `fetched` is the number of earlier rows, and the sum of its piles.
        differing: rows by what differs in them.
    """

    dry_run: bool
    task_id: str | None = None
    counts: Counts = field(default_factory=Counts)
    differing: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        counts = self.counts
        return {
            "dry_run": self.dry_run,
            "task_id": self.task_id,
            "rows": counts.fetched,
            "inserted": counts.inserted,
            "updated": counts.updated,
            "already_here": counts.unchanged,
            "quarantined": counts.quarantined,
            "erased": counts.skipped,
            "differing": dict(sorted(self.differing.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Takes the earlier table over.

    Attributes:
        own_domains: the partner's mail domains, never a customer's.
        holder: the name of this process in the lease.
        now: aware UTC.
    """

    store: Store
    earlier: Earlier
    own_domains: frozenset[str]
    holder: str
    now: Callable[[], datetime]

    def run(self, *, dry_run: bool, tell: Callable[[Difference], object]) -> Takeover:
        """Read every earlier row and store it, unless something newer is stored.

        Args:
            tell: gets each row that differs.

        Raises:
            AlreadyRunning: a run has the lease. Nothing was taken over.
            TryLater: a database is out of reach.
            FixSetting: the earlier table is not there, or ours is not migrated.
        """
        self.earlier.check()
        takeover = Takeover(dry_run=dry_run)
        if dry_run:
            rules = self._rules()
            for rows in self._batches():
                items = [_understand(row) for row in rows]
                takeover.counts.add(self._plan(items, rules).counts)
                self._compare(rows, items, takeover, tell)
            return takeover
        report = new_report("command", "import", now=self.now())
        takeover.task_id = report.task_id
        with under_lease(self.store, report, holder=self.holder, now=self.now) as opened:
            # Read under the lease, so that an erasure just before it counts.
            self._store_all(takeover, self._rules(), opened, tell)
        events.emit("partner_center_earlier_imported", task_id=report.task_id, **_counted(takeover))
        return takeover

    def _rules(self) -> Rules:
        return Rules(
            admission=EVERYTHING,
            own_domains=self.own_domains,
            tombstones=self.store.load_tombstones(),
        )

    def _store_all(
        self,
        takeover: Takeover,
        rules: Rules,
        opened: OpenRun,
        tell: Callable[[Difference], object],
    ) -> None:
        # The next run sweeps: what was taken over may be older than what Partner Center has, and
        # that is no drift.
        state = _asking_for_a_sweep(self.store.load_state())
        for rows in self._batches():
            items = [_understand(row) for row in rows]
            items, counts = self._save(items, rules, opened, state)
            takeover.counts.add(counts)
            self.store.note_first_seen(
                {
                    item.referral_id: row.seen_at
                    for row, item in zip(rows, items, strict=True)
                    if isinstance(item, Referral)
                }
            )
            self._compare(rows, items, takeover, tell)

    def _save(
        self,
        items: list[Referral | Malformed],
        rules: Rules,
        opened: OpenRun,
        state: SyncState,
    ) -> tuple[list[Referral | Malformed], Counts]:
        while True:
            plan = self._plan(items, rules)
            counts = Counts()
            counts.add(opened.report.counts)
            counts.add(plan.counts)
            report = replace(opened.report, counts=counts)
            try:
                self.store.save_page(
                    opened.lease, plan, state=state, report=report, fetched_at=self.now()
                )
            except RowRefused as refused:
                items = [without(item, refused) for item in items]
            else:
                opened.report = report
                return items, plan.counts

    def _plan(self, items: Sequence[Referral | Malformed], rules: Rules) -> PagePlan:
        ids = {item.referral_id for item in items if item.referral_id is not None}
        return make_plan(
            items,
            self.store.stored_rows(ids),
            rules=rules,
            origin=Origin(kind="replay", fetched_ticks=to_ticks(self.now()), backfill=True),
        )

    def _batches(self) -> Iterator[list[EarlierRow]]:
        after = ""
        while rows := self.earlier.rows(after, limit=ROWS_AT_A_TIME):
            yield rows
            after = rows[-1].referral_id

    def _compare(
        self,
        rows: Sequence[EarlierRow],
        items: Sequence[Referral | Malformed],
        takeover: Takeover,
        tell: Callable[[Difference], object],
    ) -> None:
        for row, item in zip(rows, items, strict=True):
            difference = _difference(row, item, self.own_domains)
            names = [*difference.changed, *difference.without_a_place]
            if difference.set_aside is not None:
                names.append("set_aside")
            takeover.differing.update(names)
            if names:
                tell(difference)


def _understand(row: EarlierRow) -> Referral | Malformed:
    raw = row.raw
    if raw is None or raw == "null":
        # Nothing to read, but nothing to lose either: the columns go to quarantine.
        raw = json.dumps({"earlier_row": dict(row.columns)})
    return parse(raw.encode("utf-8", "surrogatepass"))


def _difference(
    row: EarlierRow, item: Referral | Malformed, own_domains: frozenset[str]
) -> Difference:
    without_a_place = {
        name: row.columns[name]
        for name in _WITHOUT_A_PLACE
        if row.columns.get(name) not in _NOTHING_SAID
    }
    if isinstance(item, Malformed):
        return Difference(
            referral_id=row.referral_id,
            changed={},
            without_a_place=without_a_place,
            set_aside=item.reason,
        )
    now = build_row(item, own_domains=own_domains)
    changed = {
        name: (row.columns.get(name), getattr(now, name))
        for name in _COMPARED
        if row.columns.get(name) != getattr(now, name)
    }
    if row.referral_id.lower() != item.referral_id:
        changed["referral_id"] = (row.referral_id, item.referral_id)
    return Difference(referral_id=row.referral_id, changed=changed, without_a_place=without_a_place)


def _asking_for_a_sweep(state: SyncState) -> SyncState:
    if state.fingerprint is None:
        return state
    return replace(state, fingerprint=replace(state.fingerprint, filters="imported"))


def _counted(takeover: Takeover) -> dict[str, Any]:
    plain = takeover.to_json()
    return {name: plain[name] for name in plain if name not in ("task_id", "dry_run")}
