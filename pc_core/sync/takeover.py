"""Taking over the earlier system's table: every row is read again by today's rules.

It kept each referral's JSON, but read it wrongly in places; so only the JSON is taken over, and
what differs from the earlier columns, or has no place any more, is told row by row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from pc_core.errors import RowRefused, TryLater
from pc_core.observe import events
from pc_core.referral.admission import Admission
from pc_core.referral.read import parse, set_aside
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.row import build_row
from pc_core.referral.ticks import to_ticks
from pc_core.sync.plan import Origin, PagePlan, Rules, make_plan
from pc_core.sync.ports import Earlier, EarlierRow, Held, Lease, Store
from pc_core.sync.report import Counts, Report, RunState
from pc_core.sync.state import SyncState
from pc_core.sync.under_lease import Heartbeat

ROWS_AT_A_TIME = 200

EVERYTHING = Admission(directions=None, statuses=None, excluded_substatuses=frozenset())
"""What was kept once is kept, whatever today's filter says."""

_WITHOUT_A_PLACE = ("linked_lead_id", "link_status", "azure_tenant_id")
_NOTHING_SAID = (None, "", "unlinked")
_COMPARED = ("referral_type", "domain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a row says otherwise than before, or what of it has no column any more.

    Attributes:
        changed: by column: what the earlier system had, and what holds now.
        without_a_place: columns that the new table lacks, where they said something.
        set_aside: why the row could not be understood; None: it could.
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
        lease_s, holder: as in a run.
        now: aware UTC.
    """

    store: Store
    earlier: Earlier
    own_domains: frozenset[str]
    lease_s: float
    holder: str
    now: Callable[[], datetime]

    def run(self, *, dry_run: bool, tell: Callable[[Difference], object]) -> Takeover:
        """Read every earlier row and store it, unless something newer is stored.

        Args:
            tell: gets each row that differs.

        Raises:
            TryLater: `already_running`: a run has the lease; or a database is out of reach.
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
        report = Report(
            task_id=str(uuid4()),
            state=RunState.RUNNING,
            trigger="command",
            mode="import",
            started_at=self.now(),
        )
        takeover.task_id = report.task_id
        lease = self.store.take_lease(report, holder=self.holder, ttl_s=self.lease_s)
        if isinstance(lease, Held):
            raise TryLater(
                f"Run {lease.task_id} is under way. Nothing was taken over; try again when it "
                "has ended.",
                code="already_running",
            )
        ended = RunState.FAILED
        try:
            with Heartbeat(self.store, lease, every_s=self.lease_s / 4):
                # Read under the lease: an erasure just before it counts.
                self._store_all(takeover, self._rules(), lease, report, tell)
            ended = RunState.COMPLETED
        finally:
            report = replace(report, counts=takeover.counts).ended(ended, at=self.now())
            self.store.finish_run(lease, report)
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
        lease: Lease,
        report: Report,
        tell: Callable[[Difference], object],
    ) -> None:
        # The next run reads everything: what was taken over may be older than what it would find,
        # and that is no fault of the runs in between.
        state = _asking_for_a_sweep(self.store.load_state())
        for rows in self._batches():
            items = [_understand(row) for row in rows]
            items, plan = self._save(items, rules, lease, state, report, takeover.counts)
            takeover.counts.add(plan.counts)
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
        lease: Lease,
        state: SyncState,
        report: Report,
        before: Counts,
    ) -> tuple[list[Referral | Malformed], PagePlan]:
        while True:
            plan = self._plan(items, rules)
            counts = Counts()
            counts.add(before)
            counts.add(plan.counts)
            try:
                self.store.save_page(
                    lease,
                    plan,
                    state=state,
                    report=replace(report, counts=counts),
                    fetched_at=self.now(),
                )
            except RowRefused as refused:
                items = [
                    set_aside(item, reason=refused.code, detail=str(refused))
                    if isinstance(item, Referral) and item.referral_id == refused.referral_id
                    else item
                    for item in items
                ]
            else:
                return items, plan

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
