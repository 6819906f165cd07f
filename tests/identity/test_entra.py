"""Silent tokens through the real MSAL, the simulated Entra and the real Azurite."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.simulator import ADA, BORA, OUTSIDER, TOKEN_ERRORS, Fault
from pc_core.errors import FixSetting, SignInNeeded, SignInState, TryLater
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.refusals import sign_in_state
from pc_core.identity.token_cache import TokenCacheBlob
from tests.identity.world import SCOPE, World

SIGN_IN = SignInState.SIGN_IN_NEEDED
CONSENT = SignInState.ADMIN_CONSENT_NEEDED
POLICY = SignInState.BLOCKED_BY_POLICY
CONFIG = SignInState.MISCONFIGURED
ACCOUNT = SignInState.ACCOUNT_PROBLEM
TRANSIENT = SignInState.TRANSIENT

ROWS: list[tuple[str, int, SignInState]] = [
    ("invalid_grant", 50076, SIGN_IN),
    ("interaction_required", 50076, SIGN_IN),
    ("invalid_grant", 50079, SIGN_IN),
    ("interaction_required", 50079, SIGN_IN),
    ("invalid_grant", 50078, SIGN_IN),
    ("invalid_grant", 50173, SIGN_IN),
    ("invalid_grant", 700082, SIGN_IN),
    ("invalid_grant", 70008, SIGN_IN),
    ("invalid_grant", 70043, SIGN_IN),
    ("invalid_grant", 700084, CONFIG),
    ("invalid_grant", 65001, CONSENT),
    ("consent_required", 65001, CONSENT),
    ("invalid_grant", 53003, POLICY),
    ("access_denied", 53003, POLICY),
    ("invalid_grant", 53000, POLICY),
    ("access_denied", 53000, POLICY),
    ("invalid_client", 7000218, CONFIG),
    ("unauthorized_client", 700016, CONFIG),
    ("invalid_request", 90002, CONFIG),
    ("invalid_scope", 70011, CONFIG),
    ("invalid_grant", 50057, ACCOUNT),
    ("invalid_grant", 50034, ACCOUNT),
    ("invalid_grant", 50020, ACCOUNT),
]


def answer(error: str | None, number: int | None = None, **more: Any) -> dict[str, Any]:
    """Entra's JSON; the text says something else on purpose: it is never branched on."""
    body: dict[str, Any] = {"error": error, "error_description": "consent, blocked, expired"}
    if number is not None:
        body |= {"error_codes": [number], "error_description": f"AADSTS{number}: any text"}
    return body | more


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "number", "state"), ROWS)
def test_every_row_of_the_table(error: str, number: int, state: SignInState) -> None:
    found, reason, message = sign_in_state(answer(error, number))

    assert (found, reason) == (state, f"AADSTS{number}")
    assert message


@pytest.mark.parametrize(
    ("body", "state", "reason"),
    [
        (answer("temporarily_unavailable", 50076), TRANSIENT, "AADSTS50076"),
        (answer("server_error"), TRANSIENT, "server_error"),
        (answer("invalid_client", 50173), CONFIG, "AADSTS50173"),
        (answer("consent_required", 50057), CONSENT, "AADSTS50057"),
        (answer("invalid_grant", 999999), SIGN_IN, "AADSTS999999"),
        (answer("invalid_grant", suberror="consent_required"), CONSENT, "consent_required"),
        (answer("invalid_grant", classification="message_only"), POLICY, "message_only"),
        (
            answer("invalid_grant", suberror="user_password_expired"),
            ACCOUNT,
            "user_password_expired",
        ),
        (answer("invalid_grant", suberror="bad_token"), SIGN_IN, "bad_token"),
        (answer("interaction_required"), SIGN_IN, "interaction_required"),
        (answer("access_denied"), POLICY, "access_denied"),
        (answer("unauthorized_client"), CONFIG, "unauthorized_client"),
        (answer("something_new"), SIGN_IN, "something_new"),
        (answer("something_new", 53003), POLICY, "AADSTS53003"),
        ({"error": "invalid_grant", "error_description": "AADSTS65001: x"}, CONSENT, "AADSTS65001"),
        ({"error": "invalid_grant", "error_codes": "no list"}, SIGN_IN, "invalid_grant"),
        ({}, SIGN_IN, "unknown_error"),
        ({"error": None, "error_codes": [None, 0, 53003]}, POLICY, "AADSTS53003"),
    ],
)
def test_the_error_decides_and_the_number_only_refines(
    body: dict[str, Any], state: SignInState, reason: str
) -> None:
    assert sign_in_state(body)[:2] == (state, reason)


