"""`python3 -m dev test --promise`: run the proofs of the promise and write docs/promise.md.

What is said by hand stands in tests/promise/sentences.toml: each sentence of the README's promise,
the tests that hold it, and what they do not cover. Every number comes from a run: how many cases
of a test passed, and what these report of themselves (kills, rounds, examples). Numbers are kept
in docs/promise.json; the document's tables are made from the two.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev import machine
from dev.folders import CLONE

FOLDER = CLONE / "tests" / "promise"
SENTENCES = FOLDER / "sentences.toml"
NUMBERS = CLONE / "docs" / "promise.json"
DOCUMENT = CLONE / "docs" / "promise.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

Numbers = dict[str, Any]
Pytest = Callable[[Sequence[str]], int]
"""Runs pytest with these arguments; returns its exit status."""


class PromiseError(Exception):
    """The document cannot be written; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence and what holds it.

    Attributes:
        text: as the README has it, or what is held beyond the promise.
        how: the way in which the tests try it.
        tests: pytest's ids, without parameters, or a file for all of its tests.
        not_covered: what they do not show.
    """

    text: str
    how: str
    tests: tuple[str, ...]
    not_covered: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One of the README's promises, or what is held beyond them."""

    title: str
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongForm:
    """A test that does more when `PROMISE_LONG` asks for it."""

    test: str
    tries: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What sentences.toml says."""

    promises: tuple[Promise, ...]
    long_forms: tuple[LongForm, ...]

    @property
    def tests(self) -> tuple[str, ...]:
        """Every test that a sentence names, once."""
        named = [one for promise in self.promises for s in promise.sentences for one in s.tests]
        return tuple(sorted(set(expand(named))))


@dataclass(slots=True)
class Outcome:
    """What one test did in a run, all its cases together."""

    passed: int = 0
    failed: int = 0
    duration_s: float = 0.0
    counted: dict[str, int] = field(default_factory=dict)


def load(path: Path = SENTENCES) -> Source:
    """Read the sentences.

    Raises:
        TypeError: an entry has other keys than it should.
    """
    plain = tomllib.loads(path.read_text(encoding="utf-8"))
    promises = tuple(
        Promise(
            title=promise["title"],
            sentences=tuple(
                Sentence(**{**one, "tests": tuple(one["tests"])}) for one in promise["sentence"]
            ),
        )
        for promise in plain["promise"]
    )
    return Source(
        promises=promises, long_forms=tuple(LongForm(**one) for one in plain["long_form"])
    )


def tests_of(file: str) -> list[str]:
    """The ids, without parameters, of all tests of a file, which is named relative to the clone."""
    body = ast.parse((CLONE / file).read_text(encoding="utf-8")).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return [f"{file}::{name}" for name in names if name.startswith("test_")]


def expand(tests: Iterable[str]) -> list[str]:
    """The tests, those of whole files in place of the files."""
    found: list[str] = []
    for one in tests:
        found += [one] if "::" in one else tests_of(one)
    return found


def main(words: Sequence[str], run_pytest: Pytest) -> int:
    """Run the proofs and write the document; returns the exit code.

    With `PROMISE_LONG`: only the long forms whose test holds every word. With `--tables`: run
    nothing, and write the tables with the numbers that are known.
    """
    source = load()
    if list(words) == ["--tables"]:
        write(source)
        return 0
    is_long = os.environ.get("PROMISE_LONG", "") not in ("", "0")
    if is_long:
        chosen = [one.test for one in source.long_forms if all(word in one.test for word in words)]
        selection = chosen
    else:
        if words:
            print("words choose among the long forms: PROMISE_LONG=1", file=sys.stderr)
            return 2
        chosen = list(source.tests)
        folder = FOLDER.relative_to(CLONE).as_posix()
        selection = [folder, *(one for one in chosen if not one.startswith(f"{folder}/"))]
    if not chosen:
        print("no long form matches", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "junit.xml"
        status = run_pytest([f"--junitxml={report}", *selection])
        if status != 0:
            print("the document stays as it was: not every proof held", file=sys.stderr)
            return status
        outcomes = read_junit(report.read_text(encoding="utf-8"))
    try:
        note(outcomes, chosen, is_long=is_long)
        write(source)
    except PromiseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"── written: {DOCUMENT.relative_to(CLONE)}")
    return 0


def read_junit(text: str) -> dict[str, Outcome]:
    """The outcome of each test, by its id without parameters, from pytest's report (xunit1)."""
    outcomes: dict[str, Outcome] = {}
    for case in ET.fromstring(text).iter("testcase"):  # noqa: S314 - pytest has just written it
        name = case.get("name", "").partition("[")[0]
        file = case.get("classname", "").replace(".", "/")
        outcome = outcomes.setdefault(f"{file}.py::{name}", Outcome())
        is_bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        outcome.failed += is_bad
        outcome.passed += not is_bad
        outcome.duration_s += float(case.get("time", "0"))
        for one in case.iter("property"):
            value = one.get("value", "")
            if value.isdecimal():
                unit = one.get("name", "")
                outcome.counted[unit] = outcome.counted.get(unit, 0) + int(value)
    return outcomes


