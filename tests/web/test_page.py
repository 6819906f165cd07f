import ast
import gzip
import json
import re
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

import pc_core
from dev.services.npm import node
from pc_core.config import Settings
from pc_core.identity import refusals
from pc_core.reading import ATTENTION
from pc_core.referral import classification
from pc_core.referral.row import COLUMNS
from pc_core.sync import report, state
from pc_core.sync.report import Counts, RunState
from pc_core.web.exchange import HttpAnswer
from pc_core.web.routes import deal_details, mini_ui
from pc_core.web.routes.status import settings_in_force
from tests.web.serving import MemoryApp, ask

PACKAGE = Path(pc_core.__file__).parent
STATIC = PACKAGE / "web" / "static"
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}


def get(path: str = "", **headers: str) -> HttpAnswer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(MemoryApp(), mini_ui.MINI_UI, key=None, headers=sent, path=path)


def assets() -> list[str]:
    html = get().body.decode()
    return re.findall(r'(?:href|src)="/mini-ui/([^"]+)"', html)


def test_the_root_leads_to_the_page() -> None:
    answer = ask(MemoryApp(), mini_ui.HOME, key=None)
    assert (answer.status, answer.headers["Location"]) == (302, "/mini-ui/")


def test_the_page_runs_nothing_but_its_own_files() -> None:
    policy = get().headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert "unsafe" not in policy


OWN = ("/mini-ui/", "#", "?")


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    class Look(HTMLParser):
        found: list[str] = []  # noqa: RUF012 - lives for one test

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name.startswith("on") or name == "style":
                    self.found.append(f"{tag} {name}")
                if name in ("src", "href") and not (value or "").startswith(OWN):
                    self.found.append(f"{tag} {value}")
            if tag in ("style", "base", "iframe", "form"):
                self.found.append(tag)

    look = Look()
    look.feed(get().body.decode())
    assert look.found == []


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_writes_markup_or_runs_text(name: str) -> None:
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                  "new Function", "setAttribute(\"style\"", "javascript:"):  # fmt: skip
        assert risky not in SCRIPTS[name]


def test_the_page_is_asked_for_again_and_its_files_are_kept() -> None:
    first = get()
    assert first.headers["Cache-Control"] == "no-cache"
    for path in assets():
        answer = get(path)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]


def test_modules_find_each_other_under_the_same_version() -> None:
    scripts = [path for path in assets() if path.endswith(".js")]
    [version] = {path.partition("/")[0] for path in scripts}
    # All of them are asked for at once, not one after the other as their imports are read.
    assert {path.partition("/")[2] for path in scripts} == set(SCRIPTS)
    for name, text in SCRIPTS.items():
        for wanted in re.findall(r'from "([^"]+)"', text):
            assert wanted.startswith("./"), name
            assert get(f"{version}/{wanted.removeprefix('./')}").status == 200


def test_what_a_browser_has_already_is_not_sent_again() -> None:
    first = get()
    for known in (first.headers["ETag"], f'"x", W/{first.headers["ETag"]}'):
        again = get(if_none_match=known)
        assert (again.status, again.body) == (304, b"")
    assert get(if_none_match='"other"').status == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
def test_files_are_packed_for_who_takes_it(accepted: str, packed: bool) -> None:
    plain, answer = get(), get(accept_encoding=accepted)
    assert ("Content-Encoding" in answer.headers) is packed
    assert answer.headers["Vary"] == "Accept-Encoding"
    if packed:
        assert gzip.decompress(answer.body) == plain.body
        assert answer.headers["ETag"] != plain.headers["ETag"]
    again = get(accept_encoding=accepted, if_none_match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


def test_a_file_under_an_old_version_is_served_and_not_kept() -> None:
    answer = get("0000000000000000/page.js")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "path",
    ["x", "page.js", "x/none.js", "x/../../access.py", "x/..%2f..%2faccess.py", "x/index.html",
     "//etc/passwd", "x/", "x/\0"],
)  # fmt: skip
def test_nothing_but_the_pages_files_is_served(path: str) -> None:
    assert get(path).status == 404


