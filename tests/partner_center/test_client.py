"""The client against the simulator over TLS, and against servers that misbehave on the wire."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.simulator import Fault, Simulator
from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    InvalidResponse,
    LinkRefused,
    OrderRefused,
    SignInNeeded,
    SignInState,
    TryLater,
)
from pc_core.identity.account import Account
from pc_core.identity.token import Token
from pc_core.partner_center.client import PartnerCenterClient
from pc_core.partner_center.retry import RetryPolicy
from pc_core.sync.budget import Budget
from pc_core.sync.ports import FetchedPage

ACCOUNT = Account(account_id="a.t", username="ada@example.com", tenant_id="t")
NEWEST_FIRST = "updatedDateTime desc"


class SimulatedTokens:
    """Tokens straight from the simulator, noting how they were asked for."""

    def __init__(self, issue: Callable[[], str]) -> None:
        self._issue = issue
        self.asked: list[tuple[bool, str | None]] = []

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        self.asked.append((refresh, claims))
        return Token(access_token=self._issue(), account=ACCOUNT)

    def renewed_at(self) -> datetime | None:
        return None


class Sleeps:
    """Notes waits instead of waiting."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.clock_s = 1000.0

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock_s += seconds

    def clock(self) -> float:
        return self.clock_s


@pytest.fixture
def tokens(simulator: Simulator) -> SimulatedTokens:
    return SimulatedTokens(simulator.entra.issue_access_token)


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def client(
    simulator: Simulator, tokens: SimulatedTokens, sleeps: Sleeps
) -> Iterator[PartnerCenterClient]:
    made = PartnerCenterClient(
        simulator.base_url,
        tokens,
        ca_file=str(simulator.ca_path),
        retry=RetryPolicy(attempts=4, total_s=90),
        sleep=sleeps.sleep,
        clock=sleeps.clock,
        chance=lambda: 0.5,
    )
    yield made
    made.close()


def budget(seconds: float = 60.0, pages: int | None = None) -> Budget:
    return Budget(seconds, pages=pages)


def first(client: PartnerCenterClient, *, top: int | None = 10) -> FetchedPage:
    return client.first_page(order=NEWEST_FIRST, top=top, budget=budget())


def ids(page: FetchedPage) -> list[str]:
    return [json.loads(item)["id"] for item in page.items]


# --- what goes over the wire ---------------------------------------------------------------------


