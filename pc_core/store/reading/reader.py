"""The port `reading.Reader` on PostgreSQL, and the facts that health judges."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, LiteralString, override

from msgspec.structs import fields

from pc_core.health.facts import Facts, Schema
from pc_core.reading import (
    MAX_CHANGES,
    Company,
    CompanyFilter,
    CompanyPage,
    CompanySort,
    FieldChange,
    QuarantineItem,
    QuarantinePage,
    QuarantineState,
    Reader,
    ReferralDetail,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    RunPage,
    Sort,
    Statistics,
    Week,
)
from pc_core.store import migrate
from pc_core.store.batch import read_only
from pc_core.store.faults import translated
from pc_core.store.pool import Database
from pc_core.store.reading import companies, listing
from pc_core.store.reading.cursors import read_cursor, write_cursor
from pc_core.store.statements import load_statements
from pc_core.store.writing import state as states
from pc_core.store.writing.runs import read_report
from pc_core.sync.report import Report

if TYPE_CHECKING:
    from psycopg import Connection

_SQL = load_statements("reading")
_CHANGE = tuple(field.name for field in fields(FieldChange))

WEEKS = 13
"""How many weeks the statistics cover: a quarter."""

MAX_COUNTRIES = 60
"""Most countries in the statistics: those with the most referrals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    by_status: Mapping[str, int]
    by_type: Mapping[str, int]
    missing: int
    missing_open: int


