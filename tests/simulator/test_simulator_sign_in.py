"""The simulated Entra ID, where the adapters' tests through MSAL do not look."""

from __future__ import annotations

from typing import Any

import msal
import pytest
import requests

from dev.simulator import OUTSIDER, Simulator
from dev.simulator.entra import UnknownUserCode
from tests.simulator.conftest import SCOPE, Walker, make_app, sign_in


def poll(app: msal.PublicClientApplication, flow: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    return result


def test_a_person_approves_the_code_on_the_page(
    simulator: Simulator, app: msal.PublicClientApplication, session: requests.Session
) -> None:
    flow = app.initiate_device_flow([SCOPE])
    typed = f"{flow['user_code'][:4]}-{flow['user_code'][4:]}".lower()
    page = session.get(flow["verification_uri"], timeout=5)
    answer = session.post(
        flow["verification_uri"], data={"user_code": typed, "answer": "yes"}, timeout=5
    )

    assert "Ada Satış" in page.text
    assert answer.status_code == 200
    assert "access_token" in poll(app, flow)


def test_the_page_refuses_a_code_that_nobody_asked_for(
    simulator: Simulator, session: requests.Session
) -> None:
    answer = session.post(
        simulator.device_url, data={"user_code": "<b>NONE", "answer": "yes"}, timeout=5
    )

    assert answer.status_code == 404
    assert "<b>NONE" not in answer.text
    with pytest.raises(UnknownUserCode):
        simulator.entra.approve("NONE")


def test_a_device_code_works_once(
    simulator: Simulator, app: msal.PublicClientApplication, session: requests.Session
) -> None:
    flow = app.initiate_device_flow([SCOPE])
    simulator.entra.approve()

    first = poll(app, flow)
    again = poll(make_app(simulator, session), flow)

    assert "access_token" in first
    assert again["error"] == "bad_verification_code"


def test_an_account_of_another_tenant_is_refused_or_brings_its_own_tenant(
    simulator: Simulator, session: requests.Session, walker: Walker
) -> None:
    simulator.entra.account = OUTSIDER
    refused = sign_in(simulator, make_app(simulator, session))
    simulator.entra.behaviour.other_accounts = "admitted"
    admitted = sign_in(simulator, make_app(simulator, session))
    walker.token = admitted["access_token"]
    forbidden = walker.get().status_code
    simulator.behaviour.other_tenants = "served"

    assert refused["error_codes"] == [50020]
    assert admitted["id_token_claims"]["tid"] == OUTSIDER.tenant_id
    assert [forbidden, walker.get().status_code] == [403, 200]


def test_the_api_tells_apart_why_a_token_is_not_accepted(
    simulator: Simulator, walker: Walker
) -> None:
    entra = simulator.entra
    walker.token = entra.issue_access_token(resource="https://api.partnercenter.microsoft.com")
    wrong_audience = walker.get()
    simulator.behaviour.mfa_required = True
    walker.token = entra.issue_access_token(mfa=False)
    without_mfa = walker.get()
    simulator.behaviour.unauthorized_body = "odata"
    without_mfa_odata = walker.get()
    walker.token = entra.issue_access_token(mfa=True)
    with_mfa = walker.get(ValidateMfa="true")
    walker.token = entra.issue_access_token(lifetime_s=-1)
    expired = walker.get()
    simulator.behaviour.unauthorized_body = "empty"
    empty = walker.get()

    assert [wrong_audience.status_code, wrong_audience.json()["code"]] == [401, 900420]
    assert [without_mfa.status_code, without_mfa.json()["code"]] == [401, 900421]
    assert without_mfa_odata.json()["error"]["innerError"]["code"] == "900421"
    assert [with_mfa.status_code, with_mfa.headers["isMfaCompliant"]] == [200, "true"]
    assert expired.json()["error"]["code"] == "unauthenticated"
    assert [empty.status_code, empty.content] == [401, b""]


def test_no_record_holds_a_token(simulator: Simulator, walker: Walker) -> None:
    walker.get()

    recorded = simulator.requests[-1]
    assert recorded.headers["authorization"] == "Bearer …"
    assert walker.token not in str(recorded)
