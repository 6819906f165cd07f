"""Medians, ratios and budgets of what was measured, as text tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

PHASES = ("first_load", "nothing_changed", "one_percent_changed")
TITLES = {
    "product": "this product",
    "floor": "floor",
    "dlt_tuned": "dlt, tuned",
    "dlt_documented": "dlt, as documented",
    "row_by_row": "row by row",
    "first_load": "first load",
    "nothing_changed": "nothing changed",
    "one_percent_changed": "1 % changed",
}
MAX_PEAK_BYTES = 150_000_000
MAX_PAGE_MS = 50.0

type Results = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A promise about speed or size, and what was measured."""

    name: str
    allowed: str
    measured: str
    is_met: bool


def medians(loading: Sequence[Results]) -> list[Results]:
    """One entry for each size, phase and contender."""
    groups: dict[tuple[int, str, str], list[Results]] = {}
    for one in loading:
        groups.setdefault((one["referrals"], one["phase"], one["contender"]), []).append(one)
    return [
        {
            "referrals": referrals,
            "phase": phase,
            "contender": contender,
            "rounds": len(runs),
            **{
                key: median(run[key] for run in runs)
                for key in (
                    *("work_s", "wall_s", "client_cpu_s", "database_cpu_s", "simulator_cpu_s"),
                    *("peak_bytes", "requests", "wal_bytes"),
                )
            },
            "rows_written": runs[0]["rows_written"],
            "wrong": sum(run["wrong"] for run in runs),
        }
        for (referrals, phase, contender), runs in groups.items()
    ]


def find(rows: Iterable[Results], referrals: int, phase: str, contender: str) -> Results | None:
    """The entry of this size, phase and contender."""
    wanted = (referrals, phase, contender)
    for row in rows:
        if (row["referrals"], row["phase"], row["contender"]) == wanted:
            return row
    return None


def _work_s(one: Results) -> float:
    return float(one["work_s"])


def _cpu_s(one: Results) -> float:
    return float(one["client_cpu_s"] + one["database_cpu_s"])


def round_ratios(
    loading: Sequence[Results],
    referrals: int,
    phase: str,
    contender: str,
    to: str,
    used: Callable[[Results], float] = _work_s,
) -> list[float]:
    """The ratio of what two contenders used in each round, in which they took turns."""
    own = [used(one) for one in loading if _is(one, referrals, phase, contender)]
    others = [used(one) for one in loading if _is(one, referrals, phase, to)]
    return [mine / other for mine, other in zip(own, others, strict=False)]


def _is(one: Results, referrals: int, phase: str, contender: str) -> bool:
    return bool((one["referrals"], one["phase"], one["contender"]) == (referrals, phase, contender))


def budgets(results: Results) -> list[Budget]:
    """Every budget that something was measured for."""
    loading = results.get("loading", [])
    found: list[Budget] = []
    for referrals in sorted({one["referrals"] for one in loading}):
        found += _loading_budgets(loading, referrals)
    found += _latency_budgets(results.get("latency", []))
    found += _memory_budgets(results)
    for case in results.get("cold_start", {}).get("cases", []):
        if case["case"] == "GET /healthz":
            found.append(
                Budget(
                    name="import and first GET /healthz",
                    allowed="1.6 × a bare app",
                    measured=f"{case['ratio']:.2f} × (CPU {case['cpu_ratio']:.2f} ×)",
                    is_met=case["ratio"] <= 1.6,
                )
            )
    found += _reading_budgets(results.get("reading", {}).get("questions", []))
    return found


def _loading_budgets(loading: Sequence[Results], referrals: int) -> list[Budget]:
    found = []
    for phase, most in (("first_load", 1.3), ("one_percent_changed", 2.0)):
        ratios = round_ratios(loading, referrals, phase, "product", "floor")
        if ratios:
            found.append(
                Budget(
                    name=f"{TITLES[phase]}, {referrals:,}",
                    allowed=f"{most} × the floor",
                    measured=f"{median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})",
                    is_met=median(ratios) <= most,
                )
            )
    faster = round_ratios(loading, referrals, "first_load", "dlt_tuned", "product")
    if faster:
        found.append(
            Budget(
                name=f"first load, {referrals:,}, against dlt",
                allowed="2 × faster than its best",
                measured=f"{median(faster):.1f} × faster",
                is_met=median(faster) >= 2,
            )
        )
    row = find(medians(loading), referrals, "nothing_changed", "product")
    if row is not None:
        ours = [o for o in loading if _is(o, referrals, "nothing_changed", "product")]
        floor = [o for o in loading if _is(o, referrals, "nothing_changed", "floor")]
        pages = [one["work_s"] for one in floor] or [0.0]
        beside_ms = (row["work_s"] - median(pages)) * 1000
        written = max(one["rows_written"] or 0 for one in ours)
        requests = max(one["requests"] for one in ours)
        found.append(
            Budget(
                name=f"nothing changed, {referrals:,}",
                allowed="1 request, 0 rows written, 50 ms beside it",
                measured=f"{requests} request, {written} rows, {row['work_s'] * 1000:.0f} ms in "
                f"all, {beside_ms:+.0f} ms beside the floor's own",
                is_met=requests == 1 and written == 0 and beside_ms <= 50,
            )
        )
    return found


