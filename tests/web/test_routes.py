import csv
import io
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pc_core.errors import TryLater
from pc_core.identity.account import SignInProgress
from pc_core.reading import (
    CompanyFilter,
    CompanySort,
    QuarantineItem,
    QuarantineState,
    ReferralFilter,
    Sort,
)
from pc_core.sync.report import RunState
from pc_core.web.routes import companies, quarantine, referrals, runs, sign_in, sync
from pc_core.web.routes.deal_details import deal_details
from pc_core.web.routes.referrals import CSV_COLUMNS, ROWS_PER_PART
from tests.web.serving import NOW, TASK_ID, MemoryApp, MemoryReader, ask, read, report, summary

# -- Referrals ---------------------------------------------------------------------------------


def test_the_list_shows_no_people_and_reckons_what_is_left() -> None:
    answer = ask(MemoryApp(), referrals.LIST, query={"limit": "2"})
    body = read(answer)
    first = body["referrals"][0]
    assert (len(body["referrals"]), body["next_cursor"], body["total"]) == (2, "2", 3)
    assert (first["deal_value"], first["currency"], first["days_to_expiry"]) == (48500.75, "EUR", 3)
    assert (first["domain"], first["domain_readable"]) == ("xn--ay-3ia.example", "çay.example")
    assert not {"contacts", "team", "raw_data"} & set(first)


def test_every_filter_reaches_the_store() -> None:
    app = MemoryApp()
    query = {
        "type": "co-sell,none",
        "status": "New, Active",
        "substatus": "Pending",
        "direction": "Incoming",
        "domain": "fabrikam.example",
        "country": "TR",
        "q": "fab deniz",
        "updated_since": "2026-01-31",
        "expiring_within_days": "0",
        "domain_missing": "true",
        "missing": "only",
        "sort": "company:asc",
        "limit": "200",
    }
    assert ask(app, referrals.LIST, query=query).status == 200
    assert app.reader.asked == [
        (
            ReferralFilter(
                type=("co-sell", "none"),
                status=("New", "Active"),
                substatus=("Pending",),
                direction=("Incoming",),
                domain=("fabrikam.example",),
                country=("TR",),
                q="fab deniz",
                updated_since=datetime(2026, 1, 31, tzinfo=UTC),
                expiring_within_days=0,
                domain_missing=True,
                missing="only",
            ),
            Sort(key="company", order="asc"),
            200,
        )
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "cosell"),
        ("limit", "201"),
        ("limit", "0"),
        ("sort", "raw_data"),
        ("sort", "updated:up"),
        ("missing", "maybe"),
        ("format", "xlsx"),
        ("updated_since", "last week"),
        ("expiring_within_days", "-1"),
        ("domain_missing", "1"),
        ("q", "a\0b"),
        ("cursor", "of another listing"),
        ("page", "2"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(name: str, value: str) -> None:
    answer = ask(MemoryApp(), referrals.LIST, query={name: value})
    assert (answer.status, read(answer)["parameter"]) == (400, name)
    assert read(answer)["code"] == "bad_parameter"


def test_an_export_comes_in_parts_that_are_one_file() -> None:
    app = MemoryApp(reader=MemoryReader(rows=[summary(n, name="=1+1") for n in range(5)]))
    query = {"format": "csv", "limit": "2", "status": "New"}
    whole, parts = b"", 0
    while True:
        answer = ask(app, referrals.LIST, query=query)
        whole, parts = whole + answer.body, parts + 1
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        link = answer.headers.get("Link")
        if link is None:
            break
        assert link.endswith('>; rel="next"')
        address = urlsplit(link[1 : link.index(">")])
        assert address.path == "/api/v1/partner-center/referrals"
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        assert query["status"] == "New"
    rows = list(csv.DictReader(io.StringIO(whole.decode("utf-8-sig"))))
    assert parts == 3
    assert [row["company_name"] for row in rows] == [f"Company {n}" for n in range(5)]
    assert {row["name"] for row in rows} == {"'=1+1"}
    assert tuple(rows[0]) == CSV_COLUMNS


def test_an_export_asks_for_no_more_than_a_part_at_a_time() -> None:
    app = MemoryApp()
    ask(app, referrals.LIST, query={"format": "csv"})
    assert app.reader.asked[-1][2] == ROWS_PER_PART
    too_many = ask(app, referrals.LIST, query={"format": "csv", "limit": "5001"})
    assert too_many.status == 400


def test_the_detail_shows_people_and_history_and_raw_on_demand_alone() -> None:
    wished = summary(1).referral_id.upper()
    plain = read(ask(MemoryApp(), referrals.DETAIL, referral_id=wished))
    assert plain["referral"]["contacts"][0]["email"] == "isil@fabrikam.example"
    assert plain["history"][0]["field"] == "status"
    assert plain["history_is_complete"] is True
    assert "raw_data" not in plain
    raw = ask(MemoryApp(), referrals.DETAIL, query={"include_raw": "true"}, referral_id=wished)
    assert read(raw)["raw_data"]["futureField"] == [1, None]


@pytest.mark.parametrize("wished", ["unknown", "", "' OR 1=1"])
def test_a_referral_that_is_not_stored_is_not_found(wished: str) -> None:
    answer = ask(MemoryApp(), referrals.DETAIL, referral_id=wished)
    assert (answer.status, read(answer)["code"]) == (404, "not_found")


# -- Runs --------------------------------------------------------------------------------------


def test_runs_are_listed_and_one_is_found() -> None:
    listed = read(ask(MemoryApp(), runs.RUNS))
    assert [run["task_id"] for run in listed["runs"]] == [TASK_ID]
    assert read(ask(MemoryApp(), runs.RUN, task_id=TASK_ID.upper()))["state"] == "completed"
    assert ask(MemoryApp(), runs.RUN, task_id="none such").status == 404
    assert ask(MemoryApp(), runs.RUNS, query={"cursor": "x"}).status == 400


@pytest.mark.parametrize(
    ("body", "mode", "accept_missing"),
    [
        (None, "incremental", False),
        ({}, "incremental", False),
        ({"mode": None}, "incremental", False),
        ({"mode": "incremental"}, "incremental", False),
        ({"mode": "full"}, "full", False),
        ({"mode": "full", "accept_missing": True}, "full", True),
    ],
)
def test_a_sync_is_run_as_asked_for_within_an_http_answers_time(
    body: Any, mode: str, accept_missing: bool
) -> None:
    app = MemoryApp()
    answer = ask(app, sync.SYNC, body=body)
    assert (answer.status, read(answer)["success"], read(answer)["task_id"]) == (200, True, TASK_ID)
    assert app.ran == [
        {
            "trigger": "http",
            "mode": mode,
            "accept_missing": accept_missing,
            "invocation_id": "invocation",
            "budget_s": 180.0,
        }
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "everything"},
        {"mode": 1},
        {"accept_missing": "yes"},
        {"accept_missing": True},
        {"mode": "incremental", "accept_missing": True},
    ],
)
def test_a_sync_that_makes_no_sense_is_not_run(body: Any) -> None:
    app = MemoryApp()
    assert ask(app, sync.SYNC, body=body).status == 400
    assert not app.ran


