"""What Lighthouse says of the main views: a slow phone, a cold cache, signed in."""

import json
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from dev.services.npm import lighthouse, node
from tests.web.conftest import FLAGS, Served

pytestmark = [pytest.mark.needs_chromium, pytest.mark.long]

CATEGORIES = ("performance", "accessibility", "best-practices")
LEAST = 95
LONGEST_S = 90.0
TRIES = 4
"""The machine is shared, so a slow moment is not held against the page; a slow page always is. The
first try also tells how fast the machine is."""

SLOWDOWN = 4.0
"""What makes a slow phone of a fast machine: Lighthouse's default."""

FAST = 2000.0
"""The BenchmarkIndex of a fast machine (Lighthouse's guide to throttling: 1,500 to 2,000). A slower
one is slowed down by as much less, so that the phone stays the same."""

UNRECORDED = "Something went wrong with recording the trace"
"""Begins each of Lighthouse's messages about a trace without an event that it needs."""


class Unrecorded(Exception):
    """Lighthouse measured nothing and asks to be run again."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What Lighthouse says of a view, and how fast a machine it had."""

    scores: dict[str, int]
    lacking: list[str]
    machine: float


type Ask = Callable[[str, float], Verdict]


@pytest.fixture
def verdict_on(filled: Served, chromium_path: str, tmp_path: Path) -> Ask:
    def ask(path: str, slowdown: float) -> Verdict:
        report = tmp_path / "report.json"
        done = subprocess.run(
            [
                str(node()),
                str(lighthouse()),
                f"{filled.url}/mini-ui/{path}",
                "--quiet",
                "--output=json",
                f"--output-path={report}",
                "--no-enable-error-reporting",
                f"--throttling.cpuSlowdownMultiplier={slowdown:.2f}",
                f"--only-categories={','.join(CATEGORIES)}",
                f"--chrome-flags=--headless=new {' '.join(FLAGS)}",
                # The page finds itself signed in without asking for the key.
                f"--extra-headers={json.dumps({'X-API-Key': filled.key})}",
            ],
            env={**os.environ, "CHROME_PATH": chromium_path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
        # What other tests leave of it; at the start, where the index is found, they may pause.
        cores, load = psutil.cpu_count() or 1, psutil.getloadavg()[0]
        if done.returncode != 0 and UNRECORDED in done.stderr:
            raise Unrecorded(done.stderr)
        assert done.returncode == 0, done.stderr
        found: Any = json.loads(report.read_text(encoding="utf-8"))
        assert "runtimeError" not in found, found["runtimeError"]
        lacking = [
            f"{audit['id']}: {audit.get('displayValue', audit['title'])}"
            for audit in found["audits"].values()
            if audit["score"] is not None and audit["score"] < 1
        ]
        # It has seen the view itself, not the question for a key.
        requests = found["audits"]["network-requests"]["details"]["items"]
        answers = {one["statusCode"] for one in requests if "/partner-center/" in one["url"]}
        assert answers == {200}
        return Verdict(
            scores={name: round(100 * found["categories"][name]["score"]) for name in CATEGORIES},
            lacking=lacking,
            machine=found["environment"]["benchmarkIndex"] * cores / max(cores, load),
        )

    return ask


@pytest.mark.parametrize("path", ["", "?view=attention", "?view=health"])
def test_lighthouse_gives_the_main_views_95_or_more(verdict_on: Ask, path: str) -> None:
    verdict = Verdict(
        scores=dict.fromkeys(CATEGORIES, 0), lacking=["no trace was recorded"], machine=FAST
    )
    slowest = FAST
    for _ in range(TRIES):
        with suppress(Unrecorded):
            verdict = verdict_on(path, max(1, SLOWDOWN * slowest / FAST))
        if all(score >= LEAST for score in verdict.scores.values()):
            break
        slowest = min(slowest, verdict.machine)
    assert {name: got for name, got in verdict.scores.items() if got < LEAST} == {}, verdict
