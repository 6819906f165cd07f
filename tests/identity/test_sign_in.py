"""A sign-in from code to saved cache: real MSAL, Azurite, and the simulated services."""

import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from dev.simulator import ADA, BORA, OUTSIDER, Fault
from dev.simulator import Account as Person
from pc_core.errors import SignInNeeded, SignInState, TryLater
from pc_core.identity.account import Account, PendingSignIn, SignInProgress, SignInStatus
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.flows import Asking, Ended
from pc_core.identity.sign_in import DeviceSignIn
from pc_core.identity.token import TokenSource
from pc_core.identity.token_cache import TokenCacheBlob
from pc_core.partner_center.client import PartnerCenterClient
from pc_core.partner_center.retry import RetryPolicy
from pc_core.sync.budget import Budget
from tests.identity.world import BLOB, SCOPE, World


class Page:
    """The page, or command line, of one instance: it starts, waits and polls.

    Instances share the storage and, if given, the clock.
    """

    def __init__(
        self,
        world: World,
        *,
        clock: list[datetime] | None = None,
        known_account: Account | None = None,
        saved_blob: TokenCacheBlob | None = None,
    ) -> None:
        self.world = world
        self.statuses: list[SignInStatus] = []
        self.clock = clock or [datetime.now(UTC)]
        connection = world.connect()
        self._sign_in = DeviceSignIn(
            device_codes=EntraDeviceCodes(connection, scope=SCOPE),
            flows=world.flows,
            saved=world.open_tokens(saved_blob, connection=connection),
            prove=self._prove,
            known_account=lambda: known_account,
            save_status=self.statuses.append,
            now=lambda: self.clock[0],
        )

    def start(self) -> PendingSignIn:
        return self._sign_in.start()

    def poll(self, flow_id: str, *, confirm_account: str | None = None) -> SignInProgress:
        return self._sign_in.poll(flow_id, confirm_account=confirm_account)

    def wait(self, seconds: float = 5.0) -> None:
        self.clock[0] += timedelta(seconds=seconds)

    def signed_in(self, account: Person = ADA) -> PendingSignIn:
        """Start, and let the person enter the code."""
        pending = self.start()
        self.world.entra.approve(pending.user_code, account)
        self.wait()
        return pending

    def complete(self, account: Person = ADA) -> None:
        pending = self.signed_in(account)
        assert self.poll(pending.id).state == "completed"

    def _prove(self, tokens: TokenSource) -> None:
        client = PartnerCenterClient(
            self.world.simulator.base_url, tokens, retry=RetryPolicy(attempts=1)
        )
        with closing(client):
            client.first_page(order=None, top=1, budget=Budget(30.0))


@pytest.fixture
def page(world: World) -> Page:
    return Page(world)


def test_a_new_sign_in_shows_code_and_address(page: Page) -> None:
    pending = page.start()

    assert pending.user_code in pending.message
    assert pending.verification_uri.endswith("/device")
    assert pending.interval_s == 5
    assert page.poll(pending.id).state == "pending"


def test_a_finished_sign_in_is_saved_tried_and_stored(page: Page, world: World) -> None:
    pending = page.signed_in()

    progress = page.poll(pending.id)

    assert progress.state == "completed"
    assert progress.username == ADA.username
    assert progress.may_read_referrals is True
    assert world.tokens.token().account.username == ADA.username
    (status,) = page.statuses
    assert status.state is SignInState.OK
    assert status.account is not None
    assert status.account.username == ADA.username
    assert status.renewed_at is not None
    (call,) = [request for request in world.simulator.requests if request.target == "list"]
    assert call.query == "$top=1"


def test_the_end_can_be_asked_for_again_and_holds_no_token(page: Page, world: World) -> None:
    pending = page.signed_in()
    first = page.poll(pending.id)

    assert page.poll(pending.id) == first
    stored = world.flows.load(pending.id)
    assert stored is not None
    assert stored[0] == Ended(progress=first)


def test_entra_is_asked_at_most_once_per_interval(page: Page, world: World) -> None:
    pending = page.start()

    states = []
    for _ in range(9):
        page.wait(1)
        states.append(page.poll(pending.id).state)

    assert states == ["pending"] * 9
    assert world.entra.token_requests == {"device_code": 1}


def test_the_interval_grows_when_entra_says_slow_down(page: Page, world: World) -> None:
    pending = page.start()
    page.wait()
    page.poll(pending.id)
    page.wait()
    page.poll(pending.id)  # our clock has moved, Entra's has not: too early for it

    page.wait(9)
    page.poll(pending.id)
    asked = world.entra.token_requests["device_code"]
    page.wait(1)
    page.poll(pending.id)

    assert asked == 2
    assert world.entra.token_requests["device_code"] == 3


def test_another_instance_can_go_on(page: Page) -> None:
    pending = page.signed_in()

    assert Page(page.world, clock=page.clock).poll(pending.id).state == "completed"
    assert page.poll(pending.id).state == "completed"


def test_the_flow_is_encrypted_in_storage(page: Page, world: World) -> None:
    pending = page.start()

    raw = world.saved(f"sign-in-flows/{pending.id}")

    assert pending.user_code.encode() not in raw
    stored = world.flows.load(pending.id)
    assert stored is not None
    assert isinstance(stored[0], Asking)
    assert stored[0].flow["user_code"] == pending.user_code


def test_an_account_without_the_role_fails_and_changes_nothing(page: Page, world: World) -> None:
    page.complete()
    before = world.saved()
    world.simulator.faults.add(Fault(kind="access_denied", target="list"))

    pending = page.signed_in()
    progress = page.poll(pending.id)

    assert progress.state == "failed"
    assert progress.may_read_referrals is False
    assert "Referrals Admin" in (progress.detail or "")
    assert world.saved() == before
    assert len(page.statuses) == 1


