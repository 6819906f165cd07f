"""Every way in which Entra or Partner Center can refuse the sign-in, through the real MSAL.

The right state, one event when it changes and none while it lasts, no call to the API meanwhile,
and recovery by itself.
"""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dev.simulator import Simulator
from dev.simulator.faults import Fault
from pc_core.config import Settings
from pc_core.health.status import status_of
from pc_core.identity.account import PROBE_EVERY
from pc_core.identity.tokens import EntraTokens
from pc_core.sync.report import FailureKind, Report
from pc_core.wiring.app import App
from tests.identity.world import new_key
from tests.promise.trials import events_of

pytestmark = pytest.mark.long

CHANGED = "partner_center_sign_in_state_changed"

# Written from Microsoft's table of error codes, not from our code.
TABLE: dict[int | str, str] = {
    50076: "sign_in_needed",
    50079: "sign_in_needed",
    50078: "sign_in_needed",
    50173: "sign_in_needed",
    700082: "sign_in_needed",
    70008: "sign_in_needed",
    70043: "sign_in_needed",
    70000: "sign_in_needed",
    700084: "misconfigured",
    65001: "admin_consent_needed",
    53003: "blocked_by_policy",
    53000: "blocked_by_policy",
    7000218: "misconfigured",
    700016: "misconfigured",
    90002: "misconfigured",
    70011: "misconfigured",
    50057: "account_problem",
    50034: "account_problem",
    50020: "account_problem",
}
PASSING = ("temporarily_unavailable", "server_error")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The sign-in states told since the last question."""
    caplog.set_level("INFO", "pc_core")

    def since() -> list[str]:
        states = [event["state"] for event in events_of(caplog.records, CHANGED)]
        caplog.clear()
        return states

    return since


Told = Callable[[], list[str]]


@pytest.fixture
def short_lived(simulator: Simulator) -> None:
    """Access tokens shorter than MSAL's margin of five minutes: none is ever used twice."""
    simulator.entra.behaviour.access_token_lifetime_s = 240


@pytest.fixture
def world(short_lived: None, signed_in: App, simulator: Simulator, told: Told) -> Iterator[App]:
    """A signed-in app that has synced; each of its runs needs a fresh token."""
    app = restarted(signed_in)
    assert run(app).state == "completed"
    told()
    simulator.clear_requests()
    yield app
    app.close()
    signed_in.close()


def run(app: App) -> Report:
    return app.sync(trigger="timer")


def calls(simulator: Simulator) -> int:
    return sum(request.target in ("list", "item") for request in simulator.requests)


def sign_in_again(app: App, simulator: Simulator) -> None:
    simulator.entra.behaviour.device_interval_s = 1
    pending = app.sign_in.start()
    simulator.entra.approve(pending.user_code)
    for _ in range(20):
        progress = app.sign_in.poll(pending.id)
        if progress.state != "pending":
            break
        time.sleep(0.2)
    assert progress.state == "completed", progress


def signing(app: App) -> dict[str, Any]:
    shown: dict[str, Any] = app.status()["sign_in"]
    return shown


def let_pass(app: App, time_: timedelta) -> None:
    """Move what the database remembers of the sign-in into the past."""
    with psycopg.connect(app.parts.database_url) as connection:
        connection.execute(
            "UPDATE partner_center_sync_state SET sign_in = jsonb_set(sign_in::jsonb,"
            " '{checked_at}', to_jsonb((sign_in ->> 'checked_at')::timestamptz - %s))::json",
            [time_],
        )


def restarted(app: App) -> App:
    """A new process's app on the same settings, which waits for no faster instance."""
    fresh = App(app.settings)
    fresh.parts.__dict__["tokens"] = EntraTokens(
        fresh.parts.entra, fresh.parts.token_cache, scope=fresh.settings.scope, sleep=lambda _: None
    )
    return fresh


@pytest.mark.parametrize("part", range(4))
def test_a_refusal_of_entra_is_the_right_state_told_once_and_ends_by_itself(
    world: App,
    simulator: Simulator,
    told: Told,
    part: int,
    record_property: Callable[[str, object], None],
) -> None:
    rows = list(TABLE.items())[part::4]
    record_property("refusals", len(rows))
    for code, state in rows:
        simulator.clear_requests()
        simulator.entra.fail_with(code, grant="refresh_token")

        reports = [run(world), run(restarted(world)), run(world)]

        for report in reports:
            assert report.failure is not None
            assert (report.state, report.failure.kind) == ("failed", FailureKind.SIGN_IN)
            assert report.failure.code == f"AADSTS{code}"
        assert (told(), calls(simulator)) == ([state], 0)
        shown = signing(restarted(world))
        assert (shown["state"], shown["reason_code"]) == (state, f"AADSTS{code}")
        assert shown["message"]
        assert restarted(world).health().checks["sign_in"] == state

        simulator.entra.fail_with(None)
        assert run(world).state == run(world).state == "completed"
        assert told() == ["ok"]
        assert signing(restarted(world))["state"] == "ok"


