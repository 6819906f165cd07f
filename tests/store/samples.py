"""Invented referrals, and the shortest way from them to a saved page."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pc_core.referral.admission import Admission
from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.ticks import to_ticks
from pc_core.referral.tombstones import Tombstones
from pc_core.store.postgres import PostgresStore
from pc_core.sync.plan import Origin, PagePlan, Rules, make_plan
from pc_core.sync.ports import Held, Lease, Walk
from pc_core.sync.report import Report, RunState
from pc_core.sync.state import SyncState

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
EVERYTHING = Admission(directions=None, statuses=None, excluded_substatuses=frozenset())


def referral_id(number: int) -> str:
    return str(uuid.UUID(int=number, version=4))


def referral_json(number: int, **changes: Any) -> bytes:
    """A co-sell referral of an invented company; `changes` replace top-level fields."""
    plain: dict[str, Any] = {
        "id": referral_id(number),
        "engagementId": referral_id(10_000 + number),
        "name": f"Deal {number}",
        "organizationId": "0b5e7a90-8c1d-4e2f-b3a4-5c6d7e8f9001",
        "createdDateTime": "2026-04-20T09:30:00.810144Z",
        "updatedDateTime": "2026-05-19T16:40:03.1743218Z",
        "status": "Active",
        "substatus": "Accepted",
        "qualification": "SalesQualified",
        "type": "Shared",
        "eTag": '"3c00d4e5-0000-0100-0000-6a0c92630000"',
        "direction": "Incoming",
        "customerProfile": {
            "name": f"Fabrikam {number} Denizcilik",
            "address": {"city": "Gebze", "country": "TR"},
            "team": [{"firstName": "Deniz", "email": f"deniz@fabrikam-{number}.com.tr"}],
        },
        "details": {"dealValue": 48500.75, "currency": "USD", "notes": "Invented."},
        "links": {"self": {"uri": "https://api.partner.microsoft.com/v1.0/x", "method": "GET"}},
    }
    return json.dumps(plain | changes, ensure_ascii=False).encode()


def report(task_id: str = "run-1", **changes: Any) -> Report:
    began = Report(
        task_id=task_id,
        state=RunState.RUNNING,
        trigger="command",
        mode="incremental",
        started_at=NOW,
    )
    return replace(began, **changes)


def take(store: PostgresStore, task_id: str = "run-1", *, ttl_s: float = 120) -> Lease:
    """The lease, which must be free."""
    lease = store.take_lease(report(task_id), holder="test", ttl_s=ttl_s)
    assert not isinstance(lease, Held)
    return lease


@dataclass(kw_only=True)
class Saver:
    """Plans and saves pages under one lease."""

    store: PostgresStore
    lease: Lease
    state: SyncState = field(default_factory=SyncState)

    def save(
        self,
        *items: bytes,
        kind: str = "live",
        seen_in: Sequence[Walk] = (),
        fetched_at: datetime = NOW,
    ) -> PagePlan:
        parsed = [parse(item) for item in items]
        plan = self.plan(parsed, kind=kind, fetched_at=fetched_at)
        self.save_plan(plan, seen_in=seen_in, fetched_at=fetched_at)
        return plan

    def plan(
        self,
        parsed: list[Referral | Malformed],
        *,
        kind: str = "live",
        fetched_at: datetime = NOW,
        tombstones: Tombstones | None = None,
    ) -> PagePlan:
        ids = {item.referral_id for item in parsed if item.referral_id is not None}
        return make_plan(
            parsed,
            self.store.stored_rows(ids),
            rules=Rules(
                admission=EVERYTHING,
                own_domains=frozenset(),
                tombstones=tombstones or Tombstones(),
            ),
            origin=Origin(
                kind="replay" if kind == "replay" else "live", fetched_ticks=to_ticks(fetched_at)
            ),
        )

    def save_plan(
        self, plan: PagePlan, *, seen_in: Sequence[Walk] = (), fetched_at: datetime = NOW
    ) -> None:
        self.store.save_page(
            self.lease,
            plan,
            state=self.state,
            report=report(self.lease.task_id, counts=plan.counts),
            fetched_at=fetched_at,
            seen_in=seen_in,
        )
