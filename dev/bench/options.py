"""The command line of `python3 -m dev bench`.

Standard library only, Python 3.9 or newer: it is read before anything is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

SECTIONS = ("loading", "latency", "cold_start", "reading", "growth")
CONTENDERS = ("product", "floor", "dlt_tuned", "dlt_documented", "row_by_row")


def parser() -> argparse.ArgumentParser:
    """Reads what to measure."""
    bench = argparse.ArgumentParser(
        prog="python3 -m dev bench",
        description="Measure this product beside the usual tool (dlt), a row-by-row script and "
        "the floor, each on a PostgreSQL of its own. Figures only mean something on a machine "
        "that does nothing else; ratios are of contenders that took turns in one run.",
    )
    bench.add_argument(
        "--n", type=_sizes, default=[10_000, 100_000], metavar="N,N", help="referrals to load"
    )
    bench.add_argument(
        "--latency", type=float, default=150.0, metavar="MS", help="of a request, where it counts"
    )
    bench.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="of each contender but the slow ones; thrice as many where a round takes seconds",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    bench.add_argument("--quick", action="store_true", help="2,000 referrals, one round")
    bench.add_argument(
        "--full",
        action="store_true",
        help="a million referrals, and the slow contenders at every size",
    )
    bench.add_argument(
        "--only", type=_words(SECTIONS), default=SECTIONS, metavar=",".join(SECTIONS)
    )
    bench.add_argument(
        "--contenders", type=_words(CONTENDERS), default=CONTENDERS, metavar=",".join(CONTENDERS)
    )
    bench.add_argument(
        "--draw", type=Path, metavar="FILE", help="only make docs/performance.* from this file"
    )
    return bench


def _sizes(text: str) -> list[int]:
    return sorted(int(word.replace("_", "")) for word in text.split(","))


def _words(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        unknown = set(words) - set(known)
        if unknown:
            raise argparse.ArgumentTypeError(f"not known: {', '.join(sorted(unknown))}")
        return words

    return read
