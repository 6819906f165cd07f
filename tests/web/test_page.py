import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pc_core.web import page
from pc_core.web.exchange import Answer
from tests.web.serving import MemoryApp, ask

STATIC = Path(page.__file__).parent / "static"
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}


def get(path: str = "", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(MemoryApp(), page.PAGE, key=None, headers=sent, path=path)


def assets() -> list[str]:
    html = get().body.decode()
    return re.findall(r'(?:href|src)="/mini-ui/([^"]+)"', html)


def test_the_root_leads_to_the_page() -> None:
    answer = ask(MemoryApp(), page.HOME, key=None)
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


def dictionary(language: str) -> dict[str, str]:
    block = re.search(rf"const {language} = \{{(.*?)\n\}};", SCRIPTS["texts.js"], re.DOTALL)
    assert block is not None
    entries = re.findall(r'"?([\w-]+)"?: "((?:[^"\\]|\\.)*)"', block[1])
    assert len(entries) == len(dict(entries))
    return dict(entries)


def test_every_text_is_there_in_both_languages_with_the_same_gaps() -> None:
    english, turkish = dictionary("en"), dictionary("tr")
    assert set(english) == set(turkish)
    for name, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", turkish[name])), name


def test_every_text_that_is_asked_for_is_there() -> None:
    asked: set[str] = set()
    for text in SCRIPTS.values():
        asked |= set(re.findall(r'\b(?:text|fact|factAt)\("([\w-]+)"', text))
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    asked |= set(re.findall(r'data-(?:text|label|placeholder)="([\w-]+)"', html))
    assert asked - set(dictionary("en")) == set()


def test_every_alarm_has_words() -> None:
    source = (Path(page.__file__).parent.parent / "health.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'Alarm\(\s*code="(\w+)"', source))
    assert len(codes) > 8
    for code in codes | {"sign_in_needed", "admin_consent_needed", "blocked_by_policy",
                         "misconfigured", "account_problem"}:  # fmt: skip
        assert f"alarm_{code}" in dictionary("en")
