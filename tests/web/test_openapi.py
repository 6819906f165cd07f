from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from pc_core.account import SignInStatus
from pc_core.errors import FixSetting, SignInState, TryLater
from pc_core.progress import Sweep, SyncState
from pc_core.report import Failure, FailureKind, RunState
from pc_core.web import (
    company_routes,
    health_routes,
    openapi,
    quarantine_routes,
    referral_routes,
    run_routes,
    sign_in_routes,
    status_routes,
    sync_routes,
)
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route
from tests.web.serving import (
    NOW,
    TASK_ID,
    MemoryApp,
    MemoryReader,
    ask,
    facts,
    read,
    report,
    summary,
)
from tests.web.test_routes import entry


def test_the_description_is_valid_openapi() -> None:
    validate(read(ask(MemoryApp(), openapi.OPENAPI, key=None)))


def test_every_placeholder_of_a_path_is_described() -> None:
    for path, operations in openapi.document()["paths"].items():
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in operations.values():
            described = {
                parameter["name"]
                for parameter in operation.get("parameters", [])
                if parameter["in"] == "path"
            }
            assert described == named


def test_what_anyone_may_ask_is_marked_and_all_else_needs_a_role() -> None:
    for route in openapi.routes():
        operation = openapi.document()["paths"][f"/{route.path}"][route.method.lower()]
        assert (operation["security"] == []) is (route.who is Role.NONE)
        assert ("401" in operation["responses"]) is (route.who is not Role.NONE)


