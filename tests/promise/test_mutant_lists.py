"""The lists of deliberate damage fit the code: each text is there once, each test exists."""

import ast
from pathlib import Path

import pytest

from dev.folders import CLONE
from dev.mutants import LISTS, Mutant, MutantError, damaged, load


@pytest.mark.parametrize("mutant", load(), ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_a_mutant_fits_the_code_and_names_a_test(mutant: Mutant) -> None:
    broken = damaged(mutant, (CLONE / mutant.file).read_text(encoding="utf-8"))

    if mutant.file.endswith(".py"):
        ast.parse(broken)
    assert mutant.file.startswith(("pc_core/", "function_app.py", "infra/", "dev/simulator"))
    file, _, test = mutant.caught_by.partition("::")
    tests = ast.parse((CLONE / file).read_text(encoding="utf-8")).body
    assert test.partition("[")[0] in {
        node.name for node in tests if isinstance(node, ast.FunctionDef)
    }


def test_every_list_has_at_least_three_mutants() -> None:
    assert LISTS.is_dir()
    counts = {path.stem: 0 for path in LISTS.glob("*.toml")}
    for mutant in load():
        counts[mutant.name.partition(":")[0]] += 1

    assert counts
    assert {name: number for name, number in counts.items() if number < 3} == {}


def test_a_list_that_is_wrong_says_where(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('[[mutant]]\ndamage = "x"\n', encoding="utf-8")

    with pytest.raises(MutantError, match=r"odd\.toml"):
        load(tmp_path)
