"""The referrals API over HTTPS, one request at a time; fulfils `ports.PartnerCenter`."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    LinkRefused,
    NonsenseAnswer,
    OrderRefused,
)
from pc_core.identity.token import Token, TokenSource
from pc_core.observe import calls, events
from pc_core.partner_center import links, refusals, retry
from pc_core.partner_center.answers import parse_page, single_item
from pc_core.partner_center.refusals import gave_up, not_allowed, unexpected
from pc_core.partner_center.retry import RetryPolicy
from pc_core.partner_center.transport import ExactAdapter
from pc_core.sync.budget import Budget
from pc_core.sync.ports import FetchedPage

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest answer that is read; a page of 1,000 referrals has about 3 MB."""

USER_AGENT = "hunter-partner-center-sync"

_CONNECT_TIMEOUT_S = 10.0
_CHUNK_BYTES = 64 * 1024
_FIRST_SLOWER_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0
_DELAY_RECOVERY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    served_at: datetime | None
    arrived_at: datetime


class _NoAnswerError(Exception):
    """No complete answer came: the network failed, or the time was up."""


class _Bearer(AuthBase):
    """An explicit auth object: otherwise requests would take credentials from ~/.netrc."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.access_token}"
        return request


class PartnerCenterClient:
    """Fetches pages, and single referrals, with one retry policy.

    Args:
        base_url: scheme and host of the API; the bearer token goes nowhere else.
        tokens: where access tokens come from.
        request_timeout_s: the longest that one request may take, body included.
        retry: how patient one call is.
        page_delay_s: seconds between the end of one request and the begin of the next; grows
            after a 429 and shrinks back with every answer that is none.
        verify: path of a CA bundle; None: the system's, or REQUESTS_CA_BUNDLE.
        sleep, clock, now, chance: time and luck, for tests.
    """

    def __init__(
        self,
        base_url: str,
        tokens: TokenSource,
        *,
        request_timeout_s: float = 30.0,
        retry: RetryPolicy | None = None,
        page_delay_s: float = 0.0,
        verify: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.requests = 0
        self.retries = 0
        self._base_url = base_url.rstrip("/")
        self._base_path = urlsplit(self._base_url).path
        self._tokens = tokens
        self._request_timeout_s = request_timeout_s
        self._retry = retry or RetryPolicy()
        self._page_delay_s = page_delay_s
        self._delay_s = page_delay_s
        self._next_at = clock()
        self._max_body_bytes = max_body_bytes
        self._sleep = sleep
        self._clock = clock
        self._now = now
        self._chance = chance
        self._one_at_a_time = Lock()
        self._adapter = ExactAdapter()
        self._session = requests.Session()
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._environment = self._session.merge_environment_settings(
            self._base_url, {}, True, verify, None
        )

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def first_page(self, *, order: str | None, top: int | None, budget: Budget) -> FetchedPage:
        """The list from its beginning; see `ports.PartnerCenter`."""
        budget.take_page()
        query = links.first_query(order=order, top=top)
        answer = self._get(links.REFERRALS_PATH, query, budget)
        if answer.status == 400 and order is not None:
            raise OrderRefused(
                f"Partner Center refused the order asked for (400 on GET {links.REFERRALS_PATH}). "
                "Nothing was concluded from it; everything is read in another order instead."
            )
        if answer.status != 200:
            raise self._first_page_refused(answer.status)
        return self._page(answer)

    def next_page(self, link: str, *, budget: Budget) -> FetchedPage:
        """The page behind a `next_link`, sent exactly as it is; see `ports.PartnerCenter`."""
        budget.take_page()
        answer = self._get(links.REFERRALS_PATH, link, budget)
        if answer.status != 200:
            raise LinkRefused(
                f"Partner Center no longer accepts the link to the next page ({answer.status} on "
                f"GET {links.REFERRALS_PATH}). Saved pages are kept; the walk starts again."
            )
        return self._page(answer)

    def referral(self, referral_id: str, *, budget: Budget) -> FetchedPage | None:
        """One referral as a page of one item; see `ports.PartnerCenter`."""
        if budget.remaining_s() <= 0:
            raise BudgetEnded
        path = links.referral_path(referral_id)
        answer = self._get(path, "", budget)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise NonsenseAnswer(
                f"Partner Center answered {answer.status} to GET {path}, which says nothing about "
                "whether the referral exists. It is asked for again later.",
                code="api_unexpected_status",
            )
        return FetchedPage(
            items=[single_item(answer.body, path)],
            next_link=None,
            served_at=answer.served_at,
            fetched_at=answer.arrived_at,
        )

    def _page(self, answer: _Answer) -> FetchedPage:
        page = parse_page(answer.body)
        link = page.next_link
        return FetchedPage(
            items=page.items,
            next_link=None if link is None else links.next_query(link, base_url=self._base_url),
            served_at=answer.served_at,
            fetched_at=answer.arrived_at,
        )

    def _first_page_refused(self, status: int) -> FixSetting:
        if status == 400:
            return FixSetting(
                f"Partner Center calls GET {links.REFERRALS_PATH} a bad request (400). Check "
                "HUNTER_PARTNER_CENTER_PAGE_SIZE: leave it out to use the API's own. Nothing was "
                "lost.",
                code="api_bad_request",
            )
        return FixSetting(
            f"There is no referrals API at GET {links.REFERRALS_PATH} ({status}). Check "
            "HUNTER_PARTNER_CENTER_API_URL. Nothing was lost.",
            code="api_not_found",
        )

    def _get(self, path: str, query: str, budget: Budget) -> _Answer:
        """The answer with status 200, 400, 404 or 410; everything else is raised."""
        with self._one_at_a_time:
            self._keep_distance(budget)
            return self._get_patiently(path, query, budget)

    def _keep_distance(self, budget: Budget) -> None:
        wait_s = self._next_at - self._clock()
        if wait_s <= 0:
            return
        if not budget.allows(wait_s):
            raise BudgetEnded
        self._sleep(wait_s)

    def _get_patiently(self, path: str, query: str, budget: Budget) -> _Answer:
        started = self._clock()
        token = self._tokens.token()
        may_refresh = may_answer_claims = True
        attempt = sent = 0
        while True:
            if budget.remaining_s() <= 0:
                raise BudgetEnded
            attempt += 1
            sent += 1
            answer = self._get_once(path, query, token, budget, sent=sent)
            if answer is not None and answer.status in (200, 400, 404, 410):
                return answer
            refusal = _read_refusal(answer)
            if refusal is not None and refusal.status in (401, 403):
                if refusal.claims is not None and may_answer_claims:
                    may_answer_claims = may_refresh = False
                    token = self._tokens.token(claims=refusal.claims)
                elif refusal.status == 401 and may_refresh:
                    may_refresh = False
                    token = self._tokens.token(refresh=True)
                else:
                    raise not_allowed(refusal, path)
                attempt -= 1
                continue
            if refusal is not None and not retry.is_transient(refusal.status):
                raise unexpected(refusal, path)
            self._wait_or_give_up(answer, path, budget, attempt=attempt, started=started)

    def _wait_or_give_up(
        self, answer: _Answer | None, path: str, budget: Budget, *, attempt: int, started: float
    ) -> None:
        asked_for_s = None
        if answer is not None:
            asked_for_s = retry.read_retry_after(
                answer.headers.get("Retry-After"),
                served_at=answer.served_at,
                now=answer.arrived_at,
            )
        spent_s = self._clock() - started
        wait_s = retry.next_wait_s(
            self._retry,
            attempt=attempt,
            spent_s=spent_s,
            retry_after_s=asked_for_s,
            remaining_s=budget.remaining_s(),
            chance=self._chance(),
        )
        if wait_s is not None:
            self._sleep(wait_s)
            return
        if answer is None and budget.remaining_s() <= 0:
            raise BudgetEnded
        raise gave_up(
            None if answer is None else answer.status,
            path,
            attempt=attempt,
            spent_s=spent_s,
            asked_for_s=asked_for_s,
        )

    def _get_once(
        self, path: str, query: str, token: Token, budget: Budget, *, sent: int
    ) -> _Answer | None:
        """Send one request; None if no complete answer came."""
        self.requests += 1
        self.retries += sent > 1
        request_id = str(uuid.uuid4())
        try:
            answer = self._exchange(path, query, token, budget, request_id)
        except _NoAnswerError as failure:
            _note_failure(path, sent, client_request_id=request_id, problem=str(failure))
            return None
        finally:
            self._next_at = self._clock() + self._delay_s
        if answer.status == 429:
            self._delay_s = min(_LONGEST_DELAY_S, max(_FIRST_SLOWER_DELAY_S, self._delay_s * 2))
        elif answer.status == 200:
            self._delay_s = max(self._page_delay_s, self._delay_s * _DELAY_RECOVERY)
        self._next_at = self._clock() + self._delay_s
        if answer.status != 200:
            refusal = _read_refusal(answer)
            _note_failure(
                path,
                sent,
                client_request_id=request_id,
                status=answer.status,
                request_id=answer.headers.get("request-id"),
                error_code=refusal.code if refusal else None,
            )
        return answer

    def _exchange(
        self, path: str, query: str, token: Token, budget: Budget, request_id: str
    ) -> _Answer:
        within_s = min(self._request_timeout_s, budget.remaining_s())
        if within_s <= 0:
            raise BudgetEnded
        request = self._session.prepare_request(
            requests.Request(
                "GET",
                self._base_url + path,
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    "User-Agent": USER_AGENT,
                    "client-request-id": request_id,
                },
                auth=_Bearer(token),
            )
        )
        target = self._base_path + path + (f"?{query}" if query else "")
        with (
            calls.calling("partner_center") as call,
            self._adapter.exchange(target, within_s=within_s) as was_cut,
        ):
            try:
                response = self._session.send(
                    request,
                    timeout=(min(_CONNECT_TIMEOUT_S, within_s), within_s),
                    allow_redirects=False,
                    **self._environment,
                )
                with response:
                    body = self._read(response)
            except requests.RequestException as error:
                raise _NoAnswerError("timeout" if was_cut() else type(error).__name__) from None
            if was_cut():
                raise _NoAnswerError("timeout")
            call.failed = response.status_code != 200
        return _Answer(
            status=response.status_code,
            headers=response.headers,
            body=body,
            served_at=retry.read_http_date(response.headers.get("Date")),
            arrived_at=self._now(),
        )

    def _read(self, response: requests.Response) -> bytes:
        chunks: list[bytes] = []
        length = 0
        for chunk in response.iter_content(_CHUNK_BYTES):
            length += len(chunk)
            if length > self._max_body_bytes:
                raise NonsenseAnswer(
                    f"Partner Center's answer is larger than {self._max_body_bytes} bytes; it was "
                    "not read to its end. Saved pages are kept. A smaller "
                    "HUNTER_PARTNER_CENTER_PAGE_SIZE may help.",
                    code="answer_too_large",
                )
            chunks.append(chunk)
        return b"".join(chunks)


def _read_refusal(answer: _Answer | None) -> refusals.Refusal | None:
    if answer is None:
        return None
    return refusals.read_refusal(answer.status, answer.headers, answer.body)


def _note_failure(path: str, attempt: int, **fields: Any) -> None:
    events.emit(
        "partner_center_request_failed",
        level=logging.WARNING,
        path=path,
        attempt=attempt,
        **{name: value for name, value in fields.items() if value is not None},
    )
