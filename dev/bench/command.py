"""The command line of the benchmark: what to measure, and where the results go."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dev import machine
from dev.bench.cold_start import measure_cold_start
from dev.bench.drawing import draw
from dev.bench.growth import measure_growth
from dev.bench.loading import SHORT_UP_TO, measure_latency, measure_loading
from dev.bench.options import SECTIONS
from dev.bench.reading import measure_reading
from dev.bench.stage import CONTENDERS_NEED
from dev.bench.summary import Results, budgets, tables
from dev.bootstrap import SetupError
from dev.folders import CLONE, state_folder
from dev.services.processes import ServiceError

MILLION = 1_000_000


def main(options: argparse.Namespace) -> int:
    """Measure, print, and write the results; returns the exit code."""
    if options.draw is not None:
        draw(options.draw)
        return 0
    folder = state_folder() / "bench" / str(os.getpid())
    folder.mkdir(parents=True)
    try:
        results = _measure(options, folder)
    except (ServiceError, SetupError) as error:
        _say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        _say("\nStopped.")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _say("\n" + tables(results))
    wrong = sum(one["wrong"] for one in (*results.get("loading", []), *results.get("growth", [])))
    missed = [budget.name for budget in budgets(results) if not budget.is_met]
    _say(f"\nBudgets missed: {'; '.join(missed)}." if missed else "\nEvery budget measured is met.")
    if wrong:
        _say(f"{wrong} rows differ from the simulator's truth: the figures mean nothing.")
    return 1 if wrong else 0


def _measure(options: argparse.Namespace, folder: Path) -> Results:
    sizes: list[int] = [2000] if options.quick else options.n
    rounds = 1 if options.quick else options.rounds
    # What takes a tenth of a second varies by a fifth of it.
    more_rounds = 1 if options.quick else 3
    reading_sizes = [size for size in (10_000, 100_000) if size <= max(sizes)] or sizes
    variants = [(sizes[0], page, ms) for page, ms in ((200, 0.0), (100, 0.0), (25, 0.0))]
    variants += [(sizes[0], 200, 2 * options.latency)]
    variants += [(size, 200, 0.0) for size in sizes[1:]]
    if options.full:
        reading_sizes.append(MILLION)
        variants.append((MILLION, 200, 0.0))
    results: Results = {"machine": _machine()}
    steps: dict[str, Callable[[Path], Any]] = {
        "loading": lambda part: [
            one.to_json()
            for size in sizes
            for one in measure_loading(
                part / str(size),
                referrals=size,
                rounds=rounds * more_rounds if size <= SHORT_UP_TO else rounds,
                contenders=options.contenders,
                slow_too=options.full,
                say=_say,
            )
        ],
        "latency": lambda part: [
            one.to_json()
            for one in measure_latency(
                part, referrals=sizes[-1], latency_ms=options.latency, say=_say
            )
        ],
        "cold_start": lambda part: measure_cold_start(part, times=3 + 3 * rounds, say=_say),
        "reading": lambda part: measure_reading(
            part, sizes=reading_sizes, times=10 * rounds, say=_say
        ),
        "growth": lambda part: measure_growth(part, variants=variants, say=_say),
    }
    for section in (name for name in SECTIONS if name in options.only):
        _say(f"{section.replace('_', ' ').capitalize()}:")
        results[section] = steps[section](folder / section)
        results["machine"]["load_after"] = _load()
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder / section, ignore_errors=True)
    return results


def _machine() -> dict[str, Any]:
    pins = dict(
        line.split("==")
        for line in (CLONE / CONTENDERS_NEED[0]).read_text(encoding="utf-8").split()
        if "==" in line
    )
    return {
        **machine.describe(),
        "processor": _processor(),
        "dlt": pins["dlt[postgres]"],
        "msgspec": version("msgspec"),
        "psycopg": version("psycopg"),
        "load_before": _load(),
        "load_after": _load(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _say(text: str) -> None:
    print(text, flush=True)