@pytest.mark.parametrize(
    "number", sorted(number for number in TOKEN_ERRORS if isinstance(number, int))
)
def test_each_refusal_arrives_through_msal_as_its_state(world: World, number: int) -> None:
    expected = {row[1]: row[2] for row in ROWS}.get(number, SIGN_IN)
    world.sign_in()
    world.entra.fail_with(number, grant="refresh_token")

    with pytest.raises(SignInNeeded) as refused:
        world.tokens.token(refresh=True)

    assert (refused.value.state, refused.value.code) == (expected, f"AADSTS{number}")
    assert refused.value.correlation_id


# --- silent tokens -------------------------------------------------------------------------------


def test_a_saved_sign_in_yields_a_token_and_its_account(world: World) -> None:
    new = world.sign_in()

    token = world.open_tokens().token()

    assert token.access_token == new.token.access_token
    assert token.account == new.token.account
    assert token.account.username == ADA.username
    assert token.account.tenant_id == world.simulator.tenant_id
    assert ADA.object_id in token.account.account_id


def test_without_a_saved_cache_somebody_has_to_sign_in(world: World) -> None:
    with pytest.raises(SignInNeeded) as refused:
        world.tokens.token()

    assert refused.value.code == "token_cache_missing"
    assert world.tokens.renewed_at() is None
    assert world.tokens.account() is None
    assert world.simulator.requests == []


def test_a_cache_in_another_format_is_reported_and_left_untouched(world: World) -> None:
    world.blob.replace(b'{"AccessToken": {}}')
    before = world.saved()

    with pytest.raises(SignInNeeded) as refused:
        world.tokens.token()

    assert refused.value.code == "token_cache_unreadable"
    assert world.saved() == before


def test_within_a_minute_the_token_in_memory_is_used_without_asking(world: World) -> None:
    clock = [datetime.now(UTC)]
    tokens = world.open_tokens(now=lambda: clock[0])
    old = world.sign_in(tokens).token
    tokens.token()
    other = world.open_tokens()
    newer = world.sign_in(other).token

    within = tokens.token()
    clock[0] += timedelta(seconds=61)
    after = tokens.token()

    assert within.access_token == old.access_token
    assert after.access_token == newer.access_token


def test_a_new_run_uses_what_was_saved_meanwhile(world: World) -> None:
    world.sign_in()
    world.tokens.token()
    newer = world.sign_in(world.open_tokens(), BORA)

    world.tokens.forget()

    assert world.tokens.token() == newer.token


def test_an_expired_token_is_renewed_and_saved(world: World) -> None:
    world.entra.behaviour.access_token_lifetime_s = 60
    old = world.sign_in()
    world.entra.behaviour.access_token_lifetime_s = 3600
    etag = world.blob.etag()

    token = world.tokens.token()

    assert token.access_token != old.token.access_token
    assert world.blob.etag() != etag
    assert world.open_tokens().token() == token
    assert world.entra.token_requests["refresh_token"] == 1


def test_nothing_is_saved_when_nothing_changed(world: World) -> None:
    world.sign_in()
    etag = world.blob.etag()

    world.open_tokens().token()

    assert world.blob.etag() == etag


def test_a_forced_refresh_does_not_give_the_refused_token_again(world: World) -> None:
    world.sign_in()
    refused = world.tokens.token()

    fresh = world.tokens.token(refresh=True)

    assert fresh.access_token != refused.access_token
    assert world.tokens.token() == fresh