def _latency_budgets(latency: Sequence[Results]) -> list[Budget]:
    without = [one for one in latency if one["latency_ms"] == 0]
    found = []
    for one in latency:
        if one["latency_ms"] > 0 and without:
            waiting_s = one["requests"] * one["latency_ms"] / 1000
            least_s = max(waiting_s, without[0]["work_s"])
            found.append(
                Budget(
                    name=f"first load, {one['referrals']:,}, {one['latency_ms']:.0f} ms a request",
                    allowed="1.1 × the larger of latency and work",
                    measured=f"{one['work_s']:.1f} s, {one['work_s'] / least_s:.2f} × "
                    f"{least_s:.1f} s",
                    is_met=one["work_s"] <= 1.1 * least_s,
                )
            )
    return found


def _memory_budgets(results: Results) -> list[Budget]:
    peaks: dict[int, int] = {}
    for one in (*results.get("loading", []), *results.get("growth", [])):
        if one["contender"] == "product":
            peaks[one["referrals"]] = max(peaks.get(one["referrals"], 0), one["peak_bytes"])
    if not peaks:
        return []
    return [
        Budget(
            name="peak memory",
            allowed="150 MB, the same at every size",
            measured=", ".join(f"{size:,}: {peaks[size] / 1e6:.0f} MB" for size in sorted(peaks)),
            is_met=max(peaks.values()) < MAX_PEAK_BYTES
            and max(peaks.values()) - min(peaks.values()) < 0.2 * max(peaks.values()),
        )
    ]


def _reading_budgets(reading: Sequence[Results]) -> list[Budget]:
    found = []
    for size in sorted({one["referrals"] for one in reading}):
        ours = [one for one in reading if one["referrals"] == size]
        slow = [one for one in ours if one["p95_ms"] > MAX_PAGE_MS]
        worst = max(ours, key=lambda one: float(one["p95_ms"]))
        found.append(
            Budget(
                name=f"reading, {size:,}",
                allowed="p95 under 50 ms for a page of 50",
                measured=f"{len(ours) - len(slow)} of {len(ours)} questions; the slowest, "
                f"{worst['case']}: {worst['p95_ms']:.0f} ms",
                is_met=not slow,
            )
        )
    return found


def tables(results: Results) -> str:
    """Everything as Markdown."""
    machine = results["machine"]
    parts = [
        (
            f"Measured {machine['at']} on {machine['cores']} cores ({machine['processor']}), "
            f"{machine['system']}, Python {machine['python']}, PostgreSQL {machine['postgres']}, "
            f"dlt {machine['dlt']}; load average before {machine['load_before']}, after "
            f"{machine['load_after']}."
        ),
        "### Budgets",
        _table(
            ("budget", "allowed", "measured", "met"),
            [
                (one.name, one.allowed, one.measured, "yes" if one.is_met else "**no**")
                for one in budgets(results)
            ],
        ),
    ]
    parts += _loading_tables(results.get("loading", []))
    if results.get("latency"):
        parts += ["### Latency", _usage_table(results["latency"], latency=True)]
    if results.get("cold_start"):
        parts += _cold_tables(results["cold_start"])
    if results.get("reading"):
        parts += _reading_tables(results["reading"])
    if results.get("growth"):
        parts += [
            "### Growth, this product alone",
            _table(
                (
                    "referrals",
                    "page",
                    "latency",
                    "phase",
                    "work",
                    "per 1,000",
                    "memory",
                    "requests",
                ),
                [
                    (
                        f"{one['referrals']:,}",
                        str(one["page_size"]),
                        f"{one['latency_ms']:.0f} ms",
                        TITLES[one["phase"]],
                        f"{one['work_s']:.2f} s",
                        f"{one['work_s'] / one['referrals'] * 1e6:.0f} ms"
                        if one["phase"] == "first_load"
                        else "",
                        f"{one['peak_bytes'] / 1e6:.0f} MB",
                        str(one["requests"]),
                    )
                    for one in results["growth"]
                ],
            ),
        ]
    return "\n\n".join(parts)


