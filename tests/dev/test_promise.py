"""docs/promise.md tells what the README promises, which tests hold it, and what a run counted."""

import re
from pathlib import Path

import pytest

from dev import promise
from dev.folders import CLONE

SOURCE = promise.load()
REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
  <testcase classname="tests.promise.test_kill" name="test_kills[first run]" time="2.5">
    <properties>
      <property name="kills" value="30"/><property name="messages" value="90"/>
      <property name="hypothesis-statistics" value="bm90aGluZw=="/>
    </properties>
  </testcase>
  <testcase classname="tests.promise.test_kill" name="test_kills[full run]" time="1.5">
    <properties><property name="kills" value="12"/></properties>
  </testcase>
  <testcase classname="tests.sync.test_plan" name="test_plan" time="0.1">
    <failure message="no"/>
  </testcase>
</testsuite></testsuites>
"""
KILLS = "tests/promise/test_kill.py::test_kills"
PLAN = "tests/sync/test_plan.py::test_plan"


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_sentences_are_those_of_the_readme_and_all_of_them() -> None:
    readme = (CLONE / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## What it promises\n", 1)[1].split("\n\nWhich tests hold", 1)[0]
    promised = re.findall(
        r"^\d\. \*\*(.+?)\*\* (.+?)(?=^\d\. |\Z)", section, re.MULTILINE | re.DOTALL
    )

    told = [
        (one.title, " ".join(sentence.text for sentence in one.sentences))
        for one in SOURCE.promises[: len(promised)]
    ]

    assert len(promised) == 5
    assert told == [(title, words(text)) for title, text in promised]


@pytest.mark.parametrize("named", sorted({*SOURCE.tests, *(one.test for one in SOURCE.long_forms)}))
def test_every_named_test_exists(named: str) -> None:
    assert named in promise.tests_of(named.partition("::")[0])


def test_every_proof_is_named_for_a_sentence_that_it_holds() -> None:
    files = [f"tests/promise/{path.name}" for path in promise.FOLDER.glob("test_*.py")]

    assert set(promise.expand(files)) - set(SOURCE.tests) == set()


def test_every_test_with_a_long_form_is_listed_as_such() -> None:
    # LONG itself, or what takes a sample unless LONG says otherwise.
    files = {
        path.relative_to(CLONE).as_posix()
        for path in (CLONE / "tests").rglob("test_*.py")
        if re.search(r"import .*\bLONG\b|\bsample\(messages", path.read_text(encoding="utf-8"))
    }

    assert {one.test.partition("::")[0] for one in SOURCE.long_forms} == files


def test_the_document_holds_the_tables_of_its_sources() -> None:
    text = promise.DOCUMENT.read_text(encoding="utf-8")
    before, after = promise.around_tables(text)

    tables = promise.render(SOURCE, promise.read_numbers())

    assert text == f"{before}{promise.BEGIN}\n\n{tables}\n\n{promise.END}{after}", (
        "after a change to sentences.toml: python3 -m dev test --promise --tables"
    )


def test_readme_and_runbook_lead_to_the_document() -> None:
    for file in ("README.md", "docs/operations.md"):
        assert "promise.md" in (CLONE / file).read_text(encoding="utf-8"), file


def test_a_report_is_read_by_test_with_what_its_cases_counted() -> None:
    outcomes = promise.read_junit(REPORT)

    kills = outcomes[KILLS]
    assert (kills.passed, kills.failed, kills.duration_s) == (2, 0, 4.0)
    assert kills.counted == {"kills": 42, "messages": 90}
    assert (outcomes[PLAN].passed, outcomes[PLAN].failed) == (0, 1)


@pytest.mark.parametrize("named", [PLAN, "tests/promise/test_kill.py::test_that_was_not_run"])
def test_no_number_is_kept_of_a_run_without_a_named_test(tmp_path: Path, named: str) -> None:
    file = tmp_path / "promise.json"

    with pytest.raises(promise.PromiseError, match=re.escape(named)):
        promise.note(promise.read_junit(REPORT), [KILLS, named], is_long=False, path=file)

    assert not file.exists()


def test_what_was_counted_stands_beside_its_sentence(tmp_path: Path) -> None:
    file = tmp_path / "promise.json"
    promise.note(promise.read_junit(REPORT), [KILLS], is_long=False, path=file)
    promise.note(promise.read_junit(REPORT), [KILLS], is_long=True, path=file)
    source = promise.Source(
        promises=(
            promise.Promise(
                title="It lives.",
                sentences=(
                    promise.Sentence(
                        text="It may be killed.", how="It is.", tests=(KILLS,), not_covered="Fire."
                    ),
                    promise.Sentence(
                        text="It plans.", how="It does.", tests=(PLAN,), not_covered="a|b"
                    ),
                ),
            ),
        ),
        long_forms=(promise.LongForm(test=KILLS, tries="All"),),
    )

    shown = promise.render(source, promise.read_numbers(file))

    assert (
        "\n| It may be killed. | It is.<br>[test_kill.py](../tests/promise/test_kill.py): " in shown
    )
    assert "*kills* | 2 cases<br>42 kills<br>90 messages | Fire. |" in shown
    assert "*plan* | not run yet | a\\|b |" in shown
    assert "| All | 2 cases<br>42 kills<br>90 messages | 0.1 min, seed 1 |" in shown
    assert "No whole replay" in shown


def test_a_run_with_a_failure_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMISE_LONG", raising=False)
    before = promise.DOCUMENT.read_bytes()
    asked: list[str] = []

    def fail(arguments: object) -> int:
        asked.extend(map(str, list(arguments)))  # type: ignore[call-overload]
        return 1

    assert promise.main([], fail) == 1

    assert promise.DOCUMENT.read_bytes() == before
    assert asked[1] == "tests/promise"
    assert set(asked[2:]) <= set(SOURCE.tests)
