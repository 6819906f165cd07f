"""A real run against the simulator and PostgreSQL, and the truth to compare its outcome with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from dev.simulator import Simulator
from pc_core.identity.account import Account
from pc_core.identity.token import Token
from pc_core.partner_center.client import PartnerCenterClient
from pc_core.partner_center.retry import RetryPolicy
from pc_core.referral.admission import Admission
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.sync.budget import Budget
from pc_core.sync.context import Options
from pc_core.sync.plan import Rules
from pc_core.sync.report import Mode, Report, RunRequest, Trigger
from pc_core.sync.run import Sync

ADMISSION = Admission(
    directions=frozenset({"incoming"}),
    statuses=frozenset({"new", "active"}),
    excluded_substatuses=frozenset({"declined", "lost", "expired", "error"}),
)


class SimulatorTokens:
    """Access tokens straight from the simulated Entra, for tests that are not about signing in."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.account: Account | None = None

    def forget(self) -> None:
        """Nothing is kept."""

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        person = self.simulator.entra.account
        account = Account(
            account_id=f"{person.object_id}.{person.tenant_id}",
            username=person.username,
            tenant_id=person.tenant_id,
        )
        return Token(
            access_token=self.simulator.entra.issue_access_token(person),
            account=self.account or account,
        )

    def renewed_at(self) -> datetime | None:
        return None


@dataclass
class Harness:
    """One database and one simulator, and runs between them."""

    database_url: str
    simulator: Simulator
    admission: Admission = ADMISSION
    filters: str = "default"
    rules_made_with: str = "rules-1"
    own_domains: frozenset[str] = frozenset()
    page_size: int | None = None
    overlap: timedelta = timedelta(minutes=15)
    full_sync_every: timedelta = timedelta(hours=24)
    lease_s: float = 120.0
    later: timedelta = timedelta(0)
    admitted_ever: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.database = Database(self.database_url)
        self.store = PostgresStore(self.database)
        self.tokens = SimulatorTokens(self.simulator)

    def close(self) -> None:
        self.database.close()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def client(self) -> PartnerCenterClient:
        return PartnerCenterClient(
            self.simulator.base_url,
            self.tokens,
            request_timeout_s=5,
            retry=RetryPolicy(attempts=3, total_s=3),
            chance=lambda: 0.0,
            ca_file=str(self.simulator.ca_path),
        )

    def sync(self) -> Sync:
        return Sync(
            store=self.store,
            tokens=self.tokens,
            partner_center=self.client,
            rules=Rules(admission=self.admission, own_domains=self.own_domains),
            filters=self.filters,
            made_with=self.rules_made_with,
            tenant_id=self.simulator.tenant_id,
            options=Options(
                overlap=self.overlap,
                full_sync_every=self.full_sync_every,
                page_size=self.page_size,
                full_time_s=60,
                retention_days=400,
            ),
            lease_s=self.lease_s,
            holder="test",
            now=self.now,
        )

    def run(
        self,
        mode: Mode = "incremental",
        *,
        pages: int | None = None,
        seconds: float = 60,
        accept_missing: bool = False,
        trigger: Trigger = "command",
    ) -> Report:
        """One run; what the filter admits before and after it counts as admitted once."""
        self.note_admitted()
        report = self.sync().run(
            RunRequest(trigger=trigger, mode=mode, accept_missing=accept_missing),
            Budget(seconds, pages=pages),
        )
        self.note_admitted()
        return report

    def note_admitted(self) -> None:
        self.admitted_ever |= {
            wire["id"]
            for wire in self.simulator.state.truth()
            if isinstance(wire.get("id"), str) and admits(wire)
        }

    # What is there

    def query(self, sql: LiteralString, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            return connection.execute(sql, values).fetchall()

    def rows(self) -> dict[str, dict[str, Any]]:
        return {
            row["referral_id"]: row for row in self.query("SELECT * FROM partner_center_referrals")
        }

    def places(self) -> list[dict[str, Any]]:
        """Where each row lies and which transactions touched it: moves with any write or lock."""
        return self.query(
            "SELECT referral_id, ctid::text, xmin::text, xmax::text "
            "FROM partner_center_referrals ORDER BY referral_id"
        )

    def list_queries(self) -> list[str]:
        """The query strings of the list calls that arrived, in order."""
        return [
            request.query
            for request in self.simulator.requests
            if request.path.rstrip("/").endswith("/referrals")
        ]


def admits(wire: dict[str, Any]) -> bool:
    """The default filter once more, written from the settings' table and not from our code."""
    if wire.get("direction") == "Outgoing":
        return False
    # Lists, because a broken row may have anything there, what cannot be in a set included.
    if wire.get("status") in ["Closed", "None"]:
        return False
    return wire.get("substatus") not in ["Declined", "Lost", "Expired", "Error"]


def assert_equals_truth(harness: Harness) -> None:
    """The table holds what the simulator holds: every admitted row, with its newest content.

    A stored row that Partner Center no longer shows is marked, and no other row is.
    """
    truth = {wire["id"]: wire for wire in harness.simulator.state.truth()}
    rows = harness.rows()

    missing = {wire["id"] for wire in truth.values() if admits(wire)} - rows.keys()
    assert not missing, f"{len(missing)} admitted referrals are not stored"
    surplus = rows.keys() - harness.admitted_ever
    assert not surplus, f"{len(surplus)} rows were never admitted"
    for referral_id, row in rows.items():
        wire = truth.get(referral_id)
        assert (row["missing_since"] is None) == (wire is not None), referral_id
        if wire is not None:
            assert meaning(row["raw_data"]) == meaning(wire), referral_id
            assert row["status"] == wire.get("status")
            assert row["substatus"] == wire.get("substatus")
            assert row["direction"] == wire.get("direction")
            assert row["engagement_id"] == wire.get("engagementId")


def meaning(wire: Any) -> Any:
    """JSON with exact numbers made comparable, and without what changes without meaning."""
    plain = json.loads(json.dumps(wire, default=float))
    return {
        key: value
        for key, value in plain.items()
        if key != "links" and not key.startswith("@odata.")
    }


def ids(wires: Iterable[dict[str, Any]]) -> list[str]:
    return [wire["id"] for wire in wires]
