"""What operators do on the page, and what readers cannot, in a real browser on a real host."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from dev.simulator import ADA, Fault
from tests.web.conftest import API, SLOW_MS, Served, look_again

pytestmark = pytest.mark.needs_chromium

type Open = Callable[..., Page]

ANOTHER = replace(
    ADA,
    object_id="00000000-0000-4000-8000-00000000b0b0",
    username="other.person@tailspin.example",
)


@contextmanager
def slowed(served: Served, latency_s: float) -> Iterator[None]:
    """Partner Center takes its time, so that a run can be watched."""
    served.simulator.behaviour.latency_s = latency_s
    try:
        yield
    finally:
        served.simulator.behaviour.latency_s = 0.0


@contextmanager
def running(served: Served) -> Iterator[None]:
    """A full run at work, started elsewhere."""
    with slowed(served, 3.0):
        run = threading.Thread(
            target=served.ask,
            args=(f"{API}/referrals/sync",),
            kwargs={"method": "POST", "body": {"mode": "full"}},
        )
        run.start()
        deadline_s = time.monotonic() + 20
        while not served.ask(f"{API}/status")[2]["running"]:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        yield
        run.join()


def test_from_the_sign_in_to_the_first_referrals(open_page: Open, served: Served) -> None:
    page = open_page()
    expect(page.locator("#status-words")).to_have_text("Nobody has signed in yet")

    page.locator("#to-do").get_by_role("button", name="Sign in…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".code")).to_have_text(re.compile(r"^[A-Z0-9]{6,}$"))
    code = dialog.locator(".code").inner_text()
    expect(dialog.get_by_role("timer")).to_have_text(re.compile(r"^\d+:\d\d left, until \d\d:\d\d"))
    dialog.get_by_role("button", name="Copy code").click()
    assert page.evaluate("navigator.clipboard.readText()") == code
    address = dialog.get_by_role("link", name="Open the sign-in page").get_attribute("href")
    assert address is not None
    assert address in dialog.inner_text()
    expect(dialog.get_by_text("Signed in as")).to_be_visible(timeout=SLOW_MS)
    expect(dialog).to_contain_text(served.simulator.entra.account.username)
    expect(dialog).to_contain_text("this account may read referrals")
    dialog.locator(".dialog-actions").get_by_role("button", name="Close").click()

    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_text("Sync completed")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator("#notices")).to_contain_text("Left out by the filter settings")
    expect(page.locator("#notices")).to_contain_text(re.compile(r"outgoing: \d+"))
    expect(page.locator("#status")).to_have_attribute("data-level", "ok")
    expect(page.locator("#rows tr")).to_have_count(50)
    expect(page.locator("#status-times span").first).to_have_attribute(
        "title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$")
    )

    sync = page.get_by_role("button", name="Sync now")
    sync.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("Nothing new.")
    expect(sync).to_be_focused()


def test_a_runs_progress_is_true_and_the_same_in_every_browser(
    open_page: Open, filled: Served
) -> None:
    page = open_page()
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()
    with running(filled):
        other = open_page(language="tr-TR")
        seen = (
            (other, r"[1-9]\d* sayfa · [1-9]\d+ okundu"),
            (page, r"[1-9]\d* pages · [1-9]\d+ read · .*by hand · everything"),
        )
        for shown, words in seen:
            expect(shown.locator("#status")).to_have_attribute(
                "data-level", "running", timeout=12_000
            )
            expect(shown.locator("#sync-button")).to_be_disabled()
            expect(shown.locator("#running-words")).to_have_text(re.compile(words), timeout=12_000)
        other.reload()
        expect(other.locator("#running-words")).to_have_text(re.compile("sayfa"))
    expect(page.locator("#status")).to_have_attribute("data-level", "ok", timeout=12_000)
    expect(page.locator("#running")).to_be_hidden()
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en-GB", r"^Comparing everything: \d+ of about \d+ received · \d+ pages? · \d+ read"),
        ("tr-TR", r"^Tümü karşılaştırılıyor: yaklaşık \d+ kaydın \d+ tanesi alındı · \d+ sayfa"),
    ],
)
def test_a_comparison_shows_how_far_it_is(
    open_page: Open, filled: Served, language: str, words: str
) -> None:
    page = open_page(language=language)
    expect(page.locator("#sync-button")).to_be_enabled()
    expected = filled.ask(f"{API}/sync-runs?limit=1")[2]["runs"][0]["fetched"]
    assert expected
    with running(filled):
        expect(page.locator("#running-words")).to_have_text(re.compile(words), timeout=15_000)
        share: float = page.locator("#running-bar").evaluate("(bar) => bar.position")
        assert 0 <= share < 1


def test_code_in_the_servers_words_looks_like_code(open_page: Open, filled: Served) -> None:
    _, _, known = filled.ask(f"{API}/status")
    message = "Run `python -m pc_core sign-in`, <b>not</b> `rm`."
    alarm = {"code": "sign_in_needed", "level": "failing", "message": message,
             "reason_code": "new_to_this_page"}  # fmt: skip
    overdue = {"code": "sweep_overdue", "level": "attention", "at": None}
    page = open_page()
    page.route(
        "**/partner-center/status",
        lambda route: route.fulfill(json={**known, "level": "failing", "alarms": [alarm, overdue]}),
    )
    page.reload()
    expect(page.locator("#notices")).to_contain_text("None has ended yet.")
    page.locator("#to-do summary").click()
    spoken = page.locator("#to-do details p[lang=en]")
    expect(spoken).to_have_text("Run python -m pc_core sign-in, <b>not</b> rm.")
    expect(spoken.locator("code").first).to_have_text("python -m pc_core sign-in")
    assert spoken.locator("b").count() == 0


def test_a_run_that_the_timer_started_is_shown_as_such(open_page: Open, filled: Served) -> None:
    page = open_page("?view=health")
    expect(page.locator(".runs tbody tr").first).to_be_visible()
    filled.ask(
        "/admin/functions/scheduled_sync",
        method="POST",
        body={},
    )
    expect(page.locator(".runs tbody tr").first).to_contain_text("by schedule", timeout=15_000)


def test_already_running_is_told_apart(open_page: Open, filled: Served) -> None:
    page = open_page()
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()
    # What this browser knows is older than the run that began elsewhere.
    _, _, before = filled.ask(f"{API}/status")
    page.route("**/partner-center/status", lambda route: route.fulfill(json=before))
    with running(filled):
        page.get_by_role("button", name="Sync now").click()
        expect(page.locator("#notices")).to_contain_text("Another run is already at work")
    # It has ended.
    page.unroute("**/partner-center/status")
    look_again(page)
    expect(page.locator("#notices")).not_to_contain_text("Another run is already at work")


def test_a_switched_off_feature_is_told_apart(
    open_page: Open, filled: Served, serve_with: Callable[..., Served]
) -> None:
    off = serve_with(HUNTER_PARTNER_CENTER_ENABLED="false")
    page = open_page(at=off)
    expect(page.locator("#status-words")).to_have_text("The feature is switched off")
    expect(page.locator("#to-do")).to_contain_text("HUNTER_PARTNER_CENTER_ENABLED")
    expect(page.locator("#sync-button")).to_be_disabled()
    expect(page.locator("#rows tr").first).to_be_visible()
    # A page from before it was switched off.
    _, _, on = filled.ask(f"{API}/status")
    page.route("**/partner-center/status", lambda route: route.fulfill(json=on))
    page.reload()
    page.get_by_role("button", name="Sync now").click()
    expect(page.locator("#notices")).to_contain_text(
        "Nothing was done: the feature is switched off"
    )


def test_a_failed_run_says_why_and_where_to_look(open_page: Open, filled: Served) -> None:
    page = open_page()
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()
    filled.simulator.faults.add(Fault(kind="html", times=50))
    page.get_by_role("button", name="Sync now").click()
    expect(page.locator("#notices")).to_contain_text("Sync failed", timeout=SLOW_MS)
    filled.simulator.faults.clear()
    expect(page.locator("#status-words")).to_have_text("The last run failed")
    page.locator("#to-do").get_by_role("button", name="Show").click()
    failed = page.locator(".runs tbody tr", has_text="Failed").first
    expect(failed).to_contain_text("Partner Center answered something that is no list of referrals")
    failed.click()
    notice = page.get_by_role("dialog").locator(".notice")
    expect(notice).to_contain_text("No data was changed")

    # In the reader's language; the server's own words are English and there on demand.
    turkish = open_page(language="tr-TR")
    expect(turkish.locator("#status-words")).to_have_text("Son çalışma başarısız")
    expect(turkish.locator("#to-do")).to_contain_text("sıradaki çalışma yeniden dener")
    server_words = turkish.locator("#to-do details p").first
    expect(server_words).to_be_hidden()
    turkish.locator("#to-do summary").click()
    expect(server_words).to_be_visible()
    expect(server_words).to_have_attribute("lang", "en")
    expect(turkish.locator("#to-do details code").last).to_have_text("nonsense_answer")
    filled.ask(f"{API}/referrals/sync", method="POST")


def test_health_shows_runs_weeks_sign_in_and_settings_without_secrets(
    open_page: Open, filled: Served
) -> None:
    page = open_page("?view=health")
    health = page.locator("#health")
    _, _, listed = filled.ask(f"{API}/sync-runs?limit=40")
    expect(health.locator(".runs tbody tr")).to_have_count(len(listed["runs"]))
    expect(health.locator(".runs tbody tr").last).to_contain_text(
        str(listed["runs"][-1]["inserted"])
    )
    _, _, counted = filled.ask(f"{API}/statistics")
    total = sum(sum(week["by_type"].values()) for week in counted["weeks"])
    charts = health.get_by_role("img")
    expect(charts.first).to_have_attribute("aria-label", re.compile(f"^Bar chart: {total} "))
    expect(charts.nth(1)).to_have_attribute("aria-label", re.compile("of the last"))
    health.get_by_text("As a table").first.click()
    expect(health.locator(".numbers table").first.locator("tbody tr")).to_have_count(13)

    expect(health).to_contain_text("Signed in, renews itself")
    expect(health).to_contain_text(re.compile(r"\d+ days left"))
    expect(health).to_contain_text("Age of the refresh token: 0 of 90 days")
    expect(health).to_contain_text("Everything compared every")
    shown = page.content()
    for secret in ("HUNTER_API_KEY", "HUNTER_TOKEN_CACHE_KEY", "HUNTER_DATABASE_URL"):
        assert filled.settings[secret] not in shown

    health.locator(".runs tbody tr button").last.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(listed["runs"][-1]["task_id"])
    expect(dialog).to_contain_text(re.compile(r"outgoing: \d+"))


def test_older_runs_are_read_once_and_stay(open_page: Open, filled: Served) -> None:
    for _ in range(3):
        filled.ask(f"{API}/referrals/sync", method="POST")
    _, _, listed = filled.ask(f"{API}/sync-runs?limit=4")
    assert len(listed["runs"]) == 4
    page = open_page()
    # Pages of two runs.
    page.route(
        "**/sync-runs?limit=40*",
        lambda route: route.continue_(url=route.request.url.replace("limit=40", "limit=2")),
    )
    page.get_by_role("link", name="Health").click()
    rows, more = page.locator(".runs tbody tr"), page.get_by_role("button", name="More")
    expect(rows).to_have_count(2)
    page.route(
        "**/sync-runs?*cursor=*",
        partial(Route.fulfill, status=503, json={"code": "database_busy", "detail": "Busy."}),
        times=1,
    )
    more.click()
    expect(page.locator("#health .panel-foot [role=alert]")).to_have_text(re.compile("busy"))
    expect(rows).to_have_count(2)
    more.evaluate("(more) => { more.click(); more.click(); }")
    expect(rows).to_have_count(4)
    started = page.locator(".runs tbody time")
    instants = started.evaluate_all("(all) => all.map((one) => one.dateTime)")
    assert len(set(instants)) == 4
    filled.ask(f"{API}/referrals/sync", method="POST")
    look_again(page)
    expect(rows).to_have_count(5)
    assert started.evaluate_all("(all) => all.map((one) => one.dateTime)")[1:] == instants


def test_what_could_not_be_read_is_shown_and_tried_again(open_page: Open, filled: Served) -> None:
    filled.simulator.state.add({"id": "c0c0c0c0-0000-4000-8000-0000000000aa", "status": 5})
    filled.ask(f"{API}/referrals/sync", method="POST")
    page = open_page()
    expect(page.locator("#status-words")).to_have_text("1 referral could not be understood")
    page.locator("#to-do").get_by_role("button", name="Show").click()
    quarantine = page.locator("#quarantine")
    expect(quarantine).to_contain_text("c0c0c0c0-0000-4000-8000-0000000000aa")
    expect(quarantine).to_contain_text("A value of the wrong kind")
    expect(quarantine.locator("td.id").last).to_have_text("status")
    quarantine.locator("tbody summary").click()
    expect(quarantine.locator("tbody details p").first).to_be_visible()
    expect(quarantine).not_to_contain_text("are shown")
    page.route(
        "**/quarantine/replay",
        partial(Route.fulfill, status=503, json={"code": "database_busy", "detail": "Busy."}),
        times=1,
    )
    page.route(
        "**/quarantine?*",
        lambda route: route.fulfill(json={**route.fetch().json(), "next_cursor": "more"}),
    )
    again = quarantine.get_by_role("button", name="Try again now")
    again.click()
    said = quarantine.get_by_role("status")
    expect(said).to_contain_text("Trying again failed")
    expect(said).to_contain_text("The database is busy.")
    counts = dict.fromkeys(("fetched", "inserted", "updated", "unchanged", "skipped"), 1)
    partial_run = {"state": "partial", "task_id": "x", "quarantined": 1, **counts}
    page.route(
        "**/quarantine/replay",
        partial(Route.fulfill, status=202, json=partial_run),
        times=1,
    )
    again.click()
    expect(said).to_contain_text("Try again for the rest.")
    expect(quarantine).to_contain_text("The newest 1 of 1 are shown")
    again.click()
    expect(said).to_have_text("Tried again. 1 still waits.")

    filled.simulator.state.remove("c0c0c0c0-0000-4000-8000-0000000000aa")


def test_a_long_quarantine_is_read_on(open_page: Open, filled: Served) -> None:
    ids = [f"c0c0c0c0-0000-4000-8000-0000000000b{number}" for number in range(3)]
    for one in ids:
        filled.simulator.state.add({"id": one, "status": 5})
    filled.ask(f"{API}/referrals/sync", method="POST")
    page = open_page()
    page.route(
        "**/quarantine?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=100", "limit=1")),
    )
    page.locator("#to-do").get_by_role("button", name="Show").click()
    quarantine = page.locator("#quarantine")
    rows = quarantine.locator("tbody tr")
    expect(quarantine).to_contain_text("The newest 1 of")
    more = quarantine.get_by_role("button", name="More")
    page.route("**/quarantine?*cursor*", partial(Route.fulfill, status=503, json={}), times=1)
    more.click()
    expect(quarantine.get_by_role("alert")).to_be_visible()
    expect(rows).to_have_count(1)
    more.evaluate("(more) => { more.click(); more.click(); }")
    expect(rows).to_have_count(2)
    more.click()
    expect(rows).to_have_count(3)
    look_again(page)
    expect(rows).to_have_count(3)
    assert set(ids) >= set(rows.locator("td:first-child").all_text_contents())
    for one in ids:
        filled.simulator.state.remove(one)


def test_a_shrunken_view_is_accepted_by_an_operator(open_page: Open, filled: Served) -> None:
    before = filled.ask(f"{API}/status")[2]["counts"]["referrals"]
    filled.simulator.state.set_visible(0.85)
    status, _, _ = filled.ask(f"{API}/referrals/sync", method="POST", body={"mode": "full"})
    assert status == 502

    page = open_page()
    expect(page.locator("#status-words")).to_contain_text("are no longer visible")
    page.locator("#to-do").get_by_role("button", name="Accept…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("None is deleted")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.locator("#to-do").get_by_role("button", name="Accept…").click()
    dialog.get_by_role("button", name="Accept and compare").click()
    expect(page.get_by_text("Sync completed")).to_be_visible(timeout=SLOW_MS)

    counts = filled.ask(f"{API}/status")[2]["counts"]
    assert counts["missing"] > 0
    assert counts["referrals"] == before
    filled.simulator.state.set_visible(1.0)
    filled.ask(f"{API}/referrals/sync", method="POST", body={"mode": "full"})


def test_a_dead_sign_in_is_explained_and_another_account_needs_a_yes(
    open_page: Open, filled: Served
) -> None:
    filled.simulator.entra.revoke(access_tokens=True)
    filled.ask(f"{API}/referrals/sync", method="POST")
    page = open_page()
    expect(page.locator("#status-words")).to_have_text("Sign-in to Partner Center is needed")

    filled.simulator.entra.account = ANOTHER
    page.locator("#to-do").get_by_role("button", name="Sign in…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"another account than before: {ANOTHER.username}",
                                   timeout=SLOW_MS)  # fmt: skip
    dialog.get_by_role("button", name="Use this account").click()
    expect(dialog).to_contain_text(f"Signed in as {ANOTHER.username}", timeout=SLOW_MS)
    page.keyboard.press("Escape")
    expect(page.locator("#status-words")).not_to_have_text("Sign-in to Partner Center is needed")
    filled.ask(f"{API}/referrals/sync", method="POST", body={"mode": "full"})


def principal(*roles: str) -> dict[str, str]:
    """What App Service Authentication adds to a request."""
    shape = Path(__file__).parents[1] / "shapes" / "easy_auth" / "user_without_a_role.json"
    said = json.loads(shape.read_text(encoding="utf-8"))["principal"]
    said["claims"] += [{"typ": "roles", "val": role} for role in roles]
    return {"x-ms-client-principal": base64.b64encode(json.dumps(said).encode()).decode()}


def test_the_page_learns_its_role_from_the_server(
    open_page: Open, filled: Served, serve_with: Callable[..., Served]
) -> None:
    app = serve_with(WEBSITE_AUTH_ENABLED="true")

    nobody = open_page("?status=New&q=ey+%26+y", at=app, key=False)
    expect(nobody.locator("#status-words")).to_have_text("Sign in to see referrals")
    login = urlsplit(nobody.get_by_role("link", name="Sign in").get_attribute("href") or "")
    assert login.path == "/.auth/login/aad"
    assert parse_qs(login.query) == {"post_login_redirect_uri": ["/mini-ui/?status=New&q=ey+%26+y"]}
    expect(nobody.locator("#referrals")).to_be_hidden()

    stranger = open_page(at=app, key=False, extra_http_headers=principal())
    expect(stranger.locator("#status-words")).to_have_text("No access")
    expect(stranger.locator("#status-times")).to_contain_text("Referrals.Read")

    reader = open_page(
        "?view=health", at=app, key=False, extra_http_headers=principal("Referrals.Read")
    )
    expect(reader.locator("#who")).to_have_text("Reader · ada@partner.example")
    expect(reader.locator("#health")).to_contain_text("Settings in force")
    for word in ("Sync now", "Sign in", "Try again now", "Accept"):
        expect(reader.get_by_role("button", name=re.compile(word))).to_have_count(0)
    expect(reader.locator("#quarantine")).to_have_count(0)
    refused: Any = reader.evaluate(
        "fetch('/api/v1/partner-center/referrals/sync', {method: 'POST'}).then((a) => a.status)"
    )
    assert refused == 403
    reader.get_by_role("link", name="Referrals", exact=True).click()
    reader.locator("#rows .company").first.click()
    expect(reader.get_by_role("dialog")).to_contain_text("Customer's people")
    # Nothing leads to a list that is for operators.
    _, _, known = filled.ask(f"{API}/status")
    some = {"alarms": [{"code": "quarantine", "level": "attention", "count": 2}],
            "level": "attention", "quarantine": {"open": 2}, "role": "reader"}  # fmt: skip
    reader.route("**/partner-center/status", partial(Route.fulfill, json=known | some))
    look_again(reader)
    expect(reader.locator("#status-words")).to_have_text("2 referrals could not be understood")
    expect(reader.locator("#status button")).to_have_count(0)

    operator = open_page(at=app, key=False, extra_http_headers=principal("Referrals.Operate"))
    expect(operator.get_by_role("button", name="Sync now")).to_be_enabled()
