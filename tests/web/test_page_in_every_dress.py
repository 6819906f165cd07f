"""A sales person's day on the page, point by point, in each language and theme."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import API, SLOW_MS, Served
from tests.web.test_page import dictionary, forms

pytestmark = pytest.mark.needs_chromium

type Open = Callable[..., Page]

LANGUAGES = {"en-GB": "english", "tr-TR": "turkish"}

WATCH_POLICY = (
    "window.violations = 0;"
    "document.addEventListener('securitypolicyviolation', () => { window.violations += 1; });"
)


class Words:
    """What the page says in one language."""

    def __init__(self, language: str) -> None:
        self._texts = dictionary(LANGUAGES[language])

    def __call__(self, name: str, **values: object) -> str:
        """A text without forms, filled in."""
        [text] = forms(self._texts[name])
        return text.format(**values)

    def like(self, name: str) -> re.Pattern[str]:
        """A text in any of its forms, whatever fills its gaps."""
        found = [re.sub(r"\\\{\w+\\\}", ".+", re.escape(form)) for form in forms(self._texts[name])]
        return re.compile("|".join(found))


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(LANGUAGES))
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dressed(open_page: Open, filled: Served, theme: str, language: str) -> tuple[Page, Words]:
    """The page in that dress, and its words; what it breaks of its policy is counted."""
    page = open_page(language=language, color_scheme=theme)
    page.add_init_script(WATCH_POLICY)
    page.reload()
    expect(page.locator("#rows tr")).to_have_count(50)
    shown: Any = page.evaluate(
        "({theme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',"
        " language: document.documentElement.lang})"
    )
    assert shown == {"theme": theme, "language": language[:2]}
    return page, Words(language)


def test_a_day_with_referrals_companies_and_what_needs_somebody(
    dressed: tuple[Page, Words], filled: Served
) -> None:
    page, words = dressed
    # Point 1: the list.
    page.locator("#filter-type").get_by_role("button", name=words("type_co-sell")).click()
    page.locator("#filter-status").select_option(label=words("status_New"))
    expect(page.locator("#rows .badge:not(.co-sell)")).to_have_count(0)
    expect(page.locator("#rows .state").first).to_have_text(words("status_New"))
    page.get_by_role("button", name=words("company"), exact=True).click()
    expect(page.locator("#shown")).to_have_text(words.like("shown"))
    with page.expect_download() as waiting:
        page.get_by_role("button", name=words("csv")).click()
    assert waiting.value.path().read_bytes().startswith(b"\xef\xbb\xbf")

    # Point 2: one of them.
    page.locator("#rows .company").first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    for head in ("contacts", "team", "requirements", "dates", "history"):
        expect(dialog.get_by_role("heading", name=words(head))).to_be_visible()
    dialog.get_by_role("button", name=words("raw")).click()
    expect(dialog.locator("pre")).to_contain_text('"id"')
    dialog.get_by_role("button", name=words("copy_link")).click()
    expect(dialog.get_by_role("button", name=words("copied"))).to_be_visible()
    page.keyboard.press("Escape")

    # Point 1 again: a company's referrals together.
    page.get_by_role("link", name=words("companies")).click()
    page.get_by_label(words("with_several")).check()
    page.locator("#company-rows .company").first.click()
    expect(page.locator("#company-card")).to_contain_text(words("open_value"))

    # Point 3: what needs a person.
    page.locator("#tabs a[data-view=attention]").click()
    _, _, needed = filled.ask(f"{API}/attention")
    for kind in needed["kinds"]:
        if kind["total"] and kind["kind"] != "new":
            heading = page.get_by_role("heading", name=words(f"attention_{kind['kind']}"))
            expect(heading).to_be_visible()
    # Point 8: nothing but its own files.
    assert page.evaluate("window.violations") == 0


def test_a_day_with_runs_health_and_sign_in(dressed: tuple[Page, Words], filled: Served) -> None:
    page, words = dressed
    # Points 4 and 9: an operator's button, and what came of it.
    expect(page.locator("#who")).to_contain_text(words("as_operator"))
    page.get_by_role("button", name=words("sync_now")).click()
    expect(page.locator("#notices strong")).to_have_text(words("sync_completed"), timeout=SLOW_MS)
    expect(page.locator("#notices")).to_contain_text(words.like("result"))
    expect(page.locator("#status-times")).to_contain_text(words.like("last_success"))

    # Point 5: health and runs.
    page.get_by_role("link", name=words("health"), exact=True).click()
    for head in ("card_sync", "card_data", "runs_title", "quarantine_title", "settings_title"):
        expect(page.get_by_role("heading", name=words(head), exact=True)).to_be_visible()
    expect(page.locator("figcaption").first).to_have_text(words("weeks_title"))
    expect(page.locator("figcaption").nth(1)).to_have_text(words.like("runs_chart_title"))
    page.locator(".runs tbody button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(words("state_completed"))
    expect(dialog).to_contain_text(words("task_id"))
    page.keyboard.press("Escape")

    # Point 6: the sign-in.
    expect(page.locator("#health")).to_contain_text(words("sign_in_ok"))
    expect(page.locator("#health")).to_contain_text(words.like("days_left"))
    page.get_by_role("button", name=words("sign_in_renew")).click()
    expect(dialog.locator(".code")).to_be_visible()
    expect(dialog).to_contain_text(words.like("sign_in_left"))
    expect(dialog).to_contain_text(words.like("sign_in_done"), timeout=SLOW_MS)
    expect(dialog).to_contain_text(words("sign_in_may_read"))
    page.keyboard.press("Escape")
    assert page.evaluate("window.violations") == 0


def test_language_and_theme_are_switched_and_remembered(dressed: tuple[Page, Words]) -> None:
    page, words = dressed
    # Point 7.
    other = Words("tr-TR" if words("all") == "All" else "en-GB")
    page.locator("[data-lang]:not([aria-pressed=true])").click()
    expect(page.locator("#tabs a").first).to_have_text(other("referrals"))
    page.get_by_role("button", name=other("theme_dark")).click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name=other("theme_light")).click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    expect(page.locator("#tabs a").first).to_have_text(other("referrals"))
    expect(page.get_by_role("button", name=other("theme_light"))).to_have_attribute(
        "aria-pressed", "true"
    )
    stamp = page.locator("#rows time").first
    expect(stamp).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
    assert page.evaluate("window.violations") == 0