def test_a_sync_that_cannot_even_begin_answers_with_the_same_members() -> None:
    app = MemoryApp(outcome=TryLater("The database is out of reach.", code="database_unavailable"))
    answer = ask(app, sync.SYNC)
    body = read(answer)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert (body["success"], body["task_id"], body["fetched"]) == (False, None, 0)
    assert (body["success_count"], body["skipped_reasons"]) == (0, {})


# -- Quarantine --------------------------------------------------------------------------------


def entry(state: QuarantineState = "open") -> QuarantineItem:
    return QuarantineItem(
        entry_id=7,
        referral_id=None,
        reason="not_a_date",
        field="createdDateTime",
        detail="text of 5 characters",
        state=state,
        task_id=TASK_ID,
        first_seen_at=NOW,
        settled_at=None,
        raw_text='{"id": "x"}',
    )


def test_the_quarantine_shows_what_was_sent_on_demand_alone() -> None:
    app = MemoryApp(reader=MemoryReader(entries=[entry(), entry("closed")]))
    [shown] = read(ask(app, quarantine.LIST))["entries"]
    assert (shown["reason"], "raw_text" in shown) == ("not_a_date", False)
    both = ask(app, quarantine.LIST, query={"state": "any", "include_raw": "true"})
    assert [found["raw_text"] for found in read(both)["entries"]] == ['{"id": "x"}'] * 2
    assert ask(app, quarantine.LIST, query={"state": "lost"}).status == 400


def test_a_replay_is_a_run() -> None:
    app = MemoryApp()
    assert read(ask(app, quarantine.REPLAY))["success"] is True
    assert (app.ran[0]["mode"], app.ran[0]["budget_s"]) == ("replay", 180.0)
    app.outcome = report(RunState.ALREADY_RUNNING)
    assert ask(app, quarantine.REPLAY, body={}).status == 409
    assert ask(app, quarantine.REPLAY, body={"mode": "full"}).status == 400


# -- Sign-in -----------------------------------------------------------------------------------


def test_a_sign_in_starts_with_a_code_and_is_asked_about_by_its_id() -> None:
    app = MemoryApp()
    started = ask(app, sign_in.START, body={})
    assert (started.status, read(started)["user_code"]) == (201, "F7KQ2M9XL")
    asked = ask(app, sign_in.POLL, id=read(started)["id"])
    assert (asked.status, read(asked)["state"]) == (200, "pending")
    assert app.sign_in.polls == [("abcdefgh1234", None)]


