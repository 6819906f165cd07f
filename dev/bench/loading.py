"""First load, nothing changed, 1 % changed: every contender, side by side, round by round."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path

from dev.bench.stage import Arena, Measurement, Stage
from dev.bench.truth import Truth

CHANGED_SHARE = 0.01
SLOW = ("dlt_documented", "row_by_row")
"""Measured once only, and not at every size: they take minutes, and nothing is decided by them."""

SHORT_UP_TO = 20_000
"""Up to so many referrals a round takes seconds: there are more, and slow contenders take part."""

Say = Callable[[str], None]


def measure_loading(
    folder: Path,
    *,
    referrals: int,
    rounds: int,
    contenders: Collection[str],
    slow_too: bool,
    say: Say,
) -> list[Measurement]:
    """All phases for each contender; in every phase they take turns.

    "Nothing changed" comes before the change: after one, the overlap that the product reads again
    on purpose holds the changed referrals, and what is measured is that.
    """
    found: list[Measurement] = []
    with Stage.set(folder, referrals=referrals) as stage:
        for number in range(rounds):
            stage.renew()
            slow_now = number == 0 and (slow_too or referrals <= SHORT_UP_TO)
            taking_part = [name for name in contenders if slow_now or name not in SLOW]
            if number % 2:
                taking_part.reverse()
            found += _round(stage, taking_part, say, whole=number == 0)
    return found


def _round(
    stage: Stage, contenders: Collection[str], say: Say, *, whole: bool
) -> list[Measurement]:
    found: list[Measurement] = []
    with contextlib.ExitStack() as stack:
        arenas = [stack.enter_context(stage.arena(name)) for name in contenders]
        truth = Truth.read(stage, arenas[0])
        for phase in ("first_load", "nothing_changed", "one_percent_changed"):
            if phase == "one_percent_changed":
                stage.client.state.change_some(CHANGED_SHARE)
                stage.client.state.render_all()
                truth = Truth.read(stage, arenas[0])
            for arena in arenas:
                content = whole and phase != "nothing_changed"
                found.append(_measure(stage, arena, phase, truth, whole=content))
                say(describe(found[-1]))
    return found


def measure_latency(
    folder: Path, *, referrals: int, latency_ms: float, say: Say
) -> list[Measurement]:
    """The product's first load without and with latency, one after the other."""
    found: list[Measurement] = []
    with Stage.set(folder, referrals=referrals) as stage:
        for each_ms in (0.0, latency_ms):
            with stage.arena("product") as arena:
                truth = Truth.read(stage, arena)
                stage.set_latency(each_ms)
                found.append(_measure(stage, arena, "first_load", truth, whole=False))
                stage.set_latency(0)
                say(describe(found[-1]))
    return found


def _measure(stage: Stage, arena: Arena, phase: str, truth: Truth, *, whole: bool) -> Measurement:
    measured = stage.measure(arena, phase)
    rows, wrong = truth.compare(arena, whole=whole)
    arena.settle()
    return dataclasses.replace(measured, rows=rows, wrong=wrong)


def describe(one: Measurement) -> str:
    """A measurement in one line."""
    return (
        f"  {one.referrals:>9,} {one.phase:20} {one.contender:15} work {one.work_s:7.2f} s, "
        f"CPU {one.client_cpu_s:6.2f} + database {one.database_cpu_s:6.2f} s, "
        f"{one.peak_bytes / 1e6:4.0f} MB, {one.requests} requests, "
        f"WAL {one.wal_bytes / 1e6:.1f} MB, {one.rows:,} rows, {one.wrong} wrong"
    )
