"""The page in a real browser, against the app on the local Functions host."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web.conftest import Served, sign_in

pytestmark = pytest.mark.needs_chromium

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SLOW_MS = 60_000


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1360, "height": 900})
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            troubles.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    opened.goto(f"{served.url}/mini-ui/")
    yield opened
    context.close()
    assert troubles == []


@pytest.fixture
def filled(served: Served) -> Served:
    """The app with referrals in it."""
    sign_in(served)
    _, _, shown = served.ask("/api/v1/partner-center/status")
    if not shown["counts"]["referrals"]:
        status, _, _ = served.ask("/api/v1/partner-center/referrals/sync", method="POST")
        assert status == 200
    return served


def come_in(page: Page, served: Served) -> None:
    page.get_by_role("textbox", name="Key").fill(served.key)
    page.get_by_role("dialog").get_by_role("button", name="Continue").click()
    expect(page.locator("#referrals")).to_be_visible()


def test_a_wrong_key_is_said_to_be_wrong_and_the_right_one_is_kept_for_the_tab(
    page: Page, served: Served
) -> None:
    page.get_by_role("textbox", name="Key").fill("wrong")
    page.get_by_role("dialog").get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_have_text("That key is not right.")
    expect(page.locator("#sync-button")).to_be_hidden()

    come_in(page, served)
    page.reload()
    expect(page.locator("#referrals")).to_be_visible()
    assert served.key not in page.content()


def test_from_the_sign_in_to_the_first_referrals(page: Page, served: Served) -> None:
    come_in(page, served)
    expect(page.locator("#status")).to_have_attribute("data-level", "failing")
    expect(page.locator("#status-words")).to_have_text("Nobody has signed in yet")
    expect(page.get_by_text("No referrals yet")).to_be_visible()

    page.get_by_role("button", name="Sign in…").click()
    expect(page.locator(".code")).to_have_text(re.compile(r"^[A-Z0-9]{6,}$"))
    expect(page.get_by_text("Signed in as")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="Close").click()

    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_text("Sync completed")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator("#notices")).to_contain_text("Left out by the filter settings")
    expect(page.locator("#notices")).to_contain_text(re.compile(r"outgoing: \d+"))
    expect(page.locator("#status")).to_have_attribute("data-level", "ok")
    expect(page.locator("#rows tr")).to_have_count(50)
    expect(page.locator("#status-times span").first).to_have_attribute(
        "title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$")
    )


def test_filters_sorting_and_pages_show_what_was_asked_for(page: Page, filled: Served) -> None:
    come_in(page, filled)
    page.locator("#filter-type").get_by_role("button", name="Marketplace").click()
    expect(page.locator("#rows .badge.co-sell")).to_have_count(0)
    expect(page.locator("#rows .badge.marketplace").first).to_be_visible()
    assert "type=marketplace" in page.url
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#rows .badge.co-sell").first).to_be_visible()

    page.get_by_role("button", name="Company", exact=True).click()
    expect(page.locator("th[data-sort=company]")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^51\u2013\\d+ of \\d+$"))
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^1\u201350 of \\d+$"))

    page.get_by_label("Search").fill("zzzz no such company")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


def test_a_referrals_people_and_raw_data_open_on_demand(page: Page, filled: Served) -> None:
    come_in(page, filled)
    page.locator("#rows .company").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Customer's people")).to_be_visible()
    dialog.get_by_role("button", name="Show raw data").click()
    expect(dialog.locator("pre")).to_contain_text('"organizationId"')
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    page.get_by_role("button", name="Runs").click()
    expect(dialog.get_by_text("Completed").first).to_be_visible()


def test_the_language_switches_and_stays(page: Page, filled: Served) -> None:
    come_in(page, filled)
    page.get_by_role("button", name="TR", exact=True).click()
    expect(page.get_by_role("button", name="Şimdi eşitle")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "tr"
    page.reload()
    expect(page.get_by_role("button", name="Şimdi eşitle")).to_be_visible()


def test_the_export_is_the_whole_view(page: Page, filled: Served) -> None:
    come_in(page, filled)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    content = waiting.value.path().read_text(encoding="utf-8-sig")
    _, _, shown = filled.ask("/api/v1/partner-center/status")
    assert len(content.splitlines()) == shown["counts"]["referrals"] + 1


def test_text_from_strangers_stays_text(page: Page, filled: Served) -> None:
    come_in(page, filled)
    hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    _, _, page_of_one = filled.ask("/api/v1/partner-center/referrals?limit=1")
    [referral] = page_of_one["referrals"]
    referral |= {"company_name": hostile, "domain_readable": hostile, "currency": hostile,
                 "substatus": hostile, "status": hostile, "deal_value": 5}  # fmt: skip
    page.route(
        "**/api/v1/partner-center/referrals?*",
        lambda route: route.fulfill(json={**page_of_one, "referrals": [referral]}),
    )
    page.reload()
    expect(page.locator("#rows .company")).to_have_text(hostile)
    assert page.locator("#rows img, #rows script").count() == 0
    assert page.title() == "Partner Center referrals"


def test_when_the_app_stops_answering_the_page_says_so(page: Page, filled: Served) -> None:
    come_in(page, filled)
    page.route("**/api/v1/partner-center/**", lambda route: route.abort())
    page.reload()
    expect(page.locator("#status-words")).to_contain_text("does not answer")
    expect(page.locator("#status")).to_have_attribute("data-level", "failing")
