from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from pc_core.errors import FixSetting, SignInState, TryLater
from pc_core.identity.account import SignInStatus
from pc_core.sync.report import Failure, FailureKind, RunState
from pc_core.sync.state import Sweep, SyncState
from pc_core.web import openapi
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Route
from pc_core.web.routes import companies, health, quarantine, referrals, runs, sign_in, status, sync
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
def test_the_described_parameters_are_those_that_are_known(route: Route[Any]) -> None:
    operation = openapi.document()["paths"][f"/{route.path}"]["get"]
    described = {
        parameter["name"]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    placeholders: dict[str, Any] = {
        "task_id": TASK_ID,
        "referral_id": summary(0).referral_id,
        "id": "abcdefgh1234",
        "domain": "xn--ay-3ia.example",
    }
    in_path = {name: text for name, text in placeholders.items() if f"{{{name}}}" in route.path}
    answer = ask(MemoryApp(), route, query={"unheard_of": "1"}, **in_path)
    if route.path.startswith("healthz"):
        assert answer.status == 200
        return
    known = read(answer)["detail"].partition("known: ")[2]
    assert {name for name in known.split(", ") if name != "none"} == described


def failed(kind: FailureKind, code: str) -> Any:
    return report(RunState.FAILED, failure=Failure(kind=kind, code=code, message="What to do."))


def some_answers() -> list[tuple[Route[Any], HttpAnswer]]:
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
    asked: list[tuple[Route[Any], HttpAnswer]] = [
        (health.HEALTH, ask(app, health.HEALTH)),
        (health.LIVE, ask(app, health.LIVE)),
        (health.READY, ask(app, health.READY)),
        (
            health.READY,
            ask(MemoryApp(ready=FixSetting("m", code="config_invalid")), health.READY),
        ),
        (status.STATUS, ask(app, status.STATUS)),
        (status.STATUS, ask(troubled, status.STATUS)),
        (status.STATUS, ask(empty, status.STATUS)),
        (status.STATUS, ask(app, status.STATUS, key=None)),
        (status.STATUS, ask(MemoryApp(key=None), status.STATUS)),
        (status.STATUS, ask(app, status.STATUS, headers={"host": "evil.example"})),
        (referrals.LIST, ask(app, referrals.LIST)),
        (referrals.LIST, ask(empty, referrals.LIST)),
        (referrals.LIST, ask(app, referrals.LIST, query={"limit": "0"})),
        (
            referrals.DETAIL,
            ask(
                app,
                referrals.DETAIL,
                query={"include_raw": "true"},
                referral_id=summary(1).referral_id,
            ),
        ),
        (referrals.DETAIL, ask(app, referrals.DETAIL, referral_id="x")),
        (referrals.NEEDS_ATTENTION, ask(app, referrals.NEEDS_ATTENTION)),
        (referrals.NEEDS_ATTENTION, ask(empty, referrals.NEEDS_ATTENTION)),
        (referrals.STATISTICS, ask(app, referrals.STATISTICS)),
        (companies.LIST, ask(app, companies.LIST)),
        (companies.LIST, ask(app, companies.LIST, query={"sort": "domain"})),
        (companies.ONE, ask(app, companies.ONE, domain="xn--ay-3ia.example")),
        (companies.ONE, ask(app, companies.ONE, domain="none.example")),
        (runs.RUNS, ask(app, runs.RUNS)),
        (runs.RUN, ask(app, runs.RUN, task_id=TASK_ID)),
        (runs.RUN, ask(empty, runs.RUN, task_id=TASK_ID)),
        (
            quarantine.LIST,
            ask(app, quarantine.LIST, query={"include_raw": "true"}),
        ),
        (quarantine.REPLAY, ask(app, quarantine.REPLAY)),
        (sign_in.START, ask(app, sign_in.START)),
        (sign_in.POLL, ask(app, sign_in.POLL, id="abcdefgh1234")),
        (sync.SYNC, ask(app, sync.SYNC, body=b"no")),
    ]
    results = [(sync.SYNC, ask(MemoryApp(outcome=outcome), sync.SYNC)) for outcome in outcomes]
    return asked + results


def closed(components: dict[str, Any]) -> dict[str, Any]:
    """The schemas, refusing members that they do not describe."""
    return {
        "schemas": {
            name: schema | ({"additionalProperties": False} if "properties" in schema else {})
            for name, schema in components["schemas"].items()
        }
    }


@pytest.mark.parametrize(("route", "answer"), some_answers())
def test_answers_are_as_described(route: Route[Any], answer: HttpAnswer) -> None:
    document = openapi.document()
    operation = document["paths"][f"/{route.path}"][route.method.lower()]
    media_type = answer.headers["Content-Type"].partition(";")[0]
    schema = operation["responses"][str(answer.status)]["content"][media_type]["schema"]
    validator = Draft202012Validator(
        {**schema, "components": closed(document["components"])}, format_checker=FormatChecker()
    )
    problems = [error.message for error in validator.iter_errors(read(answer))]
    assert problems == []