class PostgresReader(Reader):
    """The database, as people and other systems read it; it needs no lease and writes nothing.

    Every call raises TryLater or FixSetting.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counting = threading.Lock()
        self._counted: tuple[tuple[Any, ...], _Totals] | None = None
        self._statistics: tuple[tuple[Any, ...], Statistics] | None = None

    # Referrals

    @override
    def list_referrals(
        self,
        found: ReferralFilter | None = None,
        *,
        sort: Sort | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> ReferralPage:
        with translated("list referrals"):
            return listing.list_referrals(
                self._database, found or ReferralFilter(), sort or Sort(), cursor, limit
            )

    @override
    def get_referral(self, referral_id: str) -> ReferralDetail | None:
        with translated("read a referral"), read_only(self._database.connection) as connection:
            cursor = connection.execute(_SQL["referral"], {"referral_id": referral_id})
            row = cursor.fetchone()
            if row is None:
                return None
            names = [column.name for column in cursor.description or ()]
            changes = connection.execute(
                _SQL["changes"], {"referral_id": referral_id, "limit": MAX_CHANGES}
            ).fetchall()
        found = dict(zip(names, row, strict=True))
        return ReferralDetail(
            summary=ReferralSummary(**{name: found[name] for name in listing.SUMMARY_COLUMNS}),
            contacts=found["contacts"],
            team=found["team"],
            changes=[FieldChange(**dict(zip(_CHANGE, change, strict=True))) for change in changes],
            raw_data=found["raw_data"],
        )

    @override
    def get_company(self, domain: str) -> Company | None:
        with translated("read a company"):
            return companies.get_company(self._database, domain)

    @override
    def list_companies(
        self,
        found: CompanyFilter | None = None,
        *,
        sort: CompanySort | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> CompanyPage:
        with translated("list companies"):
            return companies.list_companies(
                self._database, found or CompanyFilter(), sort or CompanySort(), cursor, limit
            )

    @override
    def statistics(self, now: datetime) -> Statistics:
        # Counted again only when a run has written something, or a new week has begun.
        monday = now.astimezone(UTC).date() - timedelta(days=now.astimezone(UTC).weekday())
        first = monday - timedelta(weeks=WEEKS - 1)
        with translated("count referrals"), read_only(self._database.connection) as connection:
            version = (*(connection.execute(_SQL["version"]).fetchone() or ()), first)
            with self._counting:
                if self._statistics is not None and self._statistics[0] == version:
                    return self._statistics[1]
                since = datetime.combine(first, time(), UTC)
                weeks = connection.execute(_SQL["weeks"], {"since": since}).fetchall()
                countries = connection.execute(
                    _SQL["countries"], {"limit": MAX_COUNTRIES}
                ).fetchall()
                by_week: dict[date, dict[str, int]] = {
                    first + timedelta(weeks=number): {} for number in range(WEEKS)
                }
                for begins_on, kind, count in weeks:
                    by_week.setdefault(begins_on, {})[kind] = count
                found = Statistics(
                    weeks=[
                        Week(begins_on=begins_on, by_type=by_type)
                        for begins_on, by_type in by_week.items()
                        if begins_on <= monday
                    ],
                    by_country=dict(countries),
                )
                self._statistics = (version, found)
                return found

    # Runs

    @override
    def list_runs(self, *, cursor: str | None = None, limit: int = 20) -> RunPage:
        values: dict[str, Any] = {"limit": limit + 1}
        where = ""
        if cursor:
            place = read_cursor("runs", cursor, tuple[datetime, str])
            values |= {"started_at": place[0], "task_id": place[1]}
            where = " WHERE (r.started_at, r.task_id) < (%(started_at)s, %(task_id)s)"
        with translated("list runs"), read_only(self._database.connection) as connection:
            runs = _read_runs(
                connection,
                f"{where} ORDER BY r.started_at DESC, r.task_id DESC LIMIT %(limit)s",
                values,
            )
        next_cursor = None
        if len(runs) > limit:
            runs = runs[:limit]
            next_cursor = write_cursor("runs", (runs[-1].started_at, runs[-1].task_id))
        return RunPage(runs=runs, next_cursor=next_cursor)

    @override
    def get_run(self, task_id: str) -> Report | None:
        with translated("read a run"), read_only(self._database.connection) as connection:
            runs = _read_runs(connection, " WHERE r.task_id = %(task_id)s", {"task_id": task_id})
        return runs[0] if runs else None

    # Quarantine

    @override
    def list_quarantine(
        self,
        *,
        state: QuarantineState | None = "open",
        cursor: str | None = None,
        limit: int = 50,
    ) -> QuarantinePage:
        bound = ["quarantine", state]
        values: dict[str, Any] = {"limit": limit + 1, "state": state}
        conditions = ["state = %(state)s"] if state is not None else []
        if cursor:
            values["before"] = read_cursor(bound, cursor, int)
            conditions.append("entry_id < %(before)s")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        with translated("list the quarantine"), read_only(self._database.connection) as connection:
            rows = connection.execute(
                f"{_SQL['quarantine']}{where} ORDER BY entry_id DESC LIMIT %(limit)s", values
            ).fetchall()
        names = QuarantineItem.__struct_fields__
        entries = [QuarantineItem(**dict(zip(names, row, strict=True))) for row in rows[:limit]]
        more = len(rows) > limit
        return QuarantinePage(
            entries=entries, next_cursor=write_cursor(bound, entries[-1].entry_id) if more else None
        )

    # Health

    def schema(self) -> Schema:
        """The schema's revisions; also before any migration."""
        with (
            translated("read the schema's revision"),
            read_only(self._database.connection) as connection,
        ):
            return _read_schema(connection)

    def facts(self) -> Facts:
        """Everything that health judges and the page's indicator shows, from one snapshot."""
        with (
            translated("read how the sync stands"),
            read_only(self._database.connection) as connection,
        ):
            schema = _read_schema(connection)
            newest = _read_runs(connection, " ORDER BY r.started_at DESC LIMIT 50", {})
            running = next((run for run in newest if run.finished_at is None), None)
            ended = [run for run in newest if run.finished_at is not None]
            synced = (run for run in ended if run.mode in ("incremental", "full"))
            counts = self._count(connection)
            return Facts(
                schema=schema,
                state=states.load_state(connection),
                sign_in=states.load_sign_in(connection),
                running=running,
                last_run=ended[0] if ended else None,
                last_sync=next(synced, None),
                first_run_at=_one(connection, "first_run"),
                drift=_one(connection, "drift"),
                quarantine=_one(connection, "quarantine_count"),
                last_sweep_received=_one(connection, "last_sweep_received"),
                referrals=sum(counts.by_status.values()),
                open=counts.by_status.get("New", 0)
                + counts.by_status.get("Active", 0)
                - counts.missing_open,
                missing=counts.missing,
                by_type=counts.by_type,
                by_status=counts.by_status,
            )

    def _count(self, connection: Connection[Any]) -> _Totals:
        version = connection.execute(_SQL["version"]).fetchone() or ()
        with self._counting:
            if self._counted is not None and self._counted[0] == version:
                return self._counted[1]
            missing = connection.execute(_SQL["missing"]).fetchall()[0]
            by_status: Counter[str] = Counter()
            by_type: Counter[str] = Counter()
            for status, kind, count in connection.execute(_SQL["facets"]).fetchall():
                by_status[status] += count
                by_type[kind] += count
            counts = _Totals(
                by_status=by_status,
                by_type=by_type,
                missing=missing[0],
                missing_open=missing[1],
            )
            self._counted = (version, counts)
            return counts


def _read_runs(
    connection: Connection[Any], tail: LiteralString, values: dict[str, Any]
) -> list[Report]:
    rows = connection.execute(f"{_SQL['runs']}{tail}", values).fetchall()
    return [read_report(row) for row in rows]


def _read_schema(connection: Connection[Any]) -> Schema:
    status = migrate.compare(migrate.read_revision(connection))
    return Schema(current=status.current, expected=status.expected, is_current=status.is_current)


def _one(connection: Connection[Any], name: str) -> Any:
    row = connection.execute(_SQL[name]).fetchone()
    return row[0] if row else None
