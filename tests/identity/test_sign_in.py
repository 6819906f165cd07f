"""A sign-in from code to saved cache: real MSAL, Azurite, and the simulated services."""

import json
import logging
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from dev.simulator import ADA, BORA, OUTSIDER, Fault, Simulator
from pc_core.errors import SignInNeeded, SignInState, TryLater
from pc_core.identity.account import Account, SignInStatus
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.entra import EntraConnection
from pc_core.identity.flows import FlowStore
from pc_core.identity.sign_in import PendingSignIn, SignIn
from pc_core.identity.token import TokenSource
from pc_core.identity.token_cache import TokenCacheBlob
from pc_core.identity.tokens import EntraTokens
from pc_core.partner_center.client import PartnerCenterClient
from pc_core.partner_center.retry import RetryPolicy
from pc_core.sync.budget import Budget
from tests.identity.world import BLOB, SCOPE, FixedKeys


class Page:
    """The page, or command line, of one instance: it starts, waits and polls."""

    def __init__(self, sign_in: SignIn, clock: list[datetime], statuses: list[SignInStatus]):
        self.sign_in = sign_in
        self.statuses = statuses
        self._clock = clock

    def wait(self, seconds: float = 5.0) -> None:
        self._clock[0] += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime.now(UTC)]


@pytest.fixture
def open_page(
    simulator: Simulator,
    connect: Callable[..., EntraConnection],
    container: ContainerClient,
    keys: FixedKeys,
    blob: TokenCacheBlob,
    clock: list[datetime],
) -> Callable[..., Page]:
    """Makes instances that share storage and nothing else."""

    def prove(tokens: TokenSource) -> None:
        client = PartnerCenterClient(
            simulator.base_url,
            tokens,
            ca_file=str(simulator.ca_path),
            retry=RetryPolicy(attempts=1),
        )
        with closing(client):
            client.first_page(order=None, top=1, budget=Budget(30.0))

    def page(known_account: Account | None = None, saved_blob: TokenCacheBlob = blob) -> Page:
        statuses: list[SignInStatus] = []
        connection = connect()
        sign_in = SignIn(
            device_codes=EntraDeviceCodes(connection, scope=SCOPE),
            flows=FlowStore(lambda: container, keys),
            saved=EntraTokens(connection, saved_blob, scope=SCOPE),
            prove=prove,
            known_account=lambda: known_account,
            save_status=statuses.append,
            now=lambda: clock[0],
        )
        return Page(sign_in, clock, statuses)

    return page


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


def signed_in(page: Page, simulator: Simulator, account: object = ADA) -> PendingSignIn:
    """Start, and let the person enter the code."""
    pending = page.sign_in.start()
    simulator.entra.approve(pending.user_code, account)  # type: ignore[arg-type]
    page.wait()
    return pending


def complete(page: Page, simulator: Simulator, account: object = ADA) -> None:
    pending = signed_in(page, simulator, account)
    assert page.sign_in.poll(pending.id).state == "completed"


def saved(container: ContainerClient) -> bytes:
    content: bytes = container.download_blob(BLOB).readall()
    return content


def flow_text(container: ContainerClient, keys: FixedKeys, flow_id: str) -> str:
    found = FlowStore(lambda: container, keys).load(flow_id)
    return json.dumps(found[0] if found else None)


def test_a_new_sign_in_shows_code_and_address(page: Page) -> None:
    pending = page.sign_in.start()

    assert pending.user_code in pending.message
    assert pending.verification_uri.endswith("/device")
    assert pending.interval_s == 5
    assert page.sign_in.poll(pending.id).state == "pending"


def test_a_finished_sign_in_is_saved_tried_and_stored(
    page: Page, simulator: Simulator, tokens: EntraTokens
) -> None:
    pending = signed_in(page, simulator)

    progress = page.sign_in.poll(pending.id)

    assert progress.state == "completed"
    assert progress.username == ADA.username
    assert progress.may_read_referrals is True
    assert tokens.token().account.username == ADA.username
    (status,) = page.statuses
    assert status.state is SignInState.OK
    assert status.account is not None
    assert status.account.username == ADA.username
    assert status.renewed_at is not None
    (call,) = [request for request in simulator.requests if request.target == "list"]
    assert call.query == "$top=1"


def test_the_end_can_be_asked_for_again_and_holds_no_token(
    page: Page, simulator: Simulator, container: ContainerClient, keys: FixedKeys
) -> None:
    pending = signed_in(page, simulator)
    first = page.sign_in.poll(pending.id)

    assert page.sign_in.poll(pending.id) == first
    assert "cache" not in flow_text(container, keys, pending.id)