@pytest.mark.parametrize(
    "route", [route for route in openapi.routes() if route.method == "GET"], ids=lambda r: r.path
)
def test_the_described_parameters_are_those_that_are_known(route: Route) -> None:
    described = {
        parameter["name"]
        for parameter in route.operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    placeholders: dict[str, Any] = {
        "task_id": TASK_ID,
        "referral_id": summary(0).referral_id,
        "id": "abcdefgh1234",
        "domain": "xn--ay-3ia.example",
    }
    answer = ask(MemoryApp(), route, query={"unheard_of": "1"}, **placeholders)
    if route.path.startswith("healthz"):
        assert answer.status == 200
        return
    known = read(answer)["detail"].partition("known: ")[2]
    assert {name for name in known.split(", ") if name != "none"} == described


def failed(kind: FailureKind, code: str) -> Any:
    return report(RunState.FAILED, failure=Failure(kind=kind, code=code, message="What to do."))


def some_answers() -> list[tuple[Route, Answer]]:
    app = MemoryApp(reader=MemoryReader(entries=[entry()]))
    troubled = MemoryApp(
        known=facts(
            state=SyncState(
                shrank_at=NOW,
                shrank_unseen=3,
                shrank_present=9,
                sweep=Sweep(task_id=TASK_ID, started_at=NOW, reason="due", received=7),
            ),
            last_sweep_received=9,
            sign_in=SignInStatus(state=SignInState.SIGN_IN_NEEDED, message="Sign in."),
            running=report(RunState.RUNNING, finished_at=None),
            last_run=failed(FailureKind.TRY_LATER, "throttled"),
            quarantine=1,
            drift=1,
        )
    )
    bare = summary(9, referral_type=None, deal_value=None, domain=None, expires_at=None)
    empty = MemoryApp(
        reader=MemoryReader(rows=[bare], runs=[]),
        known=facts(state=SyncState(), last_run=None, first_run_at=None, by_type={"": 1}),
    )
    outcomes = [
        report(),
        report(RunState.PARTIAL),
        report(RunState.ALREADY_RUNNING, finished_at=None),
        report(RunState.FEATURE_DISABLED),
        failed(FailureKind.SIGN_IN, "sign_in_needed"),
        failed(FailureKind.NONSENSE, "nonsense_answer"),
        failed(FailureKind.FIX_SETTING, "api_forbidden"),
        TryLater("Away.", code="database_unavailable"),
    ]
    asked = [
        (health_routes.HEALTH, ask(app, health_routes.HEALTH)),
        (health_routes.LIVE, ask(app, health_routes.LIVE)),
        (health_routes.READY, ask(app, health_routes.READY)),
        (
            health_routes.READY,
            ask(MemoryApp(ready=FixSetting("m", code="config_invalid")), health_routes.READY),
        ),
        (status_routes.STATUS, ask(app, status_routes.STATUS)),
        (status_routes.STATUS, ask(troubled, status_routes.STATUS)),
        (status_routes.STATUS, ask(empty, status_routes.STATUS)),
        (status_routes.STATUS, ask(app, status_routes.STATUS, key=None)),
        (status_routes.STATUS, ask(MemoryApp(key=None), status_routes.STATUS)),
        (status_routes.STATUS, ask(app, status_routes.STATUS, headers={"host": "evil.example"})),
        (referral_routes.LIST, ask(app, referral_routes.LIST)),
        (referral_routes.LIST, ask(empty, referral_routes.LIST)),
        (referral_routes.LIST, ask(app, referral_routes.LIST, query={"limit": "0"})),
        (
            referral_routes.DETAIL,
            ask(
                app,
                referral_routes.DETAIL,
                query={"include_raw": "true"},
                referral_id=summary(1).referral_id,
            ),
        ),
        (referral_routes.DETAIL, ask(app, referral_routes.DETAIL, referral_id="x")),
        (referral_routes.ATTENTION, ask(app, referral_routes.ATTENTION)),
        (referral_routes.ATTENTION, ask(empty, referral_routes.ATTENTION)),
        (referral_routes.STATISTICS, ask(app, referral_routes.STATISTICS)),
        (company_routes.LIST, ask(app, company_routes.LIST)),
        (company_routes.LIST, ask(app, company_routes.LIST, query={"sort": "domain"})),
        (company_routes.ONE, ask(app, company_routes.ONE, domain="xn--ay-3ia.example")),
        (company_routes.ONE, ask(app, company_routes.ONE, domain="none.example")),
        (run_routes.RUNS, ask(app, run_routes.RUNS)),
        (run_routes.RUN, ask(app, run_routes.RUN, task_id=TASK_ID)),
        (run_routes.RUN, ask(empty, run_routes.RUN, task_id=TASK_ID)),
        (
            quarantine_routes.LIST,
            ask(app, quarantine_routes.LIST, query={"include_raw": "true"}),
        ),
        (quarantine_routes.REPLAY, ask(app, quarantine_routes.REPLAY)),
        (sign_in_routes.START, ask(app, sign_in_routes.START)),
        (sign_in_routes.POLL, ask(app, sign_in_routes.POLL, id="abcdefgh1234")),
        (sync_routes.SYNC, ask(app, sync_routes.SYNC, body=b"no")),
    ]
    runs = [
        (sync_routes.SYNC, ask(MemoryApp(outcome=outcome), sync_routes.SYNC))
        for outcome in outcomes
    ]
    return asked + runs


@pytest.mark.parametrize(("route", "answer"), some_answers())
def test_answers_are_as_described(route: Route, answer: Answer) -> None:
    document = openapi.document()
    operation = document["paths"][f"/{route.path}"][route.method.lower()]
    media_type = answer.headers["Content-Type"].partition(";")[0]
    schema = operation["responses"][str(answer.status)]["content"][media_type]["schema"]
    validator = Draft202012Validator(
        {**schema, "components": document["components"]}, format_checker=FormatChecker()
    )
    problems = [error.message for error in validator.iter_errors(read(answer))]
    assert problems == []


def test_a_schema_leaves_nothing_out() -> None:
    body = read(ask(MemoryApp(), referral_routes.LIST))
    schemas = openapi.document()["components"]["schemas"]
    assert set(body["referrals"][0]) == set(schemas["ReferralSummary"]["properties"])
    assert set(body) == set(schemas["Referrals"]["properties"])
    assert set(read(ask(MemoryApp(), status_routes.STATUS))) == set(schemas["Status"]["properties"])