def test_a_forced_refresh_takes_what_another_instance_has_renewed(world: World) -> None:
    world.sign_in()
    world.tokens.token()
    renewed = world.open_tokens().token(refresh=True)

    assert world.tokens.token(refresh=True) == renewed
    assert world.entra.token_requests["refresh_token"] == 1


def test_a_claims_challenge_goes_to_entra(world: World) -> None:
    world.sign_in()
    old = world.tokens.token()

    token = world.tokens.token(claims='{"access_token":{"acrs":{"essential":true,"value":"c1"}}}')

    assert token.access_token != old.access_token
    assert any("acrs" in claims for claims in world.entra.claims_received)


def test_the_time_of_the_last_renewal_is_kept_with_the_cache(world: World) -> None:
    clock = [datetime(2026, 6, 1, tzinfo=UTC)]
    tokens = world.open_tokens(now=lambda: clock[0])
    world.sign_in(tokens)
    signed_in_at = world.open_tokens().renewed_at()
    clock[0] += timedelta(days=3)

    tokens.token(refresh=True)

    assert signed_in_at == datetime(2026, 6, 1, tzinfo=UTC)
    assert world.open_tokens().renewed_at() == datetime(2026, 6, 4, tzinfo=UTC)


def test_a_dead_sign_in_is_not_remembered_once_somebody_has_signed_in(world: World) -> None:
    """MSAL answers an equal request with the last refusal for a minute."""
    world.sign_in()
    world.entra.revoke()
    with pytest.raises(SignInNeeded):
        world.tokens.token(refresh=True)

    world.sign_in(world.open_tokens())

    assert world.tokens.token(refresh=True).account.username == ADA.username


def test_a_refusal_that_an_administrator_has_undone_is_asked_again_at_once(world: World) -> None:
    world.sign_in()
    world.entra.fail_with(65001, grant="refresh_token")
    with pytest.raises(SignInNeeded):
        world.tokens.token(refresh=True)

    world.entra.fail_with(None)

    assert world.tokens.token(refresh=True).access_token


def test_a_refusal_leaves_the_saved_cache_alone(world: World) -> None:
    world.sign_in()
    before = world.saved()
    world.entra.revoke()

    with pytest.raises(SignInNeeded) as refused:
        world.tokens.token(refresh=True)

    assert refused.value.code == "AADSTS50173"
    assert world.saved() == before


class LateWinner:
    """The blob, where another instance saves newer tokens while ours are being refused."""

    def __init__(self, blob: TokenCacheBlob, newer: bytes) -> None:
        self._blob = blob
        self._newer = newer
        self.refused = False

    def load(self) -> tuple[bytes, str] | None:
        return self._blob.load()

    def etag(self) -> str | None:
        return self._blob.etag()

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        return self._blob.save(content, etag=etag)

    def replace(self, content: bytes) -> str:
        return self._blob.replace(content)

    def win(self, _seconds: float) -> None:
        self._blob.replace(self._newer)


def test_on_a_refused_refresh_token_the_winners_are_tried_before_a_state_is_recorded(
    world: World,
) -> None:
    world.sign_in()
    old, _ = world.blob.load() or (b"", "")
    world.entra.behaviour.old_refresh_tokens = "refused"
    winners = world.tokens.token(refresh=True)
    newer, _ = world.blob.load() or (b"", "")
    world.blob.replace(old)
    late = LateWinner(world.blob, newer)
    loser = world.open_tokens(late, sleep=late.win)

    token = loser.token(refresh=True)

    assert token == winners


class Overtaken(LateWinner):
    """The blob, where another instance saves between our reading and our writing."""

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        if not self.refused:
            self.refused = True
            self.win(0)
        return super().save(content, etag=etag)


def test_the_loser_of_a_race_uses_the_winners_tokens(world: World) -> None:
    world.sign_in()
    old, _ = world.blob.load() or (b"", "")
    winners = world.tokens.token(refresh=True)
    newer, _ = world.blob.load() or (b"", "")
    world.blob.replace(old)
    loser = world.open_tokens(Overtaken(world.blob, newer))

    token = loser.token(refresh=True)

    assert token == winners
    assert (world.blob.load() or (b"", ""))[0] == newer


