"""An app whose store, sign-in and runs are plain objects, and requests to its routes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pc_core.config import Settings
from pc_core.health.alarms import Expected
from pc_core.health.facts import Facts, Schema
from pc_core.health.readiness import Ready
from pc_core.health.status import status_of
from pc_core.identity.account import PendingSignIn, SignInProgress
from pc_core.reading import (
    Company,
    CompanyFilter,
    CompanyPage,
    CompanySort,
    FieldChange,
    ForeignCursor,
    QuarantineItem,
    QuarantinePage,
    ReferralDetail,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    RunPage,
    Sort,
    Statistics,
    Week,
)
from pc_core.sync.report import Counts, Report, RunState
from pc_core.sync.state import SyncState
from pc_core.web.door import answer_request
from pc_core.web.exchange import HttpAnswer, HttpRequest, Route

NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
KEY = "the operator's key"
TASK_ID = "11111111-2222-4333-8444-555555555555"


def summary(number: int, **changes: Any) -> ReferralSummary:
    values: dict[str, Any] = dict.fromkeys(ReferralSummary.__struct_fields__)
    values |= {
        "referral_id": f"00000000-0000-4000-8000-{number:012d}",
        "referral_type": "co-sell",
        "status": "New",
        "company_name": f"Company {number}",
        "domain": "xn--ay-3ia.example",
        "deal_value": Decimal("48500.75"),
        "currency": "EUR",
        "expires_at": datetime.now(UTC) + timedelta(days=3, hours=1),
        "synced_at": NOW,
        "first_seen_at": NOW,
    }
    return ReferralSummary(**values | changes)


def report(state: RunState = RunState.COMPLETED, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "task_id": TASK_ID,
        "state": state,
        "trigger": "timer",
        "mode": "incremental",
        "started_at": NOW,
        "finished_at": NOW + timedelta(seconds=2),
        "counts": Counts(fetched=3, inserted=1, unchanged=2, pages=1, requests=1),
    }
    return Report(**values | changes)


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "schema": Schema(current="0001", expected="0001", is_current=True),
        "state": SyncState(last_success_at=NOW, last_sweep_at=NOW),
        "sign_in": None,
        "running": None,
        "last_run": report(),
        "first_run_at": NOW - timedelta(days=3),
        "drift": 0,
        "quarantine": 0,
        "referrals": 3,
        "open": 3,
        "missing": 0,
        "by_type": {"co-sell": 3},
        "by_status": {"New": 3},
    }
    values |= changes
    values.setdefault("last_sync", values["last_run"])
    return Facts(**values)


def _place(cursor: str | None) -> int:
    if cursor is not None and not cursor.isdecimal():
        raise ForeignCursor
    return int(cursor or 0)


@dataclass
class MemoryReader:
    """Rows in a list; a cursor is the number of rows before it."""

    rows: list[ReferralSummary] = field(default_factory=lambda: [summary(n) for n in range(3)])
    runs: list[Report] = field(default_factory=lambda: [report()])
    entries: list[QuarantineItem] = field(default_factory=list)
    asked: list[tuple[ReferralFilter | None, Sort | None, int]] = field(default_factory=list)
    asked_companies: list[tuple[CompanyFilter | None, CompanySort | None, int]] = field(
        default_factory=list
    )

    def list_referrals(
        self, found: Any = None, *, sort: Any = None, cursor: str | None = None, limit: int = 50
    ) -> ReferralPage:
        self.asked.append((found, sort, limit))
        start = _place(cursor)
        more = start + limit < len(self.rows)
        return ReferralPage(
            rows=self.rows[start : start + limit],
            next_cursor=str(start + limit) if more else None,
            total=len(self.rows),
            total_is_exact=True,
        )

    def get_referral(self, referral_id: str) -> ReferralDetail | None:
        change = FieldChange(
            change_id=1, task_id=TASK_ID, changed_at=NOW, field="status", before="New", after=None
        )
        for row in self.rows:
            if row.referral_id == referral_id:
                return ReferralDetail(
                    summary=row,
                    contacts=[{"firstName": "Işıl", "email": "isil@fabrikam.example"}],
                    team=[],
                    changes=[change],
                    raw_data={"id": referral_id, "futureField": [1, None]},
                )
        return None

    def get_company(self, domain: str) -> Company | None:
        rows = [row for row in self.rows if row.domain == domain]
        if not rows:
            return None
        return Company(
            domain=domain,
            company_name=rows[0].company_name,
            referral_count=len(rows),
            co_sell_count=len(rows),
            marketplace_count=0,
            solution_provider_count=0,
            other_count=0,
            open_count=len(rows),
            open_value={"EUR": Decimal("48500.75"), "": Decimal(7)},
            newest_updated_at=NOW,
            first_seen_at=NOW,
        )

    def list_companies(
        self, found: Any = None, *, sort: Any = None, cursor: str | None = None, limit: int = 50
    ) -> CompanyPage:
        self.asked_companies.append((found, sort, limit))
        start = _place(cursor)
        domains = sorted({row.domain for row in self.rows if row.domain})
        found_there = [self.get_company(domain) for domain in domains[start : start + limit]]
        return CompanyPage(
            companies=[company for company in found_there if company],
            next_cursor=str(start + limit) if start + limit < len(domains) else None,
            total=len(domains),
        )

    def statistics(self, now: datetime) -> Statistics:
        week = Week(begins_on=now.date(), by_type={"co-sell": 2, "": 1})
        return Statistics(weeks=[week], by_country={"TR": 3})

    def list_runs(self, *, cursor: str | None = None, limit: int = 20) -> RunPage:
        if cursor is not None:
            raise ForeignCursor
        return RunPage(runs=self.runs[:limit], next_cursor=None)

    def get_run(self, task_id: str) -> Report | None:
        return next((run for run in self.runs if run.task_id == task_id), None)

    def list_quarantine(
        self, *, state: str | None = "open", cursor: str | None = None, limit: int = 50
    ) -> QuarantinePage:
        entries = [entry for entry in self.entries if state in (None, entry.state)]
        return QuarantinePage(entries=entries[:limit], next_cursor=None)


@dataclass
class MemorySignIn:
    progress: SignInProgress = field(
        default_factory=lambda: SignInProgress(state="pending", detail="Waiting.")
    )
    polls: list[tuple[str, str | None]] = field(default_factory=list)

    def start(self) -> PendingSignIn:
        return PendingSignIn(
            id="abcdefgh1234",
            user_code="F7KQ2M9XL",
            verification_uri="https://login.example/device",
            expires_at=NOW + timedelta(minutes=15),
            interval_s=5,
            message="Open the page and enter the code.",
        )

    def poll(self, flow_id: str, *, confirm_account: str | None = None) -> SignInProgress:
        self.polls.append((flow_id, confirm_account))
        return self.progress


@dataclass
class MemoryApp:
    settings: Settings = field(default_factory=lambda: Settings.from_env({}))
    reader: MemoryReader = field(default_factory=MemoryReader)
    sign_in: MemorySignIn = field(default_factory=MemorySignIn)
    key: str | None = KEY
    outcome: Report | Exception = field(default_factory=report)
    known: Facts = field(default_factory=facts)
    ready: Ready | Exception = field(
        default_factory=lambda: Ready(state="ready", checked_at=NOW, checks={"database": "ok"})
    )
    ran: list[dict[str, Any]] = field(default_factory=list)

    def operator_key(self) -> str | None:
        return self.key

    def sync(self, **wished: Any) -> Report:
        self.ran.append(wished)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return replace(self.outcome, trigger=wished["trigger"])

    def replay_quarantine(self, **wished: Any) -> Report:
        return self.sync(mode="replay", **wished)

    def health(self) -> Ready:
        if isinstance(self.ready, Exception):
            raise self.ready
        return self.ready

    def status(self) -> dict[str, Any]:
        expected = Expected(
            enabled=True, schedule="0 */10 * * * *", full_sync_every=timedelta(hours=24)
        )
        return status_of(self.known, expected, NOW)


def ask(
    app: MemoryApp | Callable[[], MemoryApp],
    route: Route[Any],
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = KEY,
    body: object = None,
    **placeholders: str,
) -> HttpAnswer:
    """Send a request with the operator's key, as a client that is no browser does."""
    sent = {"host": "localhost:7071", **({"x-api-key": key} if key else {}), **(headers or {})}
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    if content:
        sent.setdefault("content-type", "application/json")
    request = HttpRequest(
        method=route.method,
        path=f"/{route.path}",
        headers=sent,
        query=dict(query or {}),
        placeholders=placeholders,
        body=content,
        invocation_id="invocation",
    )
    return answer_request(request, route, (lambda: app) if isinstance(app, MemoryApp) else app)


def read(answer: HttpAnswer) -> Any:
    """The answer's JSON."""
    return json.loads(answer.body)