def test_entra_is_asked_at_most_once_per_interval(page: Page, simulator: Simulator) -> None:
    pending = page.sign_in.start()

    states = []
    for _ in range(9):
        page.wait(1)
        states.append(page.sign_in.poll(pending.id).state)

    assert states == ["pending"] * 9
    assert simulator.entra.token_requests == {"device_code": 1}


def test_the_interval_grows_when_entra_says_slow_down(page: Page, simulator: Simulator) -> None:
    pending = page.sign_in.start()
    page.wait()
    page.sign_in.poll(pending.id)
    page.wait()
    page.sign_in.poll(pending.id)  # our clock has moved, Entra's has not: too early for it

    page.wait(9)
    page.sign_in.poll(pending.id)
    asked = simulator.entra.token_requests["device_code"]
    page.wait(1)
    page.sign_in.poll(pending.id)

    assert asked == 2
    assert simulator.entra.token_requests["device_code"] == 3


def test_another_instance_can_go_on(
    page: Page, open_page: Callable[..., Page], simulator: Simulator
) -> None:
    pending = signed_in(page, simulator)

    assert open_page().sign_in.poll(pending.id).state == "completed"
    assert page.sign_in.poll(pending.id).state == "completed"


def test_the_flow_is_encrypted_in_storage(
    page: Page, container: ContainerClient, keys: FixedKeys
) -> None:
    pending = page.sign_in.start()

    raw = container.download_blob(f"sign-in-flows/{pending.id}").readall()

    assert pending.user_code.encode() not in raw
    assert pending.user_code in flow_text(container, keys, pending.id)


def test_an_account_without_the_role_fails_and_changes_nothing(
    page: Page, simulator: Simulator, container: ContainerClient
) -> None:
    complete(page, simulator)
    before = saved(container)
    simulator.faults.add(Fault(kind="access_denied", target="list"))

    pending = signed_in(page, simulator)
    progress = page.sign_in.poll(pending.id)

    assert progress.state == "failed"
    assert progress.may_read_referrals is False
    assert "Referrals Admin" in (progress.detail or "")
    assert saved(container) == before
    assert len(page.statuses) == 1


def test_an_account_of_another_tenant_fails_and_changes_nothing(
    page: Page, simulator: Simulator, container: ContainerClient
) -> None:
    complete(page, simulator)
    before = saved(container)
    simulator.entra.behaviour.other_accounts = "admitted"
    simulator.behaviour.other_tenants = "served"
    simulator.clear_requests()

    pending = signed_in(page, simulator, OUTSIDER)
    progress = page.sign_in.poll(pending.id)

    assert (progress.state, progress.reason_code) == ("failed", "other_tenant")
    assert saved(container) == before
    assert [request for request in simulator.requests if request.target == "list"] == []


def test_a_sign_in_without_mfa_says_so(page: Page, simulator: Simulator) -> None:
    simulator.behaviour.mfa_required = True
    simulator.entra.behaviour.mfa = False

    pending = signed_in(page, simulator)

    assert page.sign_in.poll(pending.id).reason_code == "mfa_missing"


def test_a_policy_that_blocks_device_codes_is_named(page: Page, simulator: Simulator) -> None:
    pending = signed_in(page, simulator)
    simulator.entra.fail_with(53003, grant="device_code")

    progress = page.sign_in.poll(pending.id)

    assert (progress.state, progress.reason_code) == ("failed", "AADSTS53003")


def test_another_account_needs_confirmation_by_name(
    page: Page, simulator: Simulator, tokens: EntraTokens
) -> None:
    complete(page, simulator, ADA)
    pending = signed_in(page, simulator, BORA)

    asked = page.sign_in.poll(pending.id)
    again = page.sign_in.poll(pending.id)
    wrong = page.sign_in.poll(pending.id, confirm_account=ADA.username)
    still = tokens.token().account.username
    done = page.sign_in.poll(pending.id, confirm_account=BORA.username.upper())

    assert (asked.state, asked.username) == ("needs_confirmation", BORA.username)
    assert again == asked
    assert wrong.state == "needs_confirmation"
    assert still == ADA.username
    assert done.state == "completed"
    tokens.forget()
    assert tokens.token().account.username == BORA.username


def test_the_account_in_the_database_counts_when_the_cache_cannot_be_read(
    open_page: Callable[..., Page], simulator: Simulator
) -> None:
    known = Account(account_id="somebody.else", username="x", tenant_id=simulator.tenant_id)
    page = open_page(known_account=known)

    pending = signed_in(page, simulator)

    assert page.sign_in.poll(pending.id).state == "needs_confirmation"


def test_an_unreadable_cache_is_replaced_after_copying_it_aside(
    page: Page, simulator: Simulator, container: ContainerClient, tokens: EntraTokens
) -> None:
    container.create_container()
    container.upload_blob(BLOB, b"corrupt")

    complete(page, simulator)

    copies = list(container.list_blob_names(name_starts_with=f"{BLOB}.replaced-"))
    assert [container.download_blob(copy).readall() for copy in copies] == [b"corrupt"]
    assert tokens.token().account.username == ADA.username