def test_the_first_page_asks_for_exactly_order_and_size(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    page = first(client)

    (request,) = simulator.requests
    assert request.method == "GET"
    assert request.path == "/v1.0/engagements/referrals"
    assert request.query == "$orderby=updatedDateTime%20desc&$top=10"
    assert len(page.items) == 10


def test_nothing_is_asked_for_that_was_not_wanted(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    client.first_page(order=None, top=None, budget=budget())

    assert simulator.requests[0].query == ""


@pytest.mark.parametrize("looks", range(1, 12))
def test_time_that_runs_out_at_any_moment_is_no_error(
    client: PartnerCenterClient, looks: int
) -> None:
    """Every look at the clock may be the last that finds time left."""
    clock = iter([0.0] * looks)
    ending = Budget(60, clock=lambda: next(clock, 100.0))

    with suppress(BudgetEnded):
        client.first_page(order=NEWEST_FIRST, top=10, budget=ending)


@pytest.mark.parametrize("form", ["documented_odd", "absolute", "relative"])
def test_later_pages_send_the_next_links_query_untouched_on_our_own_path(
    simulator: Simulator, client: PartnerCenterClient, form: str
) -> None:
    simulator.behaviour.next_link_form = form  # type: ignore[assignment]
    simulator.behaviour.next_link_must_be_verbatim = True
    seen: list[str] = []
    page = first(client)
    while page.next_link is not None:
        seen += ids(page)
        link = page.next_link
        page = client.next_page(link, budget=budget())
        assert simulator.requests[-1].path == "/v1.0/engagements/referrals"
        assert simulator.requests[-1].query == link
    seen += ids(page)

    assert len(seen) == len(set(seen)) == 40
    assert any("%2f" in request.query for request in simulator.requests)


def test_documented_headers_go_along_with_a_fresh_id_each_time(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    simulator.faults.add(Fault(kind="status", target="list", status=503))

    first(client)

    headers = [request.headers for request in simulator.requests]
    assert {header["accept"] for header in headers} == {"application/json"}
    assert {header["user-agent"] for header in headers} == {"hunter-partner-center-sync"}
    assert all(header["authorization"].startswith("Bearer") for header in headers)
    assert len({header["client-request-id"] for header in headers}) == 2


def test_the_answers_date_is_read(simulator: Simulator, client: PartnerCenterClient) -> None:
    simulator.behaviour.date_offset_s = 3600

    page = first(client)

    assert page.served_at is not None
    assert timedelta(minutes=50) < page.served_at - page.fetched_at < timedelta(minutes=70)
    assert page.fetched_at.tzinfo is UTC


def test_an_answer_without_a_date_has_none(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    simulator.behaviour.date_header = False

    assert first(client).served_at is None


def test_credentials_of_a_netrc_file_do_not_replace_the_token(
    simulator: Simulator,
    client: PartnerCenterClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login somebody password secret\ndefault login a password b")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    first(client)

    assert simulator.requests[0].headers["authorization"].startswith("Bearer")


def test_a_redirect_is_not_followed(simulator: Simulator, client: PartnerCenterClient) -> None:
    elsewhere = f"{simulator.base_url}/elsewhere"
    simulator.faults.add(Fault(kind="redirect", target="list", location=elsewhere))

    with pytest.raises(InvalidResponse) as refused:
        first(client)

    assert refused.value.code == "redirect_not_followed"
    assert [request.path for request in simulator.requests] == ["/v1.0/engagements/referrals"]


def test_a_next_link_to_a_foreign_host_gets_no_request(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    simulator.behaviour.next_link_form = "foreign_host"

    with pytest.raises(InvalidResponse) as refused:
        first(client)

    assert refused.value.code == "next_link_foreign"
    assert len(simulator.requests) == 1


def test_an_unknown_certificate_gets_no_request(
    simulator: Simulator, tokens: SimulatedTokens
) -> None:
    client = PartnerCenterClient(
        simulator.base_url, tokens, retry=RetryPolicy(attempts=1), sleep=lambda _: None
    )

    with pytest.raises(TryLater) as failed:
        first(client)

    client.close()
    assert failed.value.code == "partner_center_unreachable"
    assert simulator.requests == []


# --- retries and budgets -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_error_is_tried_again(
    simulator: Simulator, client: PartnerCenterClient, status: int
) -> None:
    simulator.faults.add(Fault(kind="status", target="list", status=status, times=2))

    page = first(client)

    assert len(page.items) == 10
    assert (client.requests, client.retries) == (3, 2)


@pytest.mark.parametrize("kind", ["reset", "truncated", "truncated_chunked"])
def test_an_incomplete_answer_is_tried_again(
    simulator: Simulator, client: PartnerCenterClient, kind: str
) -> None:
    simulator.faults.add(Fault(kind=kind, target="list"))  # type: ignore[arg-type]

    page = first(client)

    assert len(page.items) == 10
    assert client.requests == 2


def test_attempts_are_bounded(
    simulator: Simulator, client: PartnerCenterClient, sleeps: Sleeps
) -> None:
    simulator.faults.add(Fault(kind="status", target="list", status=503, times=None))

    with pytest.raises(TryLater) as failed:
        first(client)

    assert failed.value.code == "partner_center_unavailable"
    assert len(simulator.requests) == 4
    assert sleeps.waits == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("form", ["seconds", "http_date"])
def test_retry_after_is_waited_for_in_both_forms(
    simulator: Simulator, client: PartnerCenterClient, sleeps: Sleeps, form: str
) -> None:
    simulator.faults.add(
        Fault(
            kind="status",
            target="list",
            status=429,
            retry_after_s=20,
            retry_after_form=form,  # type: ignore[arg-type]
        )
    )

    first(client)

    assert sleeps.waits[0] == pytest.approx(20.5, abs=1.1)


@pytest.mark.parametrize("form", ["seconds", "http_date"])
def test_a_retry_after_of_an_hour_ends_at_once(
    simulator: Simulator, client: PartnerCenterClient, sleeps: Sleeps, form: str
) -> None:
    simulator.faults.add(
        Fault(
            kind="status",
            target="list",
            status=429,
            retry_after_s=3600,
            retry_after_form=form,  # type: ignore[arg-type]
        )
    )

    with pytest.raises(TryLater) as failed:
        first(client)

    assert failed.value.code == "partner_center_throttled"
    assert failed.value.retry_after_s == pytest.approx(3600, abs=2)
    assert sleeps.waits == []
    assert len(simulator.requests) == 1


def test_a_wait_that_does_not_fit_into_the_run_is_not_begun(
    simulator: Simulator, client: PartnerCenterClient, sleeps: Sleeps
) -> None:
    simulator.faults.add(Fault(kind="status", target="list", status=503, retry_after_s=20))

    with pytest.raises(TryLater):
        client.first_page(order=None, top=None, budget=budget(10))

    assert sleeps.waits == []


def test_without_time_nothing_is_sent(simulator: Simulator, client: PartnerCenterClient) -> None:
    with pytest.raises(BudgetEnded):
        client.first_page(order=None, top=None, budget=budget(0))

    with pytest.raises(BudgetEnded):
        client.referral("r", budget=budget(0))

    assert simulator.requests == []


def test_pages_are_taken_from_the_budget(client: PartnerCenterClient) -> None:
    two = budget(pages=2)
    page = client.first_page(order=NEWEST_FIRST, top=10, budget=two)
    page = client.next_page(page.next_link or "", budget=two)

    with pytest.raises(BudgetEnded):
        client.next_page(page.next_link or "", budget=two)


def test_a_delay_is_kept_between_requests_and_grows_after_a_429(
    simulator: Simulator, tokens: SimulatedTokens, sleeps: Sleeps
) -> None:
    client = PartnerCenterClient(
        simulator.base_url,
        tokens,
        ca_file=str(simulator.ca_path),
        page_delay_s=0.2,
        sleep=sleeps.sleep,
        clock=sleeps.clock,
        chance=lambda: 0.0,
    )
    page = first(client)
    page = client.next_page(page.next_link or "", budget=budget())
    simulator.faults.add(Fault(kind="status", target="list", status=429))
    page = client.next_page(page.next_link or "", budget=budget())
    page = client.next_page(page.next_link or "", budget=budget())
    with pytest.raises(LinkRefused):
        client.next_page("$skiptoken=none", budget=budget())

    client.close()
    # Before pages 2 and 3, the retry after the 429, and the slower pace dying down again.
    assert sleeps.waits == pytest.approx([0.2, 0.2, 0.0, 0.8, 0.64])


def test_a_delay_that_does_not_fit_ends_the_run(
    simulator: Simulator, tokens: SimulatedTokens, sleeps: Sleeps
) -> None:
    client = PartnerCenterClient(
        simulator.base_url,
        tokens,
        ca_file=str(simulator.ca_path),
        page_delay_s=30,
        sleep=sleeps.sleep,
        clock=sleeps.clock,
    )
    page = first(client)

    with pytest.raises(BudgetEnded):
        client.next_page(page.next_link or "", budget=budget(10))

    client.close()
    assert len(simulator.requests) == 1


# --- sign-in and permissions ---------------------------------------------------------------------


def test_a_401_forces_one_refresh(
    simulator: Simulator, client: PartnerCenterClient, tokens: SimulatedTokens
) -> None:
    simulator.faults.add(Fault(kind="empty_401", target="list"))

    first(client)

    assert tokens.asked == [(False, None), (True, None)]
    assert client.requests == 2


def test_a_second_401_means_that_a_person_has_to_sign_in(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    simulator.faults.add(Fault(kind="empty_401", target="list", times=None))

    with pytest.raises(SignInNeeded) as refused:
        first(client)

    assert refused.value.state is SignInState.SIGN_IN_NEEDED
    assert refused.value.code == "api_unauthorized"
    assert len(simulator.requests) == 2


@pytest.mark.parametrize("body", ["older_host", "odata"])
def test_a_token_without_mfa_is_named_as_such(
    simulator: Simulator, client: PartnerCenterClient, body: str
) -> None:
    simulator.behaviour.mfa_required = True
    simulator.behaviour.unauthorized_body = body  # type: ignore[assignment]
    simulator.entra.behaviour.mfa = False

    with pytest.raises(SignInNeeded) as refused:
        first(client)

    assert refused.value.code == "mfa_missing"


def test_a_token_for_another_audience_is_a_wrong_setting(simulator: Simulator) -> None:
    def issue() -> str:
        return simulator.entra.issue_access_token(
            resource="https://api.partnercenter.microsoft.com"
        )

    client = PartnerCenterClient(
        simulator.base_url, SimulatedTokens(issue), ca_file=str(simulator.ca_path)
    )

    with pytest.raises(SignInNeeded) as refused:
        first(client)

    client.close()
    assert (refused.value.state, refused.value.code) == (
        SignInState.MISCONFIGURED,
        "wrong_audience",
    )


@pytest.mark.parametrize("misspelled", [False, True])
def test_a_claims_challenge_is_answered_once(
    simulator: Simulator, client: PartnerCenterClient, tokens: SimulatedTokens, misspelled: bool
) -> None:
    claims = '{"access_token":{"acrs":{"essential":true,"value":"c7"}}}'
    simulator.faults.add(
        Fault(kind="claims_challenge", target="list", claims=claims, misspelled=misspelled)
    )

    first(client)

    assert tokens.asked == [(False, None), (False, claims)]


def test_a_repeated_claims_challenge_is_not_answered_for_ever(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    simulator.faults.add(Fault(kind="claims_challenge", target="list", times=None))

    with pytest.raises(SignInNeeded):
        first(client)

    assert len(simulator.requests) == 2


def test_a_403_names_the_role(simulator: Simulator, client: PartnerCenterClient) -> None:
    simulator.faults.add(Fault(kind="access_denied", target="list"))

    with pytest.raises(FixSetting) as refused:
        first(client)

    assert refused.value.code == "api_forbidden"
    assert "Referrals Admin" in str(refused.value)
    assert len(simulator.requests) == 1


# --- invalid responses ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["html", "no_value", "items_key", "invalid_json"])
def test_an_invalid_response_is_an_error_and_not_an_empty_list(
    simulator: Simulator, client: PartnerCenterClient, kind: str
) -> None:
    simulator.faults.add(Fault(kind=kind, target="list"))  # type: ignore[arg-type]

    with pytest.raises(InvalidResponse):
        first(client)

    assert client.requests == 1


@pytest.mark.parametrize("kind", ["lone_surrogate", "nul"])
def test_one_odd_row_does_not_spoil_its_page(
    simulator: Simulator, client: PartnerCenterClient, kind: str
) -> None:
    simulator.faults.add(Fault(kind=kind, target="list"))  # type: ignore[arg-type]

    assert len(first(client).items) == 10


def test_a_refused_order_is_told_apart(simulator: Simulator, client: PartnerCenterClient) -> None:
    simulator.behaviour.updated_order = "refused"

    with pytest.raises(OrderRefused):
        first(client)

    assert len(simulator.requests) == 1


def test_a_bad_request_without_an_order_is_a_wrong_setting(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    simulator.faults.add(Fault(kind="bad_request", target="list"))

    with pytest.raises(FixSetting) as refused:
        client.first_page(order=None, top=10, budget=budget())

    assert refused.value.code == "api_bad_request"


def test_a_dead_next_link_is_told_apart(simulator: Simulator, client: PartnerCenterClient) -> None:
    page = first(client)
    simulator.faults.add(Fault(kind="bad_request", target="list"))

    with pytest.raises(LinkRefused):
        client.next_page(page.next_link or "", budget=budget())


def test_one_referral_is_a_page_of_one_item(
    simulator: Simulator, client: PartnerCenterClient
) -> None:
    (wanted, *_) = ids(first(client))

    page = client.referral(wanted, budget=budget())

    assert page is not None
    assert ids(page) == [wanted]
    assert simulator.requests[-1].path == f"/v1.0/engagements/referrals/{wanted}"


def test_a_referral_that_is_not_there_is_none(client: PartnerCenterClient) -> None:
    assert client.referral("0f0f0f0f-0000-4000-8000-000000000000", budget=budget()) is None


@pytest.mark.parametrize("kind", ["html", "bad_request"])
def test_an_invalid_response_for_one_referral_does_not_mean_that_it_is_gone(
    simulator: Simulator, client: PartnerCenterClient, kind: str
) -> None:
    simulator.faults.add(Fault(kind=kind, target="item"))  # type: ignore[arg-type]

    with pytest.raises(InvalidResponse):
        client.referral("0f0f0f0f-0000-4000-8000-000000000000", budget=budget())


def test_a_failure_is_logged_without_query_or_token(
    simulator: Simulator, client: PartnerCenterClient, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.faults.add(Fault(kind="status", target="list", status=503))

    with caplog.at_level(logging.INFO, logger="pc_core"):
        first(client)

    (record,) = caplog.records
    line = json.loads(record.getMessage())
    assert line["event"] == "partner_center_request_failed"
    assert (line["status"], line["attempt"]) == (503, 1)
    assert line["path"] == "/v1.0/engagements/referrals"
    assert line["error_code"] == "serviceNotAvailable"
    assert line["request_id"]
    assert "orderby" not in record.getMessage()
    assert "Bearer" not in record.getMessage()


# --- the wire itself -----------------------------------------------------------------------------


def test_a_slow_drip_ends_with_the_requests_time(
    simulator: Simulator, tokens: SimulatedTokens
) -> None:
    simulator.faults.add(Fault(kind="slow_drip", target="list", seconds=20, times=None))
    client = PartnerCenterClient(
        simulator.base_url,
        tokens,
        ca_file=str(simulator.ca_path),
        request_timeout_s=0.6,
        retry=RetryPolicy(attempts=1),
    )
    started = time.monotonic()

    with pytest.raises(TryLater) as failed:
        first(client)

    client.close()
    assert failed.value.code == "partner_center_unreachable"
    assert time.monotonic() - started < 2.5


def test_a_slow_drip_ends_with_the_runs_time(simulator: Simulator, tokens: SimulatedTokens) -> None:
    simulator.faults.add(Fault(kind="slow_drip", target="list", seconds=20, times=None))
    client = PartnerCenterClient(simulator.base_url, tokens, ca_file=str(simulator.ca_path))
    started = time.monotonic()

    with pytest.raises(BudgetEnded):
        client.first_page(order=None, top=None, budget=budget(0.6))

    client.close()
    assert time.monotonic() - started < 2.5


@contextmanager
def misbehaving_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Plain HTTP on loopback; `answer` writes whatever it likes after each request's head."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def plain_client(base_url: str, **options: object) -> PartnerCenterClient:
    return PartnerCenterClient(
        base_url,
        SimulatedTokens(lambda: "token"),
        retry=RetryPolicy(attempts=1),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n",
    ],
    ids=["headers", "body without length", "chunk"],
)
def test_a_drip_of_bytes_is_bounded_wherever_it_comes(beginning: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)

    with misbehaving_server(drip) as base_url:
        client = plain_client(base_url, request_timeout_s=0.5)
        started = time.monotonic()
        with pytest.raises(TryLater) as failed:
            first(client)
        took_s = time.monotonic() - started
        client.close()

    assert failed.value.code == "partner_center_unreachable"
    assert took_s < 2


def test_a_body_that_never_ends_is_not_read_to_its_end() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with misbehaving_server(flood) as base_url:
        client = plain_client(base_url)
        with pytest.raises(InvalidResponse) as refused:
            first(client)
        client.close()

    assert refused.value.code == "answer_too_large"


def test_a_cut_request_does_not_spoil_the_next_one() -> None:
    answers = iter([b"", b'{"value":[]}'])

    def answer(connection: socket.socket) -> None:
        body = next(answers)
        if not body:
            connection.recv(1)  # until the client gives up
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    with misbehaving_server(answer) as base_url:
        client = plain_client(base_url, request_timeout_s=0.4)
        with pytest.raises(TryLater):
            first(client)
        page = client.first_page(order=None, top=None, budget=budget())
        client.close()

    assert page.items == []


@contextmanager
def connect_proxy(seen: list[bytes]) -> Iterator[str]:
    """A proxy that tunnels one connection and notes the head of the CONNECT request."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def serve() -> None:
        near, _ = listener.accept()
        with near:
            seen.append(near.recv(65536))
            host, _, port = seen[0].split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as far:
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=copy, args=(far, near), daemon=True)
                back.start()
                copy(near, far)
                far.shutdown(socket.SHUT_RDWR)
                back.join(5)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://ada:se%40cret@127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(5)
        listener.close()


def test_a_proxy_of_the_environment_is_used_and_sees_no_token(
    simulator: Simulator, tokens: SimulatedTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    with connect_proxy(seen) as proxy_url:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url)
        client = PartnerCenterClient(simulator.base_url, tokens, ca_file=str(simulator.ca_path))
        page = first(client)
        client.next_page(page.next_link or "", budget=budget())
        client.close()

    host = simulator.base_url.removeprefix("https://")
    assert seen[0].startswith(f"CONNECT {host} HTTP/1.1\r\n".encode())
    assert b"Basic YWRhOnNlQGNyZXQ=" in seen[0]
    assert b"Bearer" not in seen[0]
    assert len(simulator.requests) == 2


def test_a_host_that_needs_no_proxy_is_reached_directly(
    simulator: Simulator, client: PartnerCenterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")

    assert len(first(client).items) == 10


def test_all_requests_use_one_connection_until_the_server_ends_it() -> None:
    connections = 0
    answer_bytes = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"value":[]}'

    def answer(connection: socket.socket) -> None:
        nonlocal connections
        connections += 1
        connection.sendall(answer_bytes)
        connection.recv(65536)
        connection.sendall(answer_bytes)

    with misbehaving_server(answer) as base_url:
        client = plain_client(base_url)
        for _ in range(4):
            assert first(client).items == []
        client.close()

    assert connections == 2