# -- Words ---------------------------------------------------------------------------------------

type Text = str | dict[str, str]

NODE_SAYS = (
    "import { readFileSync } from 'node:fs';"
    "const source = readFileSync(process.argv[1]).toString('base64');"
    "const { default: texts } = await import(`data:text/javascript;base64,${source}`);"
    "console.log(JSON.stringify(texts));"
)


@cache
def dictionary(language: str) -> dict[str, Text]:
    """What the page's script for a language exports."""
    done = subprocess.run(
        [str(node()), "--input-type=module", "-e", NODE_SAYS, str(STATIC / f"{language}.js")],
        capture_output=True,
        check=True,
        text=True,
    )
    read: dict[str, Text] = json.loads(done.stdout)
    return read


def forms(text: Text) -> list[str]:
    return [text] if isinstance(text, str) else list(text.values())


def gaps(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


def test_every_text_is_there_in_both_languages_with_the_same_gaps() -> None:
    english, turkish = dictionary("english"), dictionary("turkish")
    assert set(english) == set(turkish)
    for name, text in english.items():
        # "the last run" needs no number.
        found = [gaps(form) | {"{count}"} for form in forms(text) + forms(turkish[name])]
        assert all(one == found[0] for one in found), name
        assert all(form.strip() for form in forms(text) + forms(turkish[name])), name
    for name, source in SCRIPTS.items():
        if name in ("english.js", "turkish.js"):
            keys = re.findall(r'(?:^|[,{] )\s*"?([\w-]+)"?: [\"{]', source, re.MULTILINE)
            twice = {key for key in keys if keys.count(key) > 1} - {"one", "other"}
            assert twice == set(), name


def test_what_follows_a_count_has_the_forms_of_its_language() -> None:
    for language in ("english", "turkish"):
        for name, text in dictionary(language).items():
            if isinstance(text, dict):
                # Both languages know these two, says CLDR.
                assert set(text) == {"one", "other"}, name
    for name, text in dictionary("english").items():
        # What is more than a number is never one.
        if isinstance(text, str) and name not in ("size_more", "more_than"):
            assert re.search(r"\{(count|total)\} \w+s\b", text) is None, name


def test_every_text_that_is_asked_for_is_there() -> None:
    asked: set[str] = set()
    for text in SCRIPTS.values():
        asked |= set(re.findall(r'\b(?:text|fact|factAt)\("([\w-]+)"', text))
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    asked |= set(re.findall(r'data-(?:text|label|placeholder)="([\w-]+)"', html))
    assert asked - set(dictionary("english")) == set()


def test_every_alarm_has_words() -> None:
    codes = literals("health", r'Alarm\(\s*code="(\w+)"')
    assert len(codes) > 8
    for code in codes | {"sign_in_needed", "admin_consent_needed", "blocked_by_policy",
                         "misconfigured", "account_problem"}:  # fmt: skip
        assert f"alarm_{code}" in dictionary("english")


# -- Codes: whatever the app can say has words in both languages ---------------------------------

CODE = re.compile(r"[a-z]+(_[a-z]+)*")
OF_THE_COMMAND_LINE = {"commands.py", "takeover.py", "earlier.py", "__main__.py"}
"""What only a terminal shows; the page never does."""


def texts_in(node_of: ast.expr | None) -> set[str]:
    """The codes among the texts that an expression can become."""
    if isinstance(node_of, ast.IfExp):
        return texts_in(node_of.body) | texts_in(node_of.orelse)
    if isinstance(node_of, ast.BoolOp):
        return {text for value in node_of.values for text in texts_in(value)}
    if isinstance(node_of, ast.Constant) and isinstance(node_of.value, str):
        return {node_of.value} if CODE.fullmatch(node_of.value) else set()
    return set()


def codes_of(tree: ast.AST) -> set[str]:
    """Everything that becomes a `code` in this module."""
    found: set[str] = set()
    for part in ast.walk(tree):
        match part:
            case ast.Call(func=ast.Name(id="Alarm")):
                continue
            case ast.Call(func=func, args=arguments, keywords=keywords):
                for keyword in keywords:
                    found |= texts_in(keyword.value) if keyword.arg == "code" else set()
                name = getattr(func, "attr", getattr(func, "id", ""))
                if name in ("problem", "_report_problem"):
                    found |= {text for argument in arguments[:3] for text in texts_in(argument)}
            case ast.FunctionDef(args=declared):
                for argument, default in zip(
                    declared.kwonlyargs, declared.kw_defaults, strict=True
                ):
                    found |= texts_in(default) if argument.arg == "code" else set()
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for target, value in zip(names, values, strict=True):
                    if isinstance(target, ast.Name) and target.id == "code":
                        found |= texts_in(value)
            case _:
                pass
    return found


def test_every_code_of_the_app_is_explained_in_both_languages() -> None:
    codes: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name not in OF_THE_COMMAND_LINE:
            codes |= codes_of(ast.parse(path.read_text(encoding="utf-8")))
    # Found in calls, defaults, alternatives, pairs and answers, to show that none is overlooked.
    assert codes >= {"database_busy", "nonsense_answer", "several_accounts",
                     "partner_center_throttled", "already_running", "not_found"}  # fmt: skip
    assert len(codes) > 60
    unexplained = {code for code in codes if f"code_{code}" not in dictionary("english")}
    assert unexplained == set()
    numbers = {f"AADSTS{number}" for number in refusals._BY_NUMBER}
    explained = {name.removeprefix("code_") for name in dictionary("turkish")
                 if name.startswith("code_")}  # fmt: skip
    assert explained - {"AADSTS", "http", "unreachable"} == codes | numbers


def literals(room: str, pattern: str) -> set[str]:
    """What a pattern finds in the modules of a room."""
    texts = [path.read_text(encoding="utf-8") for path in (PACKAGE / room).glob("*.py")]
    return {found for text in texts for found in re.findall(pattern, text)}


WORDS = {
    "source": {"customer_email", "external_id", "website"},
    "rule": {found.rule for found in vars(classification).values()
             if isinstance(found, classification.Classification)},
    "category": set(get_args(classification.Category.__value__)),
    "reason": literals("referral", r'InvalidItem\(\s*"(\w+)"')
    | literals("referral", r'InvalidNumber\("(\w+)"')
    | {"refused_by_database"},
    "state": {state.value for state in RunState},
    "mode": {*get_args(report.Mode), "erase", "import"},
    "running_trigger": set(get_args(report.Trigger)),
    "order": set(get_args(state.OrderVerdict)),
    "count": set(Counts.__struct_fields__) - {"skipped_reasons", "unknown_values"},
    "requirement": {*deal_details._REQUIREMENTS, "attributes"},
    "attention": set(ATTENTION),
    "setting": set(settings_in_force(Settings.from_env({}))),
    # Partner Center's enumerations.
    "status": {"New", "Active", "Closed"},
    "substatus": {"Pending", "Received", "Accepted", "Won", "Lost", "Declined", "Expired", "Error"},
    "direction": {"Incoming", "Outgoing"},
    "qualification": {"None", "Direct", "MarketingQualified", "SalesQualified"},
    "registration": {"None", "ReviewPending", "ActionRequired", "Passed", "Failed", "Approved"},
    "skip": {f"{name}_{value}" for name, values in (("direction", ("incoming", "outgoing")),
             ("status", ("new", "active", "closed"))) for value in values}
    | {"substatus_excluded"} | literals("sync", r'_skip\([\w.]+, "(\w+)"\)'),
    # The columns whose changes are written down, and what a referral tells beyond them.
    "field": (set(COLUMNS) | {"missing_since"})
    - {"referral_id", "content_hash", "search_words", "company_sort", "pc_updated_ticks"},
}  # fmt: skip


@pytest.mark.parametrize("group", sorted(WORDS))
def test_every_value_that_is_shown_has_words(group: str) -> None:
    assert WORDS[group]
    for language in ("english", "turkish"):
        known = dictionary(language)
        assert {value for value in WORDS[group] if f"{group}_{value}" not in known} == set()