class FailingOnce(LateWinner):
    """The blob, whose storage fails once when written."""

    def save(self, content: bytes, *, etag: str | None) -> str | None:
        if not self.refused:
            self.refused = True
            raise TryLater("out of reach", code="storage_unavailable")
        return super().save(content, etag=etag)


def test_tokens_that_could_not_be_saved_are_saved_the_next_time(world: World) -> None:
    world.entra.behaviour.old_refresh_tokens = "refused"
    world.sign_in()
    unlucky = world.open_tokens(FailingOnce(world.blob, b""))
    with pytest.raises(TryLater):
        unlucky.token(refresh=True)

    unlucky.token()

    assert world.open_tokens().token(refresh=True).access_token
    assert world.entra.token_requests["refresh_token"] == 2


class Unreachable(LateWinner):
    """The blob, whose storage fails from some moment on."""

    def etag(self) -> str | None:
        if self.refused:
            raise TryLater("out of reach", code="storage_unavailable")
        return super().etag()


def test_storage_out_of_reach_does_not_end_a_run_that_has_a_good_token(world: World) -> None:
    clock = [datetime.now(UTC)]
    unsteady = Unreachable(world.blob, b"")
    tokens = world.open_tokens(unsteady, now=lambda: clock[0])
    world.sign_in(tokens)
    token = tokens.token()
    unsteady.refused = True
    clock[0] += timedelta(minutes=2)

    within = tokens.token()
    tokens.forget()

    assert within == token
    with pytest.raises(TryLater):
        tokens.token()


# --- troubles ------------------------------------------------------------------------------------


def test_throttling_is_transient_and_says_how_long_to_wait(world: World) -> None:
    world.sign_in()
    world.simulator.faults.add(Fault(kind="status", target="token", status=429, retry_after_s=17))

    with pytest.raises(TryLater) as failed:
        world.tokens.token(refresh=True)

    assert (failed.value.code, failed.value.retry_after_s) == ("entra_unavailable", 17.0)
    assert world.tokens.token(refresh=True).access_token


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", target="token", status=503),
        Fault(kind="html", target="token"),
        Fault(kind="reset", target="token"),
        Fault(kind="truncated", target="token"),
        Fault(kind="redirect", target="token"),
    ],
    ids=lambda fault: fault.kind,
)
def test_trouble_at_entra_does_not_ask_for_a_sign_in(world: World, fault: Fault) -> None:
    world.sign_in()
    world.simulator.faults.add(fault)

    with pytest.raises(TryLater) as failed:
        world.tokens.token(refresh=True)

    assert failed.value.code == "entra_unavailable"
    assert world.tokens.token(refresh=True).access_token


@pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error"])
def test_a_transient_error_does_not_ask_for_a_sign_in(world: World, code: str) -> None:
    world.sign_in()
    world.entra.fail_with(code, grant="refresh_token", times=1, status=400)

    with pytest.raises(TryLater):
        world.tokens.token(refresh=True)


def test_trouble_while_finding_entra_is_transient(world: World) -> None:
    world.sign_in()
    world.simulator.faults.add(Fault(kind="status", target="discovery", status=503))

    with pytest.raises(TryLater):
        world.open_tokens().token()


def test_an_unknown_tenant_is_a_wrong_setting(world: World) -> None:
    nowhere = world.connect(tenant_id="0f0f0f0f-0000-4000-8000-000000000000")

    with pytest.raises(SignInNeeded) as refused:
        EntraDeviceCodes(nowhere, scope=SCOPE).start()

    assert (refused.value.state, refused.value.code) == (CONFIG, "tenant_not_found")


def test_a_sign_in_of_another_tenant_than_the_configured_one_is_refused(world: World) -> None:
    world.sign_in()
    moved = world.open_tokens(connection=world.connect(tenant_id=OUTSIDER.tenant_id))

    with pytest.raises(SignInNeeded) as refused:
        moved.token()

    assert (refused.value.state, refused.value.code) == (CONFIG, "other_tenant")


