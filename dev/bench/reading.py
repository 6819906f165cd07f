"""Listing, searching and looking up at several sizes, and whether any of it reads whole tables."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from dev.bench.contenders.floor import COLUMNS
from dev.bench.stage import Arena, Stage, run_child
from pc_core.reading import (
    CompanyFilter,
    CompanySort,
    CompanySortKey,
    Order,
    ReferralFilter,
    Sort,
    SortKey,
)
from pc_core.store.pool import Database
from pc_core.store.reading.reader import PostgresReader

PAGE = 50
LOADED = 10_000
"""So many referrals come through a real sync; more are copies of them with other ids and dates."""

_INSERT = """
INSERT INTO partner_center_referrals ({columns})
SELECT {values} FROM partner_center_referrals r
WHERE r.referral_id IN (SELECT referral_id FROM partner_center_referrals ORDER BY 1 LIMIT {base})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that people or programs ask for."""

    name: str
    ask: Callable[[PostgresReader], Any]


def _list(name: str, key: SortKey = "updated", order: Order = "desc", **wanted: Any) -> Case:
    found = ReferralFilter(**wanted)
    sort = Sort(key=key, order=order)
    return Case(
        name=f"{name}, {key}:{order}",
        ask=lambda reader: reader.list_referrals(found, sort=sort, limit=PAGE),
    )


def _companies(
    name: str, key: CompanySortKey = "updated", order: Order = "desc", **wanted: Any
) -> Case:
    found = CompanyFilter(**wanted)
    sort = CompanySort(key=key, order=order)
    return Case(
        name=f"{name}, {key}:{order}",
        ask=lambda reader: reader.list_companies(found, sort=sort, limit=PAGE),
    )


def _second_page(name: str) -> Case:
    def ask(reader: PostgresReader) -> Any:
        first = reader.list_referrals(limit=PAGE)
        return reader.list_referrals(cursor=first.next_cursor, limit=PAGE)

    return Case(name=name, ask=ask)


def cases(domain: str, word: str, referral_id: str) -> list[Case]:
    """The named pairs of filter and sort, and the other questions."""
    now = datetime.now(UTC)
    opened = ("New", "Active")
    return [
        _list("all"),
        _list("all", "company", "asc"),
        _list("all", "deal_value", "desc"),
        _list("all", "synced", "desc"),
        _second_page("first and second page, updated:desc"),
        _list("open", status=opened),
        _list("open", "expires", "asc", status=opened),
        _list("open co-sell", "created", "desc", status=opened, type=("co-sell",)),
        _list("won", "updated", "desc", status=("Closed",), substatus=("Won",)),
        _list("one country", country=("TR",)),
        _list("open in one country", "deal_value", "desc", status=opened, country=("DE",)),
        _list("one company's", domain=(domain,)),
        _list("without a domain", domain_missing=True),
        _list("changed this week", updated_since=now - timedelta(days=7)),
        _list("expiring soon", "expires", "asc", attention="expiring"),
        _list("search, one word", q=word),
        _list("search, a beginning", "company", "asc", q=word[:3]),
        _list("search, two words", q=f"{word} a"),
        *(
            _list(f"attention: {kind}", attention=kind)
            for kind in ("new", "no_domain", "incomplete", "won_early")
        ),
        Case(name="one company", ask=lambda reader: reader.get_company(domain)),
        _companies("companies"),
        _companies("companies", "company", "asc"),
        _companies("companies with several", several=True),
        _companies("companies with open ones", has_open=True),
        _companies("companies, one word", q=word),
        Case(name="one referral with history", ask=lambda reader: reader.get_referral(referral_id)),
        Case(name="status", ask=lambda reader: reader.facts()),
        Case(name="statistics", ask=lambda reader: reader.statistics(now)),
        # The first to ask after a run.
        Case(
            name="status, counted anew",
            ask=lambda reader: PostgresReader(reader._database).facts(),  # noqa: SLF001
        ),
        Case(
            name="statistics, counted anew",
            ask=lambda reader: PostgresReader(reader._database).statistics(now),  # noqa: SLF001
        ),
    ]


def measure_reading(
    folder: Path, *, sizes: list[int], times: int, say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """What was asked at each size.

    Returns:
        questions: p50 and p95 in milliseconds of each case, and sequential scans per question;
        exports: rows, parts, seconds and peak memory of the whole list as CSV.
    """
    questions: list[dict[str, Any]] = []
    exports: list[dict[str, Any]] = []
    base = min(LOADED, sizes[0])
    with Stage.set(folder, referrals=base) as stage, stage.arena("product") as arena:
        stage.measure(arena, "first_load")
        held = base
        for size in sizes:
            _grow(arena, base=base, held=held, size=size)
            held = max(held, size)
            arena.settle()
            questions += _ask_all(arena, size, times, say)
            exports.append(_export(stage, arena, size, say))
    return {"questions": questions, "exports": exports}


def _export(stage: Stage, arena: Arena, size: int, say: Callable[[str], None]) -> dict[str, Any]:
    file = arena.folder / "export.json"
    environ = stage.product_environ(arena)
    environ["HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"] = "0 */10 * * * *"
    run_child(
        [sys.executable, "-m", "dev.bench.contenders.export", str(file)],
        environ,
        called="The export",
    )
    one: dict[str, Any] = {"referrals": size, **json.loads(file.read_text(encoding="utf-8"))}
    say(
        f"  {size:>9,} CSV: {one['rows']:,} rows in {one['parts']} parts, {one['work_s']:.1f} s, "
        f"the longest part {one['longest_ms']:.0f} ms, {one['peak_bytes'] / 1e6:.0f} MB"
    )
    return one


def _grow(arena: Arena, *, base: int, held: int, size: int) -> None:
    columns = [*COLUMNS, "synced_at"]
    dates = {"pc_created_at", "pc_updated_at", "expires_at", "accepted_at", "closed_at"}
    with psycopg.connect(arena.url, autocommit=True) as connection:
        for copy in range(held // base, size // base):
            values = []
            for name in columns:
                if name == "referral_id":
                    values.append(f"md5(r.referral_id || '{copy}')::uuid::text")
                elif name in dates:
                    values.append(f"r.{name} - interval '{copy * 37} minutes'")
                elif name == "domain":
                    values.append(
                        f"CASE WHEN {copy} % 5 = 0 THEN r.domain ELSE '{copy}.' || r.domain END"
                    )
                else:
                    values.append(f"r.{name}")
            connection.execute(
                _INSERT.format(columns=", ".join(columns), values=", ".join(values), base=base)
            )


def _ask_all(
    arena: Arena, size: int, times: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    with psycopg.connect(arena.url) as connection:
        row = connection.execute(
            "SELECT domain, split_part(company_sort, ' ', 1), referral_id "
            "FROM partner_center_referrals WHERE domain IS NOT NULL AND company_sort ~ '^[a-z]{5}' "
            "ORDER BY referral_id LIMIT 1"
        ).fetchone()
    if row is None:
        raise AssertionError("the simulator's referrals have companies with domains")
    measured = []
    for case in cases(*row):
        before = _sequential_scans(arena)
        database = Database(arena.url)
        reader = PostgresReader(database)
        case.ask(reader)
        took_ms = []
        for _ in range(times):
            began_s = time.perf_counter()
            case.ask(reader)
            took_ms.append((time.perf_counter() - began_s) * 1000)
        database.close()
        took_ms.sort()
        scans = (_sequential_scans(arena) - before) / (times + 1)
        one = {
            "referrals": size,
            "case": case.name,
            "p50_ms": took_ms[len(took_ms) // 2],
            "p95_ms": took_ms[min(len(took_ms) - 1, round(len(took_ms) * 0.95))],
            "sequential_scans": round(scans, 2),
        }
        measured.append(one)
        say(
            f"  {size:>9,} {case.name:42} p50 {one['p50_ms']:7.1f} ms, p95 {one['p95_ms']:7.1f} ms,"
            f" {one['sequential_scans']} sequential scans"
        )
    return measured


def _sequential_scans(arena: Arena) -> int:
    # A server process tells its counts when it ends, a moment after the client has gone.
    time.sleep(0.1)
    with psycopg.connect(arena.url) as connection:
        row = connection.execute(
            "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'partner_center_referrals'"
        ).fetchone()
    return int(row[0]) if row else 0