def _loading_tables(loading: Sequence[Results]) -> list[str]:
    rows = medians(loading)
    parts = []
    for referrals in sorted({row["referrals"] for row in rows}):
        for phase in PHASES:
            some = [row for row in rows if (row["referrals"], row["phase"]) == (referrals, phase)]
            if not some:
                continue
            parts += [
                f"### {TITLES[phase].capitalize()}, {referrals:,} referrals",
                _table(
                    (
                        *(
                            "",
                            "rounds",
                            "work",
                            "× floor",
                            "CPU × floor",
                            "whole process",
                            "client CPU",
                        ),
                        *("database CPU", "simulator CPU", "memory", "requests", "WAL"),
                        "rows wrong",
                    ),
                    [_loading_row(row, loading) for row in some],
                ),
            ]
    return parts


def _loading_row(row: Results, loading: Sequence[Results]) -> tuple[str, ...]:
    compared = loading, row["referrals"], row["phase"], row["contender"], "floor"
    ratios, cpu_ratios = round_ratios(*compared), round_ratios(*compared, used=_cpu_s)
    return (
        TITLES[row["contender"]],
        str(row["rounds"]),
        f"{row['work_s']:.2f} s",
        f"{median(ratios):.2f}" if ratios else "",
        f"{median(cpu_ratios):.2f}" if cpu_ratios else "",
        f"{row['wall_s']:.2f} s",
        f"{row['client_cpu_s']:.2f} s",
        f"{row['database_cpu_s']:.2f} s",
        f"{row['simulator_cpu_s']:.2f} s",
        f"{row['peak_bytes'] / 1e6:.0f} MB",
        f"{row['requests']:.0f}",
        f"{row['wal_bytes'] / 1e6:.1f} MB",
        str(row["wrong"]),
    )


def _usage_table(rows: Sequence[Results], *, latency: bool) -> str:
    return _table(
        ("referrals", *(("latency",) if latency else ()), "work", "client CPU", "requests"),
        [
            (
                f"{row['referrals']:,}",
                *((f"{row['latency_ms']:.0f} ms",) if latency else ()),
                f"{row['work_s']:.2f} s",
                f"{row['client_cpu_s']:.2f} s",
                str(row["requests"]),
            )
            for row in rows
        ],
    )


def _cold_tables(cold: Results) -> list[str]:
    return [
        "### Cold start",
        _table(
            ("", "import", "first answer", "× bare app", "the same in CPU time"),
            [
                (
                    case["case"],
                    f"{case['import_s'] * 1000:.0f} ms",
                    f"{case['answer_s'] * 1000:.0f} ms",
                    f"{case['ratio']:.2f}",
                    f"{case['cpu_ratio']:.2f}",
                )
                for case in cold["cases"]
            ],
        ),
        "Longest below `import function_app`, own time: "
        + ", ".join(f"{one['package']} {one['own_ms']:.1f} ms" for one in cold["imports"])
        + ".",
    ]


def _reading_tables(reading: Results) -> list[str]:
    questions: Sequence[Results] = reading["questions"]
    sizes = sorted({one["referrals"] for one in questions})
    by_case: dict[str, dict[int, Results]] = {}
    for one in questions:
        by_case.setdefault(one["case"], {})[one["referrals"]] = one
    return [
        "### Reading, p50 / p95 in ms for a page of 50 (s: with a sequential scan)",
        _table(
            ("question", *(f"{size:,}" for size in sizes)),
            [
                (name, *(_reading_cell(at.get(size)) for size in sizes))
                for name, at in by_case.items()
            ],
        ),
        "### The whole list as CSV",
        _table(
            ("referrals", "parts", "size", "in all", "a part", "the longest", "memory"),
            [
                (
                    f"{one['rows']:,}",
                    f"{one['parts']}",
                    f"{one['bytes'] / 1e6:.1f} MB",
                    f"{one['work_s']:.1f} s",
                    f"{one['p50_ms']:.0f} ms",
                    f"{one['longest_ms']:.0f} ms",
                    f"{one['peak_bytes'] / 1e6:.0f} MB",
                )
                for one in reading["exports"]
            ],
        ),
    ]


def _reading_cell(one: Results | None) -> str:
    if one is None:
        return ""
    scanned = " s" if one["sequential_scans"] else ""
    return f"{one['p50_ms']:.1f} / {one['p95_ms']:.1f}{scanned}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)
