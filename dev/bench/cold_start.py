"""What a fresh worker process needs until its first answer, beside the smallest app there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from dev.bench.stage import Stage
from dev.folders import CLONE
from dev.services.processes import ServiceError

BARE = CLONE / "dev" / "bench" / "bare_app"
CASES = (
    ("bare app, GET /healthz", BARE, "health", "GET"),
    ("GET /healthz", CLONE, "health", "GET"),
    ("GET …/referrals", CLONE, "referrals", "GET"),
    ("POST …/referrals/sync", CLONE, "sync", "POST"),
)
IMPORT_LINES = 12


def measure_cold_start(folder: Path, *, times: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Import and first answer of each case, in turns; medians, and ratios to the bare app.

    The worker library itself is loaded by the platform beforehand and counts for none.
    """
    found: dict[str, list[dict[str, Any]]] = {title: [] for title, *_ in CASES}
    with Stage.set(folder, referrals=1000) as stage, stage.arena("product") as arena:
        stage.measure(arena, "first_load")
        environ = {**stage.product_environ(arena), "PYTHONPATH": str(CLONE)}
        environ["HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"] = "0 */10 * * * *"
        for _ in range(times):
            for title, app, name, method in CASES:
                found[title].append(_start(folder, environ, app, name, method))
        breakdown = _import_times(environ)
    bare = _total(found[CASES[0][0]], "s")
    bare_cpu = _total(found[CASES[0][0]], "cpu_s")
    cases = []
    for title, runs in found.items():
        case = {
            "case": title,
            "import_s": median(run["import_s"] for run in runs),
            "answer_s": median(run["answer_s"] for run in runs),
            "total_s": _total(runs, "s"),
            "total_cpu_s": _total(runs, "cpu_s"),
            "ratio": _total(runs, "s") / bare,
            "cpu_ratio": _total(runs, "cpu_s") / bare_cpu,
            "status": runs[0]["status"],
        }
        cases.append(case)
        say(
            f"  {title:24} import {case['import_s'] * 1000:6.0f} ms, first answer "
            f"{case['answer_s'] * 1000:6.0f} ms, {case['ratio']:.2f} × (CPU "
            f"{case['cpu_ratio']:.2f} ×), status {case['status']}"
        )
    return {"times": times, "cases": cases, "imports": breakdown}


def _total(runs: list[dict[str, Any]], unit: str) -> float:
    return float(median(run[f"import_{unit}"] + run[f"answer_{unit}"] for run in runs))


def _start(
    folder: Path, environ: dict[str, str], app: Path, name: str, method: str
) -> dict[str, Any]:
    file = folder / "cold.json"
    file.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "dev.bench.contenders.cold", str(app), name, method, str(file)],
        cwd=CLONE,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if not file.exists():
        raise ServiceError(f"{app} did not answer:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    measured: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return measured


def _import_times(environ: dict[str, str]) -> list[dict[str, Any]]:
    """The packages below `import function_app` that take longest by themselves."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import function_app"],
        cwd=CLONE,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    took: dict[str, int] = {}
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        name = rest.partition("|")[2].strip()
        if own.strip().isdigit() and name:
            package = ".".join(name.split(".")[: 2 if name.startswith("azure.") else 1])
            took[package] = took.get(package, 0) + int(own)
    longest = sorted(took.items(), key=lambda item: -item[1])[:IMPORT_LINES]
    return [{"package": name, "own_ms": us / 1000} for name, us in longest]