@pytest.mark.parametrize("code", PASSING)
def test_a_passing_trouble_of_entra_is_no_state_and_tells_nobody_to_sign_in(
    world: App, simulator: Simulator, told: Told, code: str
) -> None:
    simulator.entra.fail_with(code, grant="refresh_token")

    for _ in range(2):
        report = run(world)
        assert report.failure is not None
        assert (report.failure.kind, report.failure.code) == (
            FailureKind.TRY_LATER,
            "entra_unavailable",
        )
    assert (told(), calls(simulator), signing(world)["state"]) == ([], 0, "ok")
    simulator.entra.fail_with(None)
    assert run(world).state == "completed"
    assert told() == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_throttled_token_endpoint_ends_the_run_at_once_and_is_asked_once(
    world: App, simulator: Simulator, told: Told, status: int
) -> None:
    simulator.faults.add(
        Fault(kind="status", status=status, target="token", times=None, retry_after_s=3600)
    )
    began_s = time.monotonic()

    report = run(world)

    assert time.monotonic() - began_s < 5
    assert report.failure is not None
    assert (report.failure.kind, report.failure.retry_after_s) == (FailureKind.TRY_LATER, 3600)
    assert sum(request.target == "token" for request in simulator.requests) <= 2
    assert (told(), calls(simulator)) == ([], 0)
    simulator.faults.clear()
    assert run(world).state == "completed", "nothing keeps the refusal in mind"


@pytest.mark.parametrize("kind", ["reset", "html", "truncated", "invalid_json", "empty_401"])
def test_an_answer_of_entra_that_is_none_is_a_passing_trouble(
    world: App, simulator: Simulator, told: Told, kind: Any
) -> None:
    simulator.faults.add(Fault(kind=kind, target="token", times=None))

    report = run(world)

    assert report.failure is not None
    assert report.failure.kind is FailureKind.TRY_LATER, report.failure
    assert (told(), calls(simulator)) == ([], 0)
    simulator.faults.clear()
    assert run(world).state == "completed"


def test_a_revoked_sign_in_is_told_once_and_mended_by_signing_in(
    world: App, simulator: Simulator, told: Told
) -> None:
    simulator.entra.revoke(access_tokens=True)

    assert [run(world).state for _ in range(3)] == ["failed"] * 3

    assert told() == ["sign_in_needed"]
    assert calls(simulator) == 0
    sign_in_again(world, simulator)
    assert run(world).state == run(restarted(world)).state == "completed"
    assert told() == ["ok"]


def test_tokens_revoked_while_a_run_reads_end_it_as_sign_in_needed(
    world: App, simulator: Simulator, told: Told
) -> None:
    simulator.behaviour.page_size = 5
    simulator.state.after_request(2, lambda: simulator.entra.revoke(access_tokens=True))

    report = world.sync(trigger="timer", mode="full")

    assert report.failure is not None
    assert (report.state, report.failure.kind) == ("failed", FailureKind.SIGN_IN)
    assert told() == ["sign_in_needed"]
    assert signing(restarted(world))["state"] == "sign_in_needed"
    sign_in_again(world, simulator)
    assert run(world).state == "completed"
    assert told() == ["ok"]


def test_refresh_tokens_that_rotate_serve_several_instances(
    world: App, simulator: Simulator, told: Told
) -> None:
    simulator.entra.behaviour.old_refresh_tokens = "refused"
    apps = [world, restarted(world), restarted(world)]

    states = [run(app).state for _ in range(3) for app in apps]

    assert states == ["completed"] * 9
    assert told() == []


@pytest.mark.parametrize(
    ("times", "ends"), [(1, "completed"), (2, "failed")], ids=["once", "again"]
)
def test_an_empty_401_is_cured_by_one_refresh_or_is_a_sign_in_state(
    world: App, simulator: Simulator, told: Told, times: int, ends: str
) -> None:
    simulator.entra.behaviour.access_token_lifetime_s = 4_500
    simulator.faults.add(Fault(kind="empty_401", target="list", times=times))

    report = run(world)

    assert report.state == ends
    assert simulator.entra.token_requests["refresh_token"] == 2, "one of them is the refresh"
    assert told() == ([] if ends == "completed" else ["sign_in_needed"])