def test_tokens_survive_trouble_at_the_api(page: Page, simulator: Simulator) -> None:
    """The code is used up by then: throwing the tokens away would mean to start again."""
    simulator.faults.add(Fault(kind="status", target="list", status=503))
    pending = signed_in(page, simulator)

    during = page.sign_in.poll(pending.id)
    page.wait()
    after = page.sign_in.poll(pending.id)

    assert (during.state, during.reason_code) == ("pending", "partner_center_unavailable")
    assert after.state == "completed"
    assert simulator.entra.token_requests["device_code"] == 1


def test_trouble_at_entra_is_waited_out(page: Page, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind="status", target="token", status=503))
    pending = signed_in(page, simulator)

    during = page.sign_in.poll(pending.id)
    page.wait()
    after = page.sign_in.poll(pending.id)

    assert (during.state, during.reason_code) == ("pending", "entra_unavailable")
    assert after.state == "completed"


class FullStorage(TokenCacheBlob):
    """Storage that cannot be written once."""

    failed = False

    def replace(self, content: bytes) -> str:
        if not self.failed:
            self.failed = True
            raise TryLater("out of reach", code="storage_unavailable")
        return super().replace(content)


def test_a_failed_save_can_be_tried_again(
    open_page: Callable[..., Page],
    simulator: Simulator,
    container: ContainerClient,
    keys: FixedKeys,
) -> None:
    page = open_page(saved_blob=FullStorage(lambda: container, BLOB, keys))
    pending = signed_in(page, simulator)
    with pytest.raises(TryLater):
        page.sign_in.poll(pending.id)

    page.wait(120)

    assert page.sign_in.poll(pending.id).state == "completed"


def test_a_declined_sign_in_ends(page: Page, simulator: Simulator) -> None:
    pending = page.sign_in.start()
    simulator.entra.decline(pending.user_code)
    page.wait()

    assert page.sign_in.poll(pending.id).state == "declined"


@pytest.mark.parametrize("whose_clock", ["ours", "entra"])
def test_an_expired_code_ends_and_is_cleaned_up(
    page: Page, simulator: Simulator, container: ContainerClient, whose_clock: str
) -> None:
    pending = page.sign_in.start()
    if whose_clock == "entra":
        simulator.entra.expire_device_codes()
        page.wait()
    else:
        page.wait(901)

    assert page.sign_in.poll(pending.id).state == "expired"
    assert list(container.list_blob_names(name_starts_with="sign-in-flows/")) == []


def test_a_cancelled_sign_in_is_forgotten(
    page: Page, simulator: Simulator, container: ContainerClient
) -> None:
    pending = page.sign_in.start()

    page.sign_in.cancel(pending.id)

    assert page.sign_in.poll(pending.id).state == "expired"
    assert list(container.list_blob_names(name_starts_with="sign-in-flows/")) == []


def test_an_unknown_id_is_expired(page: Page) -> None:
    assert page.sign_in.poll("../token-cache").state == "expired"


def test_what_entra_refuses_at_the_start_is_raised(
    page: Page, simulator: Simulator, container: ContainerClient
) -> None:
    simulator.faults.add(Fault(kind="status", target="device", status=503))

    with pytest.raises(TryLater):
        page.sign_in.start()


def test_the_command_line_follows_to_the_end(page: Page, simulator: Simulator) -> None:
    pending = page.sign_in.start()
    rounds = []

    def sleep(seconds: float) -> None:
        page.wait(seconds)
        rounds.append(seconds)
        if len(rounds) == 2:
            simulator.entra.approve(pending.user_code)

    assert page.sign_in.follow(pending, sleep=sleep).state == "completed"
    assert rounds == [5, 5]


def test_a_dead_sign_in_lives_again_after_a_new_one(
    page: Page, simulator: Simulator, tokens: EntraTokens
) -> None:
    complete(page, simulator)
    simulator.entra.revoke()
    with pytest.raises(SignInNeeded):
        tokens.token(refresh=True)

    complete(page, simulator)
    tokens.forget()

    assert tokens.token(refresh=True).account.username == ADA.username


def test_no_name_code_or_token_is_logged(
    page: Page, simulator: Simulator, caplog: pytest.LogCaptureFixture, ca: Path
) -> None:
    with caplog.at_level(logging.INFO):
        pending = signed_in(page, simulator)
        page.sign_in.poll(pending.id)

    ours = [record.getMessage() for record in caplog.records if record.name == "pc_core"]
    assert any("partner_center_sign_in_state_changed" in line for line in ours)
    for line in ours:
        assert ADA.username not in line
        assert pending.user_code not in line