def test_another_account_is_confirmed_by_name() -> None:
    app = MemoryApp()
    app.sign_in.progress = SignInProgress(state="completed", username="ada@partner.example")
    body = {"id": "abcdefgh1234", "confirm_account": "ada@partner.example"}
    answer = ask(app, sign_in.START, body=body)
    assert (answer.status, read(answer)["account"]) == (200, "ada@partner.example")
    assert app.sign_in.polls == [("abcdefgh1234", "ada@partner.example")]


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"confirm_account": "ada@partner.example"}, "confirm_account"),
        ({"id": "../../token-cache"}, "id"),
        ({"id": 7}, "id"),
        ({"code": "x"}, "code"),
    ],
)
def test_a_sign_in_that_makes_no_sense_is_refused(body: Any, parameter: str) -> None:
    answer = ask(MemoryApp(), sign_in.START, body=body)
    assert (answer.status, read(answer)["parameter"]) == (400, parameter)


def test_an_id_that_is_none_never_reaches_the_storage() -> None:
    app = MemoryApp()
    assert ask(app, sign_in.POLL, id="../../token-cache").status == 400
    assert not app.sign_in.polls


# -- Attention, statistics, companies ----------------------------------------------------------


def test_attention_asks_for_each_kind_with_the_most_urgent_first() -> None:
    app = MemoryApp()
    answer = ask(app, referrals.NEEDS_ATTENTION, query={"seen_since": "2026-02-28T08:00:00Z"})
    kinds = [kind["kind"] for kind in read(answer)["kinds"]]
    assert kinds == ["expiring", "new", "no_domain", "incomplete", "won_early"]
    since = datetime(2026, 2, 28, 8, tzinfo=UTC)
    assert [found.attention for found, _, _ in app.reader.asked if found] == kinds
    assert {found.seen_since for found, _, _ in app.reader.asked if found} == {since}
    assert app.reader.asked[0][1] == Sort(key="expires", order="asc")
    assert {limit for _, _, limit in app.reader.asked} == {5}
    assert "contacts" not in read(answer)["kinds"][0]["referrals"][0]


def test_attention_is_a_filter_of_the_list_too() -> None:
    app = MemoryApp()
    ask(app, referrals.LIST, query={"attention": "no_domain"})
    [(found, _, _)] = app.reader.asked
    assert found is not None
    assert found.attention == "no_domain"
    assert ask(app, referrals.LIST, query={"attention": "else"}).status == 400


def test_companies_are_listed_page_by_page() -> None:
    rows = [summary(number, domain=f"company-{number}.example") for number in range(3)]
    app = MemoryApp(reader=MemoryReader(rows=rows))
    query = {"q": "fab", "several": "true", "open": "true", "sort": "company:asc", "limit": "2"}
    first = read(ask(app, companies.LIST, query=query))
    second = read(ask(app, companies.LIST, query={**query, "cursor": first["next_cursor"]}))
    domains = [company["domain"] for company in first["companies"] + second["companies"]]
    assert domains == [row.domain for row in rows]
    assert (first["total"], second["next_cursor"]) == (3, None)
    assert first["companies"][0]["domain_readable"] == "company-0.example"
    wanted = CompanyFilter(q="fab", several=True, has_open=True)
    assert app.reader.asked_companies == [(wanted, CompanySort(key="company", order="asc"), 2)] * 2


@pytest.mark.parametrize(
    "query", [{"sort": "size"}, {"several": "yes"}, {"cursor": "none"}, {"domain": "x"}]
)
def test_a_company_list_refuses_what_it_does_not_know(query: dict[str, str]) -> None:
    answer = ask(MemoryApp(), companies.LIST, query=query)
    assert (answer.status, read(answer)["parameter"]) == (400, next(iter(query)))


def test_a_company_is_found_in_any_case_and_shown_readable() -> None:
    answer = ask(MemoryApp(), companies.ONE, domain="XN--ay-3ia.example")
    body = read(answer)
    assert (body["domain_readable"], body["referral_count"]) == ("çay.example", 3)
    assert body["open_value"] == {"EUR": 48500.75, "": 7}
    assert ask(MemoryApp(), companies.ONE, domain="x.example").status == 404


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"details": None, "inviteContext": [], "consent": 5, "registrations": {}},
        {"details": {"notes": 5, "requirements": []}, "inviteContext": {"invitedBy": "x"}},
        {"details": {"requirements": {"solutions": {}, "products": [None, 5, {"id": 7}]}}},
        {"details": {"requirements": {"additionalRequirements": {"attributes": [[], "x"]}}}},
    ],
)
def test_details_survive_any_shape(raw: dict[str, object]) -> None:
    shown = deal_details(raw)
    assert (shown.notes, shown.requirements, shown.consents) == (None, {}, {})


def test_details_hold_what_columns_do_not() -> None:
    shown = deal_details(
        {
            "details": {
                "notes": " Call first. ",
                "requirements": {
                    "solutions": [{"id": "S1", "name": "ERP"}, {"id": "S2", "name": None}],
                    "industries": [],
                    "additionalRequirements": {"attributes": [{"type": "Play", "id": "7"}]},
                },
            },
            "consent": {"consentToContact": False, "odd": "yes"},
            "inviteContext": {"invitedBy": {"organizationId": "msft"}},
        }
    )
    assert shown.notes == "Call first."
    assert shown.requirements == {"solutions": ["ERP", "S2"], "attributes": ["Play: 7"]}
    assert (shown.consents, shown.invited_by) == ({"consentToContact": False}, "msft")
