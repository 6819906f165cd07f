"""The simulated Entra ID, with the real MSAL as its client."""

from __future__ import annotations

import time
from typing import Any

import msal
import pytest
import requests

from dev.simulator import ADA, BORA, OUTSIDER, TOKEN_ERRORS, Simulator
from dev.simulator.entra import UnknownUserCode
from tests.simulator.conftest import SCOPE, Walker, make_app, refresh, sign_in


def poll(app: msal.PublicClientApplication, flow: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    return result


def test_a_device_code_sign_in_yields_a_token_that_the_api_accepts(
    simulator: Simulator, app: msal.PublicClientApplication, walker: Walker
) -> None:
    result = sign_in(simulator, app)
    walker.token = result["access_token"]

    assert walker.get().status_code == 200
    assert result["id_token_claims"]["oid"] == ADA.object_id
    assert result["id_token_claims"]["tid"] == simulator.tenant_id
    assert [a["username"] for a in app.get_accounts()] == [ADA.username]


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


def test_a_device_code_is_pending_then_slow_down_when_asked_too_often(
    simulator: Simulator, app: msal.PublicClientApplication
) -> None:
    flow = app.initiate_device_flow([SCOPE])
    simulator.entra.behaviour.slow_down = True

    first = poll(app, flow)["error"]
    # MSAL keeps to the interval by itself; a second client does not.
    flow["latest_attempt_at"] = 0
    second = poll(app, flow)["error"]

    assert [first, second] == ["authorization_pending", "slow_down"]


@pytest.mark.parametrize("answer", ["authorization_declined", "expired_token"])
def test_a_device_code_that_comes_to_nothing(
    simulator: Simulator, app: msal.PublicClientApplication, answer: str
) -> None:
    flow = app.initiate_device_flow([SCOPE])
    if answer == "expired_token":
        simulator.entra.expire_device_codes()
    else:
        simulator.entra.decline(flow["user_code"])

    assert poll(app, flow)["error"] == answer
    assert simulator.entra.pending_user_codes() == []


def test_a_device_code_approves_itself_when_switched_on(
    simulator: Simulator, app: msal.PublicClientApplication
) -> None:
    simulator.entra.behaviour.auto_approve_after_s = 0.0
    simulator.entra.account = BORA

    result = poll(app, app.initiate_device_flow([SCOPE]))

    assert result["id_token_claims"]["preferred_username"] == BORA.username


def test_a_device_code_works_once(
    simulator: Simulator, app: msal.PublicClientApplication, session: requests.Session
) -> None:
    flow = app.initiate_device_flow([SCOPE])
    simulator.entra.approve()

    first = poll(app, flow)
    again = poll(make_app(simulator, session), flow)

    assert "access_token" in first
    assert again["error"] == "bad_verification_code"


def test_a_cached_token_needs_no_request_and_a_refresh_needs_one(
    simulator: Simulator, session: requests.Session
) -> None:
    cache = msal.SerializableTokenCache()
    sign_in(simulator, make_app(simulator, session, cache=cache))
    restored = msal.SerializableTokenCache()
    restored.deserialize(cache.serialize())
    app = make_app(simulator, session, cache=restored)
    simulator.clear_requests()

    cached = app.acquire_token_silent_with_error([SCOPE], account=app.get_accounts()[0])
    after_cached = dict(simulator.entra.token_requests)
    refreshed = refresh(app)

    assert cached["token_source"] == "cache"
    assert after_cached == {}
    assert refreshed["token_source"] == "identity_provider"
    assert simulator.entra.token_requests == {"refresh_token": 1}
    assert [r.grant for r in simulator.requests if r.target == "token"] == ["refresh_token"]


def test_an_access_token_that_is_about_to_expire_is_renewed_silently(
    simulator: Simulator, app: msal.PublicClientApplication
) -> None:
    simulator.entra.behaviour.access_token_lifetime_s = 10
    sign_in(simulator, app)
    simulator.clear_requests()

    app.acquire_token_silent_with_error([SCOPE], account=app.get_accounts()[0])

    assert simulator.entra.token_requests == {"refresh_token": 1}


def exchange(simulator: Simulator, session: requests.Session, token: str) -> dict[str, Any]:
    answer: dict[str, Any] = session.post(
        f"{simulator.authority}/{simulator.tenant_id}/oauth2/v2.0/token",
        data={
            "grant_type": "refresh_token",
            "client_id": simulator.client_id,
            "refresh_token": token,
            "scope": f"{SCOPE} offline_access openid profile",
        },
        timeout=5,
    ).json()
    return answer


def test_each_refresh_yields_a_new_refresh_token_and_the_old_one_lives_on(
    simulator: Simulator, session: requests.Session
) -> None:
    first = sign_in(simulator, make_app(simulator, session))["refresh_token"]

    second = exchange(simulator, session, first)["refresh_token"]

    assert second != first
    assert "access_token" in exchange(simulator, session, first)
    assert "access_token" in exchange(simulator, session, second)


def test_an_old_refresh_token_is_refused_when_rotation_is_strict(
    simulator: Simulator, session: requests.Session
) -> None:
    simulator.entra.behaviour.old_refresh_tokens = "refused"
    first = sign_in(simulator, make_app(simulator, session))["refresh_token"]
    second = exchange(simulator, session, first)["refresh_token"]

    reused = exchange(simulator, session, first)
    simulator.entra.behaviour.reuse_grace_s = 60
    in_grace = exchange(simulator, session, first)

    assert reused["error"] == "invalid_grant"
    assert "access_token" in in_grace
    assert "access_token" in exchange(simulator, session, second)


def test_revoked_and_expired_refresh_tokens_are_refused_with_their_codes(
    simulator: Simulator, session: requests.Session, walker: Walker
) -> None:
    app = make_app(simulator, session)
    walker.token = sign_in(simulator, app)["access_token"]
    simulator.entra.revoke()
    revoked = refresh(app)
    api_after_revoke = walker.get().status_code
    simulator.entra.revoke(access_tokens=True)
    api_after_all = walker.get().status_code

    other = make_app(simulator, session)
    sign_in(simulator, other)
    simulator.entra.behaviour.refresh_token_lifetime_s = 0.0
    time.sleep(0.01)
    expired = refresh(other)

    assert revoked["error_codes"] == [50173]
    assert [api_after_revoke, api_after_all] == [200, 401]
    assert expired["error_codes"] == [700082]


@pytest.mark.parametrize("code", [c for c in TOKEN_ERRORS if isinstance(c, int)])
def test_every_refusal_of_the_table_reaches_msal(
    simulator: Simulator, app: msal.PublicClientApplication, code: int
) -> None:
    sign_in(simulator, app)
    simulator.entra.fail_with(code)

    result = refresh(app)

    expected = TOKEN_ERRORS[code]
    assert result["error"] == expected.error
    assert result["error_codes"] == [code]
    assert result["error_description"].startswith(f"AADSTS{code}: ")
    assert result.get("suberror") == expected.suberror
    assert result.get("claims") == expected.claims
    assert result["correlation_id"]
    assert result["trace_id"]


def test_a_refusal_ends_after_its_times_and_keeps_to_its_grant(
    simulator: Simulator, session: requests.Session
) -> None:
    token = sign_in(simulator, make_app(simulator, session))["refresh_token"]
    simulator.entra.fail_with(53003, times=1, grant="device_code")
    simulator.entra.fail_with("temporarily_unavailable", times=1, grant="refresh_token")

    answers = [exchange(simulator, session, token).get("error") for _ in range(2)]
    blocked = sign_in(simulator, make_app(simulator, session))

    assert answers == ["temporarily_unavailable", None]
    assert blocked["error_codes"] == [53003]


def test_a_wrong_app_is_refused_and_a_wrong_tenant_has_no_configuration(
    simulator: Simulator, session: requests.Session
) -> None:
    with pytest.raises(ValueError, match="authority configuration"):
        make_app(simulator, session, tenant="11111111-0000-4000-8000-000000000000")
    simulator_app = msal.PublicClientApplication(
        "22222222-0000-4000-8000-000000000000",
        authority=f"{simulator.authority}/{simulator.tenant_id}",
        instance_discovery=False,
        http_client=session,
    )

    assert simulator_app.initiate_device_flow([SCOPE])["error"] == "unauthorized_client"


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


def test_claims_of_a_challenge_reach_the_token_endpoint(
    simulator: Simulator, app: msal.PublicClientApplication
) -> None:
    sign_in(simulator, app)
    claims = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'

    app.acquire_token_silent_with_error(
        [SCOPE], account=app.get_accounts()[0], claims_challenge=claims
    )

    assert simulator.entra.claims_received == [claims]


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