def note(
    outcomes: dict[str, Outcome], chosen: Iterable[str], *, is_long: bool, path: Path = NUMBERS
) -> None:
    """Keep what the chosen tests did.

    Raises:
        PromiseError: one of them was not run, or not all of it passed.
    """
    tests: Numbers = {}
    for one in chosen:
        outcome = outcomes.get(one)
        if outcome is None or outcome.failed or not outcome.passed:
            raise PromiseError(f"{one} was not run in whole: nothing is written without it.")
        tests[one] = {
            "cases": outcome.passed,
            "counted": dict(sorted(outcome.counted.items())),
            "took_s": round(outcome.duration_s, 1),
        }
    numbers = read_numbers(path)
    if is_long:
        kept = numbers.setdefault("long", {})
        seed = int(os.environ.get("PROMISE_SEED", "1"))
        kept.update({one: {**tests[one], "seed": seed, **machine.describe()} for one in tests})
    else:
        cases = sum(one.passed for one in outcomes.values())
        numbers["short"] = {**machine.describe(), "cases": cases, "tests": tests}
    _keep(numbers, path)


def note_mutants(caught: dict[str, tuple[int, int]]) -> None:
    """Keep how many of each list's mutants a whole replay has caught, and of how many."""
    numbers = read_numbers()
    numbers["mutants"] = {
        **machine.describe(),
        "lists": {name: list(n) for name, n in caught.items()},
    }
    _keep(numbers, NUMBERS)
    write(load())


def read_numbers(path: Path = NUMBERS) -> Numbers:
    """What was kept of earlier runs."""
    if not path.exists():
        return {}
    kept: Numbers = json.loads(path.read_text(encoding="utf-8"))
    return kept


def _keep(numbers: Numbers, path: Path) -> None:
    text = json.dumps(numbers, indent=1, sort_keys=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def write(source: Source, path: Path = DOCUMENT) -> None:
    """Put the tables into the document.

    Raises:
        PromiseError: it has no place for them.
    """
    before, after = around_tables(path.read_text(encoding="utf-8"))
    tables = render(source, read_numbers())
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")


def around_tables(text: str) -> tuple[str, str]:
    """The document before and after its tables.

    Raises:
        PromiseError: it has no place for them.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PromiseError(f"{DOCUMENT.name} lacks {BEGIN} or {END}.")
    return before, after


def render(source: Source, numbers: Numbers) -> str:
    """The document's tables."""
    short = numbers.get("short", {})
    tests = short.get("tests", {})
    parts = []
    if short:
        parts.append(
            f"Numbers of {_where(short)}: {short['cases']:,} cases of the promise passed. A number"
            " of cases counts the test functions' variants; what these try in a loop stands behind."
        )
    for promise in source.promises:
        parts.append(f"### {promise.title}")
        parts.append(
            _table(
                ("Sentence", "How it is tested", "Cases", "Not covered"),
                [
                    (one.text, _how(one), _cases(expand(one.tests), tests), one.not_covered)
                    for one in promise.sentences
                ],
            )
        )
    parts += _mutants(numbers.get("mutants"))
    parts += _long_forms(source, numbers.get("long", {}))
    return "\n\n".join(parts)


def _how(sentence: Sentence) -> str:
    by_file: dict[str, list[str]] = {}
    for one in sentence.tests:
        file, _, name = one.partition("::")
        words = name.removeprefix("test_").replace("_", " ") or "all of it"
        by_file.setdefault(file, []).append(words)
    found = [
        f"[{Path(file).name}](../{file}): *{'*; *'.join(names)}*" for file, names in by_file.items()
    ]
    return "<br>".join([sentence.how, *found])


def _cases(names: Iterable[str], tests: Numbers) -> str:
    known = [tests[name] for name in names if name in tests]
    if not known:
        return "not run yet"
    counted: dict[str, int] = {}
    for one in known:
        for unit, number in one["counted"].items():
            counted[unit] = counted.get(unit, 0) + number
    parts = [f"{sum(one['cases'] for one in known):,} cases"]
    parts += [f"{number:,} {unit.replace('_', ' ')}" for unit, number in counted.items()]
    return "<br>".join(parts)


def _mutants(kept: Numbers | None) -> list[str]:
    parts = ["### Seen to fail"]
    if kept is None:
        return [*parts, "No whole replay of the deliberate damage yet."]
    rows = [
        (f"[{name}](../tests/promise/mutants/{name}.toml)", f"{caught} of {of}")
        for name, (caught, of) in sorted(kept["lists"].items())
    ]
    intro = (
        "The code was broken on purpose, each time in one place, and the named test had to fail"
        f" (`python3 -m dev test --mutants`, {_where(kept)})."
    )
    return [
        *parts,
        intro,
        _table(("List of damage", "Caught"), rows),
    ]


def _long_forms(source: Source, kept: Numbers) -> list[str]:
    rows = []
    for one in source.long_forms:
        file, _, name = one.test.partition("::")
        shown = f"[{Path(file).name}](../{file}): *{name.removeprefix('test_').replace('_', ' ')}*"
        found = kept.get(one.test)
        cases = _cases([one.test], kept)
        took = f"{found['took_s'] / 60:.1f} min, seed {found['seed']}" if found else ""
        rows.append((shown, one.tries, cases, took, _where(found) if found else ""))
    intro = (
        "The normal run tries a sample. `PROMISE_LONG=1 python3 -m dev test --promise [WORD ...]`"
        " tries all of it, `PROMISE_SEED=N` another sample; these take too long for every change."
    )
    return [
        "### Long forms",
        intro,
        _table(("Test", "The long form tries", "Cases", "Took", "Passed"), rows),
    ]


def _where(kept: Numbers) -> str:
    return (
        f"{kept['at']}, {kept['cores']} cores, {kept['system']}, Python {kept['python']},"
        f" PostgreSQL {kept['postgres']}"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
