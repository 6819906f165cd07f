"""The product alone, at growing sizes, page sizes and latencies: what is linear is seen to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.bench.loading import CHANGED_SHARE, describe
from dev.bench.stage import Stage
from dev.bench.truth import Truth


def measure_growth(
    folder: Path,
    *,
    variants: list[tuple[int, int, float]],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """First load, nothing changed and 1 % changed for (referrals, page size, latency in ms)."""
    measured: list[dict[str, Any]] = []
    for referrals in dict.fromkeys(variant[0] for variant in variants):
        with Stage.set(folder / str(referrals), referrals=referrals) as stage:
            for _, page_size, latency_ms in (one for one in variants if one[0] == referrals):
                measured += _variant(stage, page_size, latency_ms, say)
    return measured


def _variant(
    stage: Stage, page_size: int, latency_ms: float, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    found = []
    stage.set_page_size(page_size)
    stage.renew()
    with stage.arena("product") as arena:
        truth = Truth.read(stage, arena)
        stage.set_latency(latency_ms)
        for phase in ("first_load", "nothing_changed", "one_percent_changed"):
            if phase == "one_percent_changed":
                stage.client.state.change_some(CHANGED_SHARE)
                truth = Truth.read(stage, arena)
            one = stage.measure(arena, phase)
            rows, wrong = truth.compare(arena, whole=phase == "first_load")
            one = dataclasses.replace(one, rows=rows, wrong=wrong)
            say(f"{describe(one)}, pages of {page_size}, {latency_ms:.0f} ms")
            found.append({**one.to_json(), "page_size": page_size})
            arena.settle()
        stage.set_latency(0)
    return found