def test_an_account_of_another_tenant_fails_and_changes_nothing(page: Page, world: World) -> None:
    page.complete()
    before = world.saved()
    world.entra.behaviour.other_accounts = "admitted"
    world.simulator.behaviour.other_tenants = "served"
    world.simulator.clear_requests()

    pending = page.signed_in(OUTSIDER)
    progress = page.poll(pending.id)

    assert (progress.state, progress.reason_code) == ("failed", "other_tenant")
    assert world.saved() == before
    assert [request for request in world.simulator.requests if request.target == "list"] == []


def test_a_sign_in_without_mfa_says_so(page: Page, world: World) -> None:
    world.simulator.behaviour.mfa_required = True
    world.entra.behaviour.mfa = False

    pending = page.signed_in()

    assert page.poll(pending.id).reason_code == "mfa_missing"


def test_a_policy_that_blocks_device_codes_is_named(page: Page, world: World) -> None:
    pending = page.signed_in()
    world.entra.fail_with(53003, grant="device_code")

    progress = page.poll(pending.id)

    assert (progress.state, progress.reason_code) == ("failed", "AADSTS53003")


def test_another_account_needs_confirmation_by_name(page: Page, world: World) -> None:
    page.complete(ADA)
    pending = page.signed_in(BORA)

    asked = page.poll(pending.id)
    again = page.poll(pending.id)
    wrong = page.poll(pending.id, confirm_account=ADA.username)
    still = world.tokens.token().account.username
    done = page.poll(pending.id, confirm_account=BORA.username.upper())

    assert (asked.state, asked.username) == ("needs_confirmation", BORA.username)
    assert again == asked
    assert wrong.state == "needs_confirmation"
    assert still == ADA.username
    assert done.state == "completed"
    world.tokens.forget()
    assert world.tokens.token().account.username == BORA.username


def test_the_account_in_the_database_counts_when_the_cache_cannot_be_read(world: World) -> None:
    known = Account(account_id="somebody.else", username="x", tenant_id=world.simulator.tenant_id)
    page = Page(world, known_account=known)

    pending = page.signed_in()

    assert page.poll(pending.id).state == "needs_confirmation"


def test_an_unreadable_cache_is_replaced_after_copying_it_aside(page: Page, world: World) -> None:
    world.container.create_container()
    world.container.upload_blob(BLOB, b"corrupt")

    page.complete()

    copies = list(world.container.list_blob_names(name_starts_with=f"{BLOB}.replaced-"))
    assert [world.container.download_blob(copy).readall() for copy in copies] == [b"corrupt"]
    assert world.tokens.token().account.username == ADA.username


def test_tokens_survive_trouble_at_the_api(page: Page, world: World) -> None:
    """The code is used up by then: throwing the tokens away would mean to start again."""
    world.simulator.faults.add(Fault(kind="status", target="list", status=503))
    pending = page.signed_in()

    during = page.poll(pending.id)
    page.wait()
    after = page.poll(pending.id)

    assert (during.state, during.reason_code) == ("pending", "partner_center_unavailable")
    assert after.state == "completed"
    assert world.entra.token_requests["device_code"] == 1


def test_trouble_at_entra_is_waited_out(page: Page, world: World) -> None:
    world.simulator.faults.add(Fault(kind="status", target="token", status=503))
    pending = page.signed_in()

    during = page.poll(pending.id)
    page.wait()
    after = page.poll(pending.id)

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


def test_a_failed_save_can_be_tried_again(world: World) -> None:
    page = Page(world, saved_blob=FullStorage(lambda: world.container, BLOB, world.keys))
    pending = page.signed_in()
    with pytest.raises(TryLater):
        page.poll(pending.id)

    page.wait(120)

    assert page.poll(pending.id).state == "completed"


def test_a_declined_sign_in_ends(page: Page, world: World) -> None:
    pending = page.start()
    world.entra.decline(pending.user_code)
    page.wait()

    assert page.poll(pending.id).state == "declined"


@pytest.mark.parametrize("whose_clock", ["ours", "entra"])
def test_an_expired_code_ends_and_is_cleaned_up(page: Page, world: World, whose_clock: str) -> None:
    pending = page.start()
    if whose_clock == "entra":
        world.entra.expire_device_codes()
        page.wait()
    else:
        page.wait(901)

    assert page.poll(pending.id).state == "expired"
    assert world.names() == []


def test_an_unknown_id_is_expired(page: Page) -> None:
    assert page.poll("../token-cache").state == "expired"


def test_what_entra_refuses_at_the_start_is_raised(page: Page, world: World) -> None:
    world.simulator.faults.add(Fault(kind="status", target="device", status=503))

    with pytest.raises(TryLater):
        page.start()


def test_a_dead_sign_in_lives_again_after_a_new_one(page: Page, world: World) -> None:
    page.complete()
    world.entra.revoke()
    with pytest.raises(SignInNeeded):
        world.tokens.token(refresh=True)

    page.complete()
    world.tokens.forget()

    assert world.tokens.token(refresh=True).account.username == ADA.username


def test_no_name_code_or_token_is_logged(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        pending = page.signed_in()
        page.poll(pending.id)

    ours = [record.getMessage() for record in caplog.records if record.name == "pc_core"]
    assert any("partner_center_sign_in_state_changed" in line for line in ours)
    for line in ours:
        assert ADA.username not in line
        assert pending.user_code not in line
