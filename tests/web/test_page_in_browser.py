"""What people do with referrals on the page, in a real browser against the app on a real host."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.conftest import API, DESKTOP, PHONE, Served, come_in, look_again

pytestmark = pytest.mark.needs_chromium

type Open = Callable[..., Page]

STATUS = "**/partner-center/status"


def asked(page: Page) -> dict[str, list[str]]:
    """The parameters in the page's address."""
    return parse_qs(urlsplit(page.url).query)


def first_company(page: Page) -> str:
    expect(page.locator("#rows .company").first).to_be_visible()
    return page.locator("#rows .company").first.inner_text()


def test_a_wrong_key_is_said_to_be_wrong_and_the_right_one_is_kept_for_the_tab(
    page: Page, served: Served
) -> None:
    # Whoever closes the question is not asked again by itself.
    expect(page.get_by_role("textbox", name="Key")).to_be_focused()
    page.keyboard.press("Escape")
    for _ in range(2):
        with page.expect_response(STATUS):
            look_again(page)
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Enter key").click()

    page.get_by_role("textbox", name="Key").fill("wrong")
    page.get_by_role("dialog").get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_have_text("That key is not right.")
    expect(page.locator("#sync-button")).to_be_hidden()
    expect(page.locator("#tabs")).to_be_hidden()

    # What was asked without the key may be refused after the key is known.
    late: list[Any] = []
    page.route(STATUS, lambda route: late.append(route), times=1)
    look_again(page)
    come_in(page, served)
    with page.expect_response(STATUS):
        late[0].continue_()
    # So may a list that was asked for with an older one.
    set_key = "(key) => sessionStorage.setItem('partner-center-api-key', key)"
    page.evaluate(set_key, "older")
    page.route("**/referrals?*", lambda route: late.append(route), times=1)
    page.locator("#filter-status").select_option("New")
    page.evaluate(set_key, served.key)
    with page.expect_response("**/referrals?*"):
        late[1].continue_()
    with page.expect_response(STATUS):
        look_again(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.reload()
    expect(page.locator("#referrals")).to_be_visible()
    assert served.key not in page.content()

    page.get_by_role("button", name="Forget key").click()
    expect(page.get_by_role("textbox", name="Key")).to_be_visible()


def test_before_the_first_sync_the_page_says_what_is_missing(
    open_page: Open, served: Served
) -> None:
    page = open_page()

    expect(page.locator("#status")).to_have_attribute("data-level", "failing")
    expect(page.locator("#status-words")).to_have_text("Nobody has signed in yet")
    expect(page.get_by_text("No referrals yet")).to_be_visible()
    page.get_by_role("link", name="Needs attention").click()
    expect(page.get_by_text("Nothing needs you today")).to_be_visible()


def test_each_row_tells_what_a_sales_person_asks_first(open_page: Open, filled: Served) -> None:
    page = open_page("?status=New&sort=expires:asc")
    _, _, listed = filled.ask(f"{API}/referrals?status=New&sort=expires:asc&limit=50")

    expect(page.locator("#rows tr")).to_have_count(len(listed["referrals"]))
    heads = page.locator("#heads th").all_inner_texts()
    assert [head.strip() for head in heads][:8] == [
        "Type", "Company", "Status", "Direction", "Deal value", "Closing", "Days left", "Updated",
    ]  # fmt: skip
    for referral, row in zip(
        listed["referrals"][:10], page.locator("#rows tr").all(), strict=False
    ):
        shown = row.inner_text()
        assert (referral["company_name"] or referral["name"] or "No company name") in shown
        assert (referral["domain_readable"] or "No domain") in shown
        assert "New" in shown
        assert referral["substatus"] in shown
        if referral["deal_value"] is not None:
            assert referral["currency"] in shown
        left = referral["days_to_expiry"]
        words = {-1: "expired", 0: "less than a day left", 1: "1 day left"}
        assert words.get(left, f"{left} days left" if left > 0 else "expired") in shown
        link = row.get_by_role("link")
        assert link.get_attribute("href") == (
            f"https://partner.microsoft.com/dashboard/referrals/{referral['referral_id']}"
        )
        assert "noopener" in (link.get_attribute("rel") or "")
    assert page.locator("#rows time").first.get_attribute("title") is not None


def test_an_answered_referral_has_no_days_left(open_page: Open, filled: Served) -> None:
    page = open_page("?status=Active")
    expect(page.locator("#rows tr").first).to_be_visible()
    cells = set(page.locator("#rows td[data-cell=expires]").all_inner_texts())
    assert cells == {"\N{EN DASH}"}

    # The last day of an unanswered one may end tomorrow.
    _, _, part = filled.ask(f"{API}/referrals?status=New&sort=expires:desc&limit=1")
    last_day = {**part["referrals"][0], "days_to_expiry": 0}
    page.route(
        re.compile(r"/referrals\?"),
        partial(Route.fulfill, json={**part, "referrals": [last_day]}),
    )
    page.reload()
    expect(page.locator("#rows td[data-cell=expires]")).to_contain_text("less than a day left")


def test_search_finds_while_typing_and_the_address_follows(open_page: Open, filled: Served) -> None:
    page = open_page()
    name = first_company(page)
    beginning = name.split()[0][:5]

    page.keyboard.press("Control+k")
    page.keyboard.type(beginning.upper())
    page.wait_for_url(re.compile(r"[?&]q="))
    expect(page.locator("#rows .company").first).to_contain_text(name.split()[0])
    _, _, listed = filled.ask(f"{API}/referrals?q={quote(beginning)}")
    expect(page.locator("#rows tr")).to_have_count(listed["total"])

    page.get_by_role("searchbox", name="Search").fill("zzzz no such company")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    page.locator("#empty").get_by_role("button", name="Clear filters").click()
    expect(page.locator("#rows tr")).to_have_count(50)


def test_every_filter_shows_only_what_it_names(open_page: Open, filled: Served) -> None:
    page = open_page()
    page.locator("#filter-type").get_by_role("button", name="Marketplace").click()
    expect(page.locator("#rows .badge:not(.marketplace)")).to_have_count(0)
    page.locator("#filter-status").select_option("Active")
    expect(page.locator("#rows .state.New")).to_have_count(0)
    page.locator("#filter-direction").select_option("Incoming")
    country = page.locator("#filter-country")
    # The counts come a moment after the rows.
    expect(country.locator("option").nth(1)).to_be_attached()
    code = country.locator("option").nth(1).get_attribute("value")
    country.select_option(code)
    query = f"type=marketplace&status=Active&direction=Incoming&country={code}"
    _, _, listed = filled.ask(f"{API}/referrals?{query}&limit=200")
    expect(page.locator("#rows tr")).to_have_count(min(50, listed["total"]))
    page.get_by_role("button", name="Clear filters").click()

    page.locator("#filter-expiring").select_option("3")
    _, _, listed = filled.ask(f"{API}/referrals?expiring_within_days=3&limit=200")
    expect(page.locator("#rows tr")).to_have_count(min(50, listed["total"]))
    # As many as need somebody: who has answered has no days left.
    kinds = filled.ask(f"{API}/attention")[2]["kinds"]
    assert [listed["total"]] == [one["total"] for one in kinds if one["kind"] == "expiring"]
    dashes = page.locator("#rows td[data-cell=expires]", has_text="\N{EN DASH}")
    expect(dashes).to_have_count(0)
    page.get_by_role("button", name="Clear filters").click()

    page.locator("#filter-no-domain").check()
    expect(page.locator("#rows td .below.none").first).to_have_text("No domain")
    _, _, listed = filled.ask(f"{API}/referrals?domain_missing=true&limit=200")
    expect(page.locator("#rows .below.none")).to_have_count(min(50, listed["total"]))


def test_a_view_can_be_shared_by_its_address(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    page.locator("#filter-type").get_by_role("button", name="Co-sell").click()
    page.locator("#filter-status").select_option("New,Active")
    page.get_by_role("button", name="Deal value").click()
    expect(page.locator("th[data-sort=deal_value]")).to_have_attribute("aria-sort", "descending")
    expect(page.locator("#rows .badge:not(.co-sell)")).to_have_count(0)
    assert asked(page) == {
        "type": ["co-sell"], "status": ["New,Active"], "sort": ["deal_value:desc"],
    }  # fmt: skip

    query = "type=co-sell&status=New,Active&sort=deal_value:desc&limit=50"
    _, _, listed = filled.ask(f"{API}/referrals?{query}")
    wanted = [referral["referral_id"] for referral in listed["referrals"]]
    assert wanted
    elsewhere = open_page(page.url.partition("/mini-ui/")[2])
    for shown in (page, elsewhere):
        expect(shown.locator("#rows tr").first).to_have_attribute("data-id", wanted[0])
        rows = shown.locator("#rows tr").all()
        assert [row.get_attribute("data-id") for row in rows] == wanted
    expect(elsewhere.locator("#filter-status")).to_have_value("New,Active")


def test_sorting_and_pages(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    page.get_by_role("button", name="Company", exact=True).click()
    expect(page.locator("th[data-sort=company]")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("#table-frame")).not_to_have_attribute("aria-busy", "true")
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#shown")).to_have_text(re.compile("^51\u2013\\d+ of \\d+$"))
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^1\u201350 of \\d+$"))
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()


def test_the_place_in_the_list_is_kept_by_a_reload_and_a_shared_address(
    open_page: Open, filled: Served
) -> None:
    page = open_page("?sort=company:asc")
    first_company(page)
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^51\u2013100 of"))
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^101\u2013"))
    third = first_company(page)

    page.reload()
    expect(page.locator("#shown")).to_have_text(re.compile("^101\u2013"))
    assert first_company(page) == third
    # What lies open over the list leaves the place alone.
    page.locator("#rows .company").first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^51\u2013100 of"))
    page.go_back()
    expect(page.locator("#shown")).to_have_text(re.compile("^101\u2013"))

    elsewhere = open_page(page.url.partition("/mini-ui/")[2])
    expect(elsewhere.locator("#shown")).to_have_text(re.compile("^101\u2013"))
    assert first_company(elsewhere) == third
    # Nothing tells the way that the other browser took.
    elsewhere.get_by_role("button", name="First page").click()
    expect(elsewhere.locator("#shown")).to_have_text(re.compile("^1\u201350 of"))
    assert "cursor" not in asked(elsewhere)

    page.locator("#filter-type").get_by_role("button", name="Co-sell").click()
    expect(page.locator("#shown")).to_have_text(re.compile("^1\u201350 of"))
    assert not {"cursor", "page"} & set(asked(page))


def test_a_place_that_no_longer_fits_leads_to_the_first_page(
    open_page: Open, filled: Served
) -> None:
    for path, rows, shown in (
        ("?page=3&cursor=bm9uZQ", "#rows tr", "#shown"),
        ("?view=companies&page=3&cursor=bm9uZQ", "#company-rows tr", "#companies-shown"),
    ):
        page = open_page(path)
        expect(page.locator(rows)).to_have_count(50)
        expect(page.locator(shown)).to_have_text(re.compile("^1\u201350 of"))
        assert "cursor" not in asked(page)


def test_the_choice_of_columns_is_remembered(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    page.locator("#column-menu summary").click()
    page.locator("#column-list").get_by_label("Country").check()
    page.locator("#column-list").get_by_label("Direction").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    first_company(page)
    heads = page.locator("#heads").inner_text()
    assert "Country" in heads
    assert "Direction" not in heads


def test_the_referrals_of_one_company_are_seen_together(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    page.get_by_label("Group by company").check()
    expect(page.locator("#rows tr.group").first).to_be_visible()
    _, _, listed = filled.ask(f"{API}/referrals?limit=200")
    domains = [row["domain"] for row in listed["referrals"] if row["domain"]]
    busiest = max(set(domains), key=domains.count)
    assert domains.count(busiest) > 1

    page.goto(f"{filled.url}/mini-ui/?domain={busiest}")
    expect(page.locator("#rows tr")).to_have_count(domains.count(busiest))
    card = page.locator("#company-card")
    expect(card).to_contain_text(str(domains.count(busiest)))
    expect(card).to_contain_text("Open value")

    # Two days without a run: what is counted is asked for again, how long ago it was is told anew.
    _, _, known = filled.ask(f"{API}/companies/{busiest}")
    counted = {**known, "referral_count": 777}
    page.clock.install()
    page.reload()
    ago = page.locator("#rows [data-cell=updated] time").first
    before = ago.inner_text()
    page.route("**/companies/*", partial(Route.fulfill, json=counted))
    page.route(re.compile(r"/referrals\?"), lambda route: route.abort())
    page.clock.fast_forward("48:00:00")
    expect(card).to_contain_text("777")
    expect(ago).to_have_text(re.compile(r"\d+ days ago"))
    assert ago.inner_text() != before
    page.unroute(re.compile(r"/referrals\?"))
    page.get_by_role("button", name=re.compile("Remove the filter")).click()
    expect(card).to_be_hidden()
    expect(page.locator("#rows tr")).to_have_count(50)


@pytest.mark.parametrize(
    ("language", "size", "words"),
    [
        ("en-GB", DESKTOP, ("Companies", "With several referrals", "With open referrals")),
        ("tr-TR", PHONE, ("Şirketler", "Birden çok yönlendirmesi olan",
                          "Açık yönlendirmesi olan")),
    ],
)  # fmt: skip
def test_companies_are_looked_through_and_lead_to_their_referrals(
    open_page: Open,
    filled: Served,
    language: str,
    size: dict[str, int],
    words: tuple[str, str, str],
) -> None:
    view, several, opened = words
    _, _, all_of_them = filled.ask(f"{API}/companies?limit=200")
    page = open_page(language=language, viewport=size)
    page.get_by_role("link", name=view).click()
    rows = page.locator("#company-rows tr")
    expect(rows).to_have_count(50)
    assert asked(page) == {"view": ["companies"]}
    for company, row in zip(all_of_them["companies"][:10], rows.all(), strict=False):
        shown = row.inner_text()
        assert (company["company_name"] or company["domain_readable"]) in shown
        assert company["domain_readable"] in shown
        for currency in company["open_value"]:
            assert currency in shown
    expect(page.locator("#companies-shown")).to_contain_text(str(all_of_them["total"]))

    # Pressed twice at once it turns one page.
    page.locator("#company-on").evaluate("(next) => { next.click(); next.click(); }")
    expect(page.locator("#companies-shown")).to_have_text(re.compile("^51\u2013"))
    page.reload()
    expect(page.locator("#companies-shown")).to_have_text(re.compile("^51\u2013"))
    page.locator("#company-back").click()
    expect(page.locator("#companies-shown")).to_have_text(re.compile("^1\u201350"))

    page.get_by_label(several).check()
    page.get_by_label(opened).check()
    _, _, busy = filled.ask(f"{API}/companies?several=true&open=true&limit=200")
    expect(rows).to_have_count(min(50, busy["total"]))
    one = busy["companies"][0]
    name = one["company_name"].split()[0]
    page.get_by_role("searchbox").fill(name)
    _, _, found = filled.ask(f"{API}/companies?several=true&open=true&q={quote(name)}")
    expect(rows).to_have_count(found["total"])
    shared = asked(page)
    assert shared == {"view": ["companies"], "q": [name], "several": ["1"], "open": ["1"]}

    rows.locator(".company").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#company-card")).to_contain_text(found["companies"][0]["domain_readable"])
    expect(page.locator("#rows tr")).to_have_count(found["companies"][0]["referral_count"])
    page.go_back()
    expect(rows).to_have_count(found["total"])
    page.get_by_role("searchbox").fill("zzzz")
    expect(page.locator("#company-empty strong")).to_be_visible()
    page.locator("#company-empty button").click()
    expect(rows).to_have_count(50)


def test_companies_are_sorted_by_name_and_by_their_newest_change(
    open_page: Open, filled: Served
) -> None:
    page = open_page("?view=companies")
    expect(page.locator("#company-rows tr")).to_have_count(50)
    page.get_by_role("button", name="Company", exact=True).click()
    _, _, listed = filled.ask(f"{API}/companies?sort=company:asc&limit=50")
    wanted = [company["domain"] for company in listed["companies"]]
    expect(page.locator("#company-rows tr").first).to_have_attribute("data-domain", wanted[0])
    rows = page.locator("#company-rows tr").all()
    assert [row.get_attribute("data-domain") for row in rows] == wanted
    head = page.locator("#company-heads th[data-sort=company]")
    expect(head).to_have_attribute("aria-sort", "ascending")
    page.locator("#company-rows .company").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#company-rows .company").nth(1)).to_be_focused()
    page.route("**/companies?**", lambda route: route.fulfill(
        status=503, json={"code": "database_busy", "detail": "Busy."}))  # fmt: skip
    page.reload()
    expect(page.locator("#company-empty")).to_contain_text("The database is busy.")
    page.unroute("**/companies?**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#company-rows tr")).to_have_count(50)


@pytest.mark.parametrize(
    ("language", "source", "rule", "size"),
    [
        ("en-GB", "customer's e-mail address", "invited by a partner", "employees"),
        ("tr-TR", "müşterinin e-posta adresi", "bir iş ortağı davet etti", "çalışan"),
    ],
)
def test_no_code_of_ours_or_of_microsofts_is_shown_raw(
    open_page: Open, filled: Served, language: str, source: str, rule: str, size: str
) -> None:
    _, _, listed = filled.ask(f"{API}/referrals?type=co-sell&limit=200")
    one = next(
        row
        for row in listed["referrals"]
        if row["domain_source"] == "customer_email"
        and row["classification_rule"] == "invited_by_partner"
        and (row["customer_size"] or "").endswith("employees")
    )
    page = open_page(f"?referral={one['referral_id']}", language=language)
    dialog = page.get_by_role("dialog")
    for words in (source, rule, size):
        expect(dialog).to_contain_text(words)
    shown = dialog.inner_text()
    for code in ("customer_email", "invited_by_partner", one["customer_size"], "SalesQualified"):
        assert code not in shown


@pytest.mark.parametrize(("language", "separator"), [("tr-TR", ";"), ("en-GB", ",")])
def test_the_export_is_the_whole_view_in_one_file_for_the_readers_spreadsheet(
    open_page: Open, filled: Served, language: str, separator: str
) -> None:
    page = open_page("?sort=company:asc", language=language)
    first_company(page)
    # Parts of 30 rows, so that there are several to be joined.
    page.route(
        "**/referrals?*format=csv*",
        lambda route: route.continue_(
            url=route.request.url
            if "limit=" in route.request.url
            else f"{route.request.url}&limit=30"
        ),
    )
    with page.expect_download() as waiting:
        page.locator("#csv-button").click()
    content = waiting.value.path().read_bytes()

    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\xef\xbb\xbf") == 1
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=separator))
    _, _, listed = filled.ask(f"{API}/referrals?sort=company:asc&limit=200")
    assert [row["referral_id"] for row in rows] == [
        referral["referral_id"] for referral in listed["referrals"]
    ]
    valued = next(row for row in listed["referrals"] if isinstance(row["deal_value"], float))
    [written] = [row for row in rows if row["referral_id"] == valued["referral_id"]]
    mark = "," if separator == ";" else "."
    assert float(written["deal_value"].replace(mark, ".")) == valued["deal_value"]


def test_a_referral_opens_by_mouse_keyboard_and_address(open_page: Open, filled: Served) -> None:
    page = open_page()
    name = first_company(page)
    page.locator("#rows .company").nth(1).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text(name)
    address = page.url
    assert asked(page)["referral"]

    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    # The dialog tells that it has closed only after it is hidden.
    expect(page).not_to_have_url(re.compile("referral="))
    expect(page.locator("#rows .company").first).to_be_focused()

    page.goto(address)
    expect(dialog.get_by_role("heading", level=2)).to_have_text(name)
    page.go_back()
    expect(dialog).to_be_hidden()


def test_the_detail_tells_everything_that_is_known(open_page: Open, filled: Served) -> None:
    _, _, listed = filled.ask(f"{API}/referrals?type=co-sell&limit=50")
    one = next(row for row in listed["referrals"] if row["deal_value"] and row["domain"])
    filled.simulator.state.change(one["referral_id"], name="Renamed deal", salesStage="Develop")
    filled.ask(f"{API}/referrals/sync", method="POST")
    _, _, known = filled.ask(f"{API}/referrals/{one['referral_id']}?include_raw=true")

    page = open_page(f"?referral={one['referral_id']}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Renamed deal").first).to_be_visible()
    shown = dialog.inner_text()
    for person in known["referral"]["contacts"] + known["referral"]["team"]:
        assert (person["email"] or "").strip() in shown
        assert (person["firstName"] or "") in shown
    for names in known["details"]["requirements"].values():
        for name in names:
            # A code such as ProjectServices is taken apart.
            is_code = re.fullmatch(r"\w+", name)
            assert (re.sub("([a-z])([A-Z])", r"\1 \2", name) if is_code else name) in shown
    assert one["currency"] in shown
    changes = dialog.locator("table tr", has_text="Deal").filter(has_text="Renamed deal")
    expect(changes.locator(".after")).to_have_text("Renamed deal")

    assert "futureField" not in shown
    dialog.get_by_role("button", name="Show raw data").click()
    shown_raw = json.loads(dialog.locator("pre").inner_text())
    assert shown_raw == known["raw_data"]

    dialog.get_by_role("button", name="Copy domain").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == one["domain"]
    dialog.get_by_role("button", name="Copy link").click()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_a_referral_that_is_not_stored_is_said_not_to_be(open_page: Open, filled: Served) -> None:
    page = open_page("?referral=00000000-0000-4000-8000-00000000dead")
    expect(page.get_by_role("dialog")).to_contain_text("Not stored here")


def test_what_needs_a_person_is_listed_with_what_to_do(open_page: Open, filled: Served) -> None:
    _, _, active = filled.ask(f"{API}/referrals?type=co-sell&status=Active&sort=created:desc")
    young = active["referrals"][0]["referral_id"]
    # Microsoft may reject the registration of a deal that was won so soon.
    wire = filled.simulator.state.get(young)
    filled.simulator.state.close(young, "Won")
    filled.simulator.state.change(young, closedDateTime=wire["createdDateTime"])
    filled.ask(f"{API}/referrals/sync", method="POST")
    _, _, needed = filled.ask(f"{API}/attention")
    totals = {kind["kind"]: kind["total"] for kind in needed["kinds"]}
    assert totals["won_early"] == 1
    assert all(totals[kind] for kind in ("expiring", "no_domain", "incomplete", "new"))

    page = open_page()
    urgent = totals["expiring"] + totals["no_domain"] + totals["incomplete"] + totals["won_early"]
    expect(page.locator("#attention-count")).to_have_text(f"{urgent} points to look at")
    page.get_by_role("link", name="Needs attention").click()
    for kind, words in (
        ("expiring", "Accept or decline"),
        ("no_domain", "business e-mail"),
        ("incomplete", "Complete them"),
        ("won_early", "registration"),
        ("new", "Came in since"),
    ):
        panel = page.locator(f".attention-kind.{kind}")
        expect(panel).to_contain_text(words)
        expect(panel.locator(".count")).to_have_text(str(totals[kind]))
        expect(panel.locator("li")).to_have_count(min(5, totals[kind]))

    page.locator(".attention-kind.no_domain").get_by_role("button", name="Show all").click()
    expect(page.locator("#chips")).to_contain_text("Without a company domain")
    expect(page.locator("#rows tr")).to_have_count(min(50, totals["no_domain"]))
    page.go_back()
    page.locator(".attention-kind.won_early li button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Won")

    # So many that they are not counted to the end.
    most = [{**kind, "total": 1_000, "total_is_exact": False} for kind in needed["kinds"]]
    page.route("**/partner-center/attention*", partial(Route.fulfill, json={"kinds": most}))
    page.reload()
    expect(page.locator("#attention-count")).to_have_text("4,000+ points to look at")


def test_new_means_since_the_last_visit(open_page: Open, filled: Served) -> None:
    page = open_page("?view=attention")
    expect(page.locator(".attention-kind").first).to_be_visible()
    _, _, shown = filled.ask(f"{API}/status")
    # Everything so far was seen an hour ago; then one came in.
    page.evaluate(
        "now => localStorage.setItem('partner-center-last-seen',"
        " new Date(Date.parse(now) - 3600e3).toISOString())",
        shown["now"],
    )
    page.route(
        "**/partner-center/attention*",
        lambda route: (
            route.continue_(url=route.request.url.partition("?")[0] + f"?seen_since={shown['now']}")
            if "seen_since=" in route.request.url
            else route.abort()
        ),
    )
    filled.simulator.state.add()
    filled.simulator.state.add()
    page.reload()
    expect(page.locator("#attention-count")).to_be_attached()
    filled.ask(f"{API}/referrals/sync", method="POST")
    page.reload()
    new = page.locator(".attention-kind.new")
    expect(new).to_contain_text(re.compile(r"Came in since \d+ \w+ \d{4}, \d\d:\d\d\."))
    assert 0 < int(new.locator(".count").inner_text()) <= 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en-GB", "tr-TR"])
def test_the_browser_chooses_language_and_theme(
    open_page: Open, filled: Served, language: str, theme: str
) -> None:
    page = open_page(language=language, color_scheme=theme)
    first_company(page)
    button = {"en-GB": "Sync now", "tr-TR": "Şimdi eşitle"}[language]
    expect(page.get_by_role("button", name=button)).to_be_visible()
    assert page.locator("html").get_attribute("lang") == language[:2]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3]))
    assert (brightness > 600) is (theme == "light")