def test_missing_mfa_is_told_once_asks_the_api_no_more_and_ends_with_the_sign_in(
    world: App, simulator: Simulator, told: Told
) -> None:
    simulator.entra.behaviour.mfa = False
    sign_in_again(world, simulator)
    simulator.behaviour.mfa_required = True
    simulator.clear_requests()

    reports = [run(world), run(world), run(restarted(world))]

    for report in reports:
        assert report.failure is not None
        assert (report.failure.kind, report.failure.code) == (FailureKind.SIGN_IN, "mfa_missing")
    assert told() == ["sign_in_needed"]
    assert calls(simulator) == 2, "the first run, with a fresh token once more; the others none"
    assert restarted(world).health().checks["sign_in"] == "sign_in_needed"

    let_pass(world, PROBE_EVERY)
    assert run(world).state == "failed"
    assert (calls(simulator), told()) == (4, []), "one question in half an hour"

    simulator.entra.behaviour.mfa = True
    sign_in_again(world, simulator)
    assert run(world).state == run(world).state == "completed"
    assert told() == ["ok"]


def test_a_refusal_of_the_api_that_passes_is_noticed_without_a_person(
    world: App, simulator: Simulator, told: Told
) -> None:
    simulator.faults.add(Fault(kind="empty_401", target="list", times=None))
    assert run(world).state == "failed"
    simulator.faults.clear()
    simulator.clear_requests()
    assert run(world).state == "failed"
    assert calls(simulator) == 0

    let_pass(world, PROBE_EVERY)

    assert run(world).state == "completed"
    assert told() == ["sign_in_needed", "ok"]


def test_a_claims_challenge_is_answered_or_is_a_sign_in_state(
    world: App, simulator: Simulator, told: Told
) -> None:
    simulator.faults.add(Fault(kind="claims_challenge", target="list"))
    assert run(world).state == "completed"
    assert simulator.entra.claims_received
    assert told() == []

    simulator.faults.add(Fault(kind="claims_challenge", target="list"))
    simulator.entra.fail_with(50076, times=None, grant="refresh_token")
    report = run_with_token_in_hand(world, simulator)
    assert report.failure is not None
    assert report.failure.kind is FailureKind.SIGN_IN
    assert told() == ["sign_in_needed"]
    simulator.entra.fail_with(None)
    sign_in_again(world, simulator)
    assert run(world).state == "completed"
    assert told() == ["ok"]


def run_with_token_in_hand(app: App, simulator: Simulator) -> Report:
    """A run whose first token is still good, so that only the challenge asks Entra."""
    simulator.entra.behaviour.access_token_lifetime_s = 4_500
    simulator.entra.fail_with(None)
    app.parts.tokens.token(refresh=True)
    simulator.entra.fail_with(50076, grant="refresh_token")
    return run(app)


def test_no_saved_sign_in_and_an_unreadable_one_are_states_that_survive(
    app: App, settings: dict[str, str], simulator: Simulator, told: Told
) -> None:
    assert [run(app).state for _ in range(2)] == ["failed", "failed"]
    assert told() == ["sign_in_needed"]
    sign_in_again(app, simulator)
    assert run(app).state == "completed"
    assert told() == ["ok"]

    lost_key = App(Settings.from_env({**settings, "HUNTER_TOKEN_CACHE_KEY": new_key()}))
    simulator.clear_requests()
    assert [run(lost_key).state for _ in range(2)] == ["failed", "failed"]
    assert (told(), calls(simulator)) == (["sign_in_needed"], 0)
    assert signing(app)["reason_code"] == "token_cache_unreadable"
    assert run(app).state == "completed", "who has the key goes on: the blob is untouched"
    assert told() == ["ok"]


def test_the_state_and_its_beginning_survive_and_the_age_of_the_refresh_token_is_told(
    world: App, simulator: Simulator
) -> None:
    simulator.entra.revoke()
    run(world)
    since = signing(world)["since_at"]
    time.sleep(0.05)
    run(world)

    facts = restarted(world).reader.facts()
    assert facts.sign_in is not None
    assert facts.sign_in.since_at == since
    sign_in_again(world, simulator)
    facts = restarted(world).reader.facts()
    expected = world.parts.expected
    assert facts.sign_in is not None
    assert facts.sign_in.renewed_at is not None
    for days, warned in ((74, False), (76, True)):
        later = facts.sign_in.renewed_at + timedelta(days=days)
        codes = {alarm["code"] for alarm in status_of(facts, expected, later)["alarms"]}
        assert ("renewal_due" in codes) is warned
