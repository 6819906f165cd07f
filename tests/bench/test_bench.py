"""The benchmark measures what it says, on a world small enough for a test."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from dev.bench.command import main
from dev.bench.drawing import chart
from dev.bench.options import parser
from dev.bench.summary import budgets, tables

SIZE = 300


def test_a_small_run_gives_checked_figures_tables_and_a_chart(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "results.json"

    options = parser().parse_args(
        [
            *("--n", str(SIZE), "--rounds", "1", "--only", "loading,reading"),
            *("--contenders", "product,floor", "--json", str(file)),
        ]
    )

    code = main(options)

    printed = capsys.readouterr().out
    assert code == 0, printed
    results = json.loads(file.read_text(encoding="utf-8"))
    found = {(one["contender"], one["phase"]): one for one in results["loading"]}
    assert len(found) == 6
    for one in found.values():
        assert (one["rows"], one["wrong"]) == (SIZE, 0)
        assert 0 < one["work_s"] < one["wall_s"]
        assert one["client_cpu_s"] > 0
    assert found["product", "first_load"]["rows_written"] == SIZE
    assert found["product", "first_load"]["wal_bytes"] > SIZE * 1000
    unchanged = found["product", "nothing_changed"]
    assert (unchanged["requests"], unchanged["rows_written"]) == (1, 0)
    assert found["product", "one_percent_changed"]["rows_written"] == SIZE // 100

    assert len(results["reading"]["questions"]) > 30
    [export] = results["reading"]["exports"]
    assert (export["rows"], export["parts"]) == (SIZE, 1)

    names = [budget.name for budget in budgets(results)]
    assert {
        f"first load, {SIZE}",
        f"nothing changed, {SIZE}",
        "peak memory",
        f"reading, {SIZE}",
    } <= set(names)
    # A small size is measured thrice as often as asked for.
    assert "| this product | 3 |" in tables(results)
    drawn = ET.fromstring(chart(results))  # noqa: S314 - made by ourselves
    assert {"this product", "floor"} <= {text.text for text in drawn.iter() if text.text}