def test_language_and_theme_switch_and_stay(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    page.get_by_role("button", name="TR", exact=True).click()
    page.get_by_role("button", name="Koyu").click()
    expect(page.get_by_role("button", name="Şimdi eşitle")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Şimdi eşitle")).to_be_visible()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    first_company(page)
    for view in ("İlgi bekleyenler", "Sağlık"):
        page.get_by_role("link", name=view).click()
        expect(page.get_by_text("Yükleniyor")).to_have_count(0)
        shown = page.locator("main").inner_text()
        assert not re.search(r"\b(Referrals|Settings|Runs|Status|Show all|Last success)\b", shown)


def test_times_are_the_readers_and_the_exact_instant_is_utc(
    open_page: Open, filled: Served
) -> None:
    _, _, listed = filled.ask(f"{API}/referrals?limit=200")
    late = next(
        row for row in listed["referrals"] if (row["closing_at"] or "").endswith("T21:00:00Z")
    )
    page = open_page(f"?referral={late['referral_id']}", timezone_id="Europe/Istanbul")
    closing = page.locator(f"dialog time[datetime='{late['closing_at']}']")
    # 21:00 UTC is midnight in Istanbul: the day after.
    there = datetime.fromisoformat(late["closing_at"]) + timedelta(hours=3)
    expect(closing).to_have_text(re.compile(rf"^{there.day} \w+ {there.year}$"))
    expect(closing).to_have_attribute("title", f"{late['closing_at'][:10]} 21:00:00 UTC")


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>"\'>&lt;'


def hostile(value: Any) -> Any:
    """The same shape with a payload in every text."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [hostile(item) for item in value]
    if isinstance(value, dict):
        return {name: hostile(item) for name, item in value.items()}
    return value


def test_text_from_strangers_stays_text_from_partner_center_to_the_page(
    open_page: Open, filled: Served
) -> None:
    wire = filled.simulator.state.add(qualification="SalesQualified", type="Shared")
    kept = {"id", "eTag", "createdDateTime", "updatedDateTime", "expirationDateTime", "direction",
            "acceptedDateTime", "closedDateTime", "organizationId", "status", "target",
            "organizationName"}  # fmt: skip
    changes: dict[str, Any] = {
        name: hostile(value) if value else HOSTILE
        for name, value in wire.items()
        if name not in kept and (isinstance(value, str | dict) or name == "name")
    }
    changes["team"] = [{"firstName": HOSTILE, "email": HOSTILE, "title": HOSTILE}]
    changes["details"] = {
        "notes": HOSTILE,
        "dealValue": 5,
        "currency": HOSTILE,
        "requirements": {"solutions": [{"id": HOSTILE, "name": HOSTILE}]},
    }
    filled.simulator.state.change(wire["id"], **changes)
    filled.ask(f"{API}/referrals/sync", method="POST")
    status, _, stored = filled.ask(f"{API}/referrals/{wire['id']}?include_raw=true")
    assert status == 200, stored

    page = open_page()
    expect(page.locator(f"#rows tr[data-id='{wire['id']}']")).to_be_visible()
    for path in (
        "?group=1",
        "?view=companies",
        "?view=attention",
        "?view=health",
        f"?referral={wire['id']}",
    ):
        page.goto(f"{filled.url}/mini-ui/{path}")
        expect(page.locator("#tabs")).to_be_visible()
        expect(page.get_by_text("Loading…")).to_have_count(0)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("onerror")
    dialog.get_by_role("button", name="Show raw data").click()
    expect(dialog.locator("pre")).to_contain_text("onerror")
    assert page.locator("main img, main script, dialog img, dialog script").count() == 0
    assert "Partner Center referrals" in page.title()


def test_a_list_that_is_hostile_through_and_through_is_shown_as_text(
    open_page: Open, filled: Served
) -> None:
    _, _, part = filled.ask(f"{API}/referrals?limit=1")
    [referral] = part["referrals"]
    instants = {name for name in referral if name.endswith("_at") or name == "missing_since"}
    referral |= {
        name: HOSTILE for name in referral if name not in {*instants, "deal_value", "referral_id"}
    } | {"deal_value": 5, "days_to_expiry": 1}
    page = open_page()
    first_company(page)
    page.route(
        re.compile(r"/referrals\?"),
        lambda route: route.fulfill(json={**part, "referrals": [referral]}),
    )
    page.reload()
    expect(page.locator("#rows .company")).to_have_text(HOSTILE)
    assert page.locator("#rows img, #rows script").count() == 0
    assert page.title() == "Partner Center referrals"


@pytest.mark.parametrize("path", ["", "?view=companies", "?view=attention", "?view=health"])
def test_when_the_app_stops_answering_the_page_says_so(
    open_page: Open, filled: Served, path: str
) -> None:
    page = open_page(path)
    expect(page.locator("#tabs")).to_be_visible()
    page.route("**/api/v1/partner-center/**", lambda route: route.abort())
    page.reload()
    expect(page.locator("#status-words")).to_contain_text("does not answer")
    expect(page.locator("#status")).to_have_attribute("data-level", "failing")
    page.unroute("**/api/v1/partner-center/**")
    expect(page.locator("#status")).to_have_attribute("data-level", re.compile("ok|attention"),
                                                      timeout=15_000)  # fmt: skip


IMPATIENT = """
const wait = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (afterMs) => wait(afterMs / 60);
"""


def test_no_answer_that_goes_wrong_is_taken_for_a_good_one_or_the_last(
    open_page: Open, filled: Served
) -> None:
    page = open_page()
    page.add_init_script(IMPATIENT)
    page.reload()
    first_company(page)
    words, to_do = page.locator("#status-words"), page.locator("#to-do")
    good = words.inner_text()
    busy = {"code": "database_busy", "detail": "Busy."}
    silent = ("The app does not answer", "Check your network")
    troubles: list[tuple[Callable[[Route], None], tuple[str, str]]] = [
        # Somebody else's page under a good status.
        (partial(Route.fulfill, body="<html>"), silent),
        (
            partial(Route.fulfill, status=503, json=busy),
            ("The app cannot answer right now", "The database is busy."),
        ),
        # An answer that never comes.
        (lambda _: None, silent),
    ]
    for answer, (what, remedy) in troubles:
        page.route(STATUS, answer)
        look_again(page)
        expect(words).to_have_text(what)
        expect(to_do).to_contain_text(remedy)
        expect(page.locator("#rows tr")).to_have_count(50)
        page.unroute(STATUS)
        if answer is not troubles[0][0]:
            look_again(page)
        # Else by itself.
        expect(words).to_have_text(good)


def test_what_is_polled_disturbs_nobody(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    _, _, known = filled.ask(f"{API}/status")
    forget = page.get_by_role("button", name="Forget key")
    forget.focus()
    # Read out is how it stands, and neither how long ago nor all of it again.
    spoken = page.locator("#status").get_by_role("status")
    expect(spoken).to_have_text(page.locator("#status-words").inner_text())
    page.evaluate(
        "window.spoken = 0;"
        "new MutationObserver((all) => { window.spoken += all.length; })"
        ".observe(document.querySelector('#status [role=status]'),"
        " {childList: true, subtree: true, characterData: true})"
    )
    for count in (7, 8):
        news = {**known, "counts": {**known["counts"], "open": count}}
        page.route(STATUS, partial(Route.fulfill, json=news))
        look_again(page)
        expect(page.locator("#figures dd").nth(1)).to_have_text(str(count))
        expect(forget).to_be_focused()
    assert page.evaluate("window.spoken") == 0


def test_what_is_wrong_before_anything_is_shown_is_said_with_what_to_do(
    open_page: Open, served: Served
) -> None:
    page = open_page(language="tr-TR")
    page.route(
        "**/partner-center/status",
        lambda route: route.fulfill(
            status=500, json={"code": "migration_missing", "detail": "A table is missing."}
        ),
    )
    page.reload()
    expect(page.locator("#status-words")).to_have_text("Uygulama şu anda yanıt veremiyor")
    times = page.locator("#status-times")
    expect(times).to_contain_text("Veritabanının tabloları uygulamadan eski")
    expect(times.locator("code")).to_have_text("python -m pc_core migrate")
    page.locator("#to-do summary").click()
    expect(page.locator("#to-do")).to_contain_text("A table is missing.")


def test_a_list_that_fails_alone_can_be_asked_for_again(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    page.route(
        re.compile(r"/referrals\?"),
        lambda route: route.fulfill(status=503, json={"code": "database_out_of_reach",
                                                      "detail": "The database is out of reach."}),
    )  # fmt: skip
    page.get_by_role("searchbox", name="Search").fill("x")
    page.reload()
    expect(page.locator("#empty")).to_contain_text("The database is out of reach.")
    page.unroute(re.compile(r"/referrals\?"))
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#empty")).not_to_contain_text("out of reach")


def test_an_export_runs_once_and_says_why_it_failed(open_page: Open, filled: Served) -> None:
    page = open_page()
    first_company(page)
    held: list[Route] = []
    page.route("**/referrals?*format=csv*", lambda route: held.append(route))
    export = page.locator("#csv-button")
    export.click()
    # What the list does meanwhile starts no second one.
    page.locator("#filter-status").select_option("New")
    expect(page.locator("#rows .state:not(.New)")).to_have_count(0)
    expect(export).to_be_disabled()
    export.dispatch_event("click")
    [one] = held
    one.fulfill(status=503, json={"code": "statement_timeout", "detail": "Too slow."})
    trouble = page.locator("#csv-trouble")
    expect(trouble).to_be_in_viewport()
    expect(trouble).to_contain_text("choose narrower filters")
    expect(page.locator("#rows tr").first).to_be_visible()
    page.unroute("**/referrals?*format=csv*")
    with page.expect_download():
        export.click()
    expect(trouble).to_be_empty()


def test_while_the_app_wakes_the_page_says_so_in_words(open_page: Open, filled: Served) -> None:
    page = open_page(key=True)
    first_company(page)
    held: list[Any] = []
    page.route("**/partner-center/status", lambda route: held.append(route))
    page.reload()
    expect(page.locator("#status-words")).to_have_text("Loading…")
    expect(page.locator("#status-words")).to_have_text("The app is waking up")
    for route in held:
        route.continue_()
    first_company(page)


TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > width
      || (one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX === "visible"))
    .map((one) => `${one.tagName}.${one.className}: ${one.textContent.slice(0, 40)}`);
}"""


def test_it_fits_a_phone_and_a_wide_screen(open_page: Open, filled: Served) -> None:
    for size in (PHONE, {"width": 320, "height": 640}, DESKTOP, {"width": 2560, "height": 1300}):
        page = open_page(viewport=size)
        first_company(page)
        for path in ("", "?view=companies", "?view=attention", "?view=health", "?group=1"):
            page.goto(f"{filled.url}/mini-ui/{path}")
            expect(page.locator("#tabs")).to_be_visible()
            page.wait_for_load_state("networkidle")
            too_wide = page.evaluate(TOO_WIDE)
            assert too_wide == [], (size, path)


def test_a_print_holds_the_table_and_no_buttons(open_page: Open, filled: Served) -> None:
    page = open_page(color_scheme="dark")
    first_company(page)
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#rows tr").first).to_be_visible()
    for hidden in ("#filters", "#sync-button", "#page-on", "#tabs"):
        expect(page.locator(hidden)).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