def test_a_cache_of_another_app_registration_needs_a_sign_in(world: World) -> None:
    world.sign_in()
    other = world.open_tokens(connection=world.connect(client_id="another-app"))

    with pytest.raises(SignInNeeded) as refused:
        other.token()

    assert refused.value.code == "no_refresh_token"


def test_two_accounts_in_one_cache_are_refused(world: World) -> None:
    ada = world.obtain()
    bora = world.obtain(BORA)
    one, two = json.loads(ada.cache), json.loads(bora.cache)
    both = {kind: one[kind] | two[kind] for kind in one}
    world.tokens.replace(replace(ada, cache=json.dumps(both)))

    with pytest.raises(SignInNeeded) as refused:
        world.tokens.token()

    assert (refused.value.state, refused.value.code) == (ACCOUNT, "several_accounts")


def test_nothing_secret_is_shown_by_what_a_debugger_prints(world: World) -> None:
    code = world.device_codes.start()
    new = world.obtain()

    shown = repr((code, world.device_codes.ask(code.flow), new))

    assert str(code.flow["device_code"]) not in shown
    assert new.token.access_token not in shown


def test_no_token_is_logged_or_kept_in_plain(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        new = world.sign_in()
        world.tokens.token(refresh=True)
        world.entra.revoke()
        with pytest.raises(SignInNeeded) as refused:
            world.tokens.token(refresh=True)

    cache = json.loads(new.cache)
    secrets = [
        entry["secret"]
        for kind in ("AccessToken", "RefreshToken")
        for entry in cache[kind].values()
    ]
    ours = "\n".join(record.getMessage() for record in caplog.records)
    assert secrets
    for secret in secrets:
        assert secret.encode() not in world.saved()
        assert secret not in str(refused.value)
        assert secret not in ours


# --- device codes --------------------------------------------------------------------------------


def test_a_device_code_is_asked_for_once_per_call(world: World) -> None:
    code = world.device_codes.start()
    started = time.monotonic()

    answer = world.device_codes.ask(code.flow)

    assert answer.outcome == "pending"
    assert time.monotonic() - started < 2
    assert world.entra.token_requests == {"device_code": 1}
    assert code.user_code in code.message
    assert code.interval_s == 5
    assert timedelta(minutes=14) < code.expires_at - datetime.now(UTC) <= timedelta(minutes=15)


@pytest.mark.parametrize(
    ("prepare", "outcome"),
    [
        (lambda entra: entra.decline(), "declined"),
        (lambda entra: entra.expire_device_codes(), "expired"),
        (lambda entra: entra.reset(), "refused"),
    ],
    ids=["declined", "expired", "unknown"],
)
def test_the_other_ends_of_a_device_code(
    world: World, prepare: Callable[[Any], None], outcome: str
) -> None:
    code = world.device_codes.start()
    prepare(world.entra)

    assert world.device_codes.ask(code.flow).outcome == outcome


@pytest.mark.parametrize(("number", "state"), [(53003, POLICY), (7000218, CONFIG)])
def test_a_refused_device_code_says_why(world: World, number: int, state: SignInState) -> None:
    code = world.device_codes.start()
    world.entra.approve(code.user_code)
    world.entra.fail_with(number, grant="device_code")

    answer = world.device_codes.ask(code.flow)

    assert (answer.outcome, answer.state) == ("refused", state)
    assert answer.reason_code == f"AADSTS{number}"


def test_an_unknown_app_cannot_start(world: World) -> None:
    other = EntraDeviceCodes(world.connect(client_id="another-app"), scope=SCOPE)

    with pytest.raises(SignInNeeded) as refused:
        other.start()

    assert (refused.value.state, refused.value.code) == (CONFIG, "AADSTS700016")


def test_a_scope_that_msal_keeps_for_itself_is_a_wrong_setting(world: World) -> None:
    with pytest.raises(FixSetting):
        EntraDeviceCodes(world.connection, scope="offline_access").start()
