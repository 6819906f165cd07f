"""docs/performance.svg and the tables of docs/performance.md, made from a results file."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from dev.bench.summary import TITLES, Results, medians, tables
from dev.folders import CLONE

DOCUMENT = CLONE / "docs" / "performance.md"
CHART = CLONE / "docs" / "performance.svg"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

_WIDTH, _BAR, _GAP, _LEFT = 760, 22, 8, 150
_COLOURS = (("client_cpu_s", "#2f6fb0"), ("database_cpu_s", "#c8762b"))


def draw(file: Path) -> None:
    """Write chart and tables.

    Raises:
        ValueError: the document has no place for the tables.
    """
    results: Results = json.loads(file.read_text(encoding="utf-8"))
    CHART.write_text(chart(results), encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT} lacks {BEGIN} or {END}.")
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}", encoding="utf-8")


def chart(results: Results) -> str:
    """The first load at the largest size: a bar of elapsed seconds and one of CPU for each."""
    rows = [row for row in medians(results.get("loading", [])) if row["phase"] == "first_load"]
    size = max((row["referrals"] for row in rows), default=0)
    rows = sorted(
        (row for row in rows if row["referrals"] == size), key=lambda row: float(row["work_s"])
    )
    most_s = max((max(row["work_s"], _cpu(row)) for row in rows), default=1.0)
    scale = (_WIDTH - _LEFT - 90) / most_s
    height = 70 + len(rows) * (2 * _BAR + 2 * _GAP) + 30
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'font-family="sans-serif" font-size="13">'
        ),
        f"<title>First load of {size:,} referrals</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="24" font-size="16">First load of {size:,} referrals, seconds</text>',
        _key(10, "#5c8a3a", "elapsed"),
        _key(110, _COLOURS[0][1], "CPU of the client"),
        _key(270, _COLOURS[1][1], "CPU of PostgreSQL"),
    ]
    top = 62
    for row in rows:
        parts.append(
            f'<text x="{_LEFT - 10}" y="{top + _BAR + 4}" text-anchor="end">'
            f"{escape(TITLES[row['contender']])}</text>"
        )
        parts.append(_bar(_LEFT, top, row["work_s"] * scale, "#5c8a3a"))
        parts.append(_label(_LEFT + row["work_s"] * scale, top, row["work_s"]))
        left = float(_LEFT)
        for key, colour in _COLOURS:
            parts.append(_bar(left, top + _BAR, row[key] * scale, colour))
            left += row[key] * scale
        parts.append(_label(left, top + _BAR, _cpu(row)))
        top += 2 * _BAR + 2 * _GAP
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _cpu(row: Results) -> float:
    return float(row["client_cpu_s"] + row["database_cpu_s"])


def _bar(left: float, top: float, width: float, colour: str) -> str:
    return (
        f'<rect x="{left:.1f}" y="{top}" width="{max(width, 1):.1f}" height="{_BAR - 2}" '
        f'fill="{colour}"/>'
    )


def _label(left: float, top: float, seconds: float) -> str:
    return f'<text x="{left + 6:.1f}" y="{top + _BAR - 7}">{seconds:.1f}</text>'


def _key(left: int, colour: str, text: str) -> str:
    return (
        f'<rect x="{left}" y="36" width="12" height="12" fill="{colour}"/>'
        f'<text x="{left + 18}" y="47">{text}</text>'
    )
