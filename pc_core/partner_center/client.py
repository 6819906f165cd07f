"""The referrals API over HTTPS, one request at a time; implements `ports.PartnerCenter`."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from pc_core.errors import (
    BudgetEnded,
    InvalidResponse,
    LinkRefused,
    OrderRefused,
)
from pc_core.identity.token import Token, TokenSource
from pc_core.observe import calls, events
from pc_core.partner_center import links, retry
from pc_core.partner_center.answers import parse_page, single_item
from pc_core.partner_center.refusals import (
    first_page_refused,
    gave_up,
    not_allowed,
    read_error,
    unexpected,
)
from pc_core.partner_center.retry import RetryPolicy
from pc_core.partner_center.transport import NoResponseError, Response, Transport
from pc_core.sync.budget import Budget
from pc_core.sync.ports import FetchedPage

USER_AGENT = "hunter-partner-center-sync"

_FIRST_SLOWER_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0
_DELAY_RECOVERY = 0.8


class PartnerCenterClient:
    """Fetches pages, and single referrals, with one retry policy.

    Args:
        base_url: scheme and host of the API; the bearer token goes nowhere else.
        request_timeout_s: the longest that one request may take, body included.
        page_delay_s: seconds between the end of one request and the start of the next. The delay
            grows after a 429 and shrinks back with every successful response.
        ca_file: PEM file of the trusted CAs; None: REQUESTS_CA_BUNDLE or certifi's.
        sleep, clock, chance: time and random numbers, for tests.
    """

    def __init__(
        self,
        base_url: str,
        tokens: TokenSource,
        *,
        request_timeout_s: float = 30.0,
        retry: RetryPolicy | None = None,
        page_delay_s: float = 0.0,
        ca_file: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
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
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self._one_at_a_time = Lock()
        self._transport = Transport(self._base_url, ca_file=ca_file)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def first_page(self, *, order: str | None, top: int | None, budget: Budget) -> FetchedPage:
        """The first page of the list; see `ports.PartnerCenter`."""
        budget.take_page()
        query = links.first_query(order=order, top=top)
        response = self._get(links.REFERRALS_PATH, query, budget)
        if response.status == 400 and order is not None:
            raise OrderRefused(
                "Partner Center does not accept the requested sort order (400 on GET "
                f"{links.REFERRALS_PATH}). No data was changed; the list is read in another order."
            )
        if response.status != 200:
            raise first_page_refused(response.status, links.REFERRALS_PATH)
        return self._page(response)

    def next_page(self, link: str, *, budget: Budget) -> FetchedPage:
        """The page behind a `next_link`, sent exactly as it is; see `ports.PartnerCenter`."""
        budget.take_page()
        response = self._get(links.REFERRALS_PATH, link, budget)
        if response.status != 200:
            raise LinkRefused(
                "Partner Center no longer accepts the link to the next page "
                f"({response.status} on GET {links.REFERRALS_PATH}). Saved pages are kept; the "
                "list is read again from the start."
            )
        return self._page(response)

    def referral(self, referral_id: str, *, budget: Budget) -> FetchedPage | None:
        """One referral as a page of one item; see `ports.PartnerCenter`."""
        if budget.remaining_s() <= 0:
            raise BudgetEnded
        path = links.referral_path(referral_id)
        response = self._get(path, "", budget)
        if response.status == 404:
            return None
        if response.status != 200:
            raise InvalidResponse(
                f"Partner Center returned {response.status} for GET {path}, so it is unknown "
                "whether the referral exists. It is requested again later.",
                code="api_unexpected_status",
            )
        return FetchedPage(
            items=[single_item(response.body, path)],
            next_link=None,
            served_at=response.served_at,
            fetched_at=datetime.now(UTC),
        )

    def _page(self, response: Response) -> FetchedPage:
        fetched_at = datetime.now(UTC)
        page = parse_page(response.body)
        link = page.next_link
        return FetchedPage(
            items=page.items,
            next_link=None if link is None else links.next_query(link, base_url=self._base_url),
            served_at=response.served_at,
            fetched_at=fetched_at,
        )

    def _get(self, path: str, query: str, budget: Budget) -> Response:
        """The response if its status is 200, 400, 404 or 410; every other outcome is raised."""
        with self._one_at_a_time:
            wait_s = self._next_at - self._clock()
            if wait_s > 0:
                if not budget.allows(wait_s):
                    raise BudgetEnded
                self._sleep(wait_s)
            return self._get_with_retries(path, query, budget)

    def _get_with_retries(self, path: str, query: str, budget: Budget) -> Response:
        started = self._clock()
        token = self._tokens.token()
        may_refresh = may_answer_claims = True
        attempt = sent = 0
        while True:
            if budget.remaining_s() <= 0:
                raise BudgetEnded
            attempt += 1
            sent += 1
            response = self._get_once(path, query, token, budget, sent=sent)
            if response is not None:
                if response.status in (200, 400, 404, 410):
                    return response
                error = read_error(response.status, response.headers, response.body)
                if error.status in (401, 403):
                    # Once with a new token; this does not count as an attempt.
                    if error.claims is not None and may_answer_claims:
                        may_answer_claims = may_refresh = False
                        token = self._tokens.token(claims=error.claims)
                    elif error.status == 401 and may_refresh:
                        may_refresh = False
                        token = self._tokens.token(refresh=True)
                    else:
                        raise not_allowed(error, path)
                    attempt -= 1
                    continue
                if not retry.is_transient(error.status):
                    raise unexpected(error, path)
            self._wait_or_give_up(response, path, budget, attempt=attempt, started=started)

    def _wait_or_give_up(
        self, response: Response | None, path: str, budget: Budget, *, attempt: int, started: float
    ) -> None:
        retry_after_s = None
        if response is not None:
            retry_after_s = retry.read_retry_after(
                response.headers.get("Retry-After"),
                served_at=response.served_at,
                now=datetime.now(UTC),
            )
        spent_s = self._clock() - started
        wait_s = retry.next_wait_s(
            self._retry,
            attempt=attempt,
            spent_s=spent_s,
            retry_after_s=retry_after_s,
            remaining_s=budget.remaining_s(),
            chance=self._chance(),
        )
        if wait_s is not None:
            self._sleep(wait_s)
            return
        if response is None and budget.remaining_s() <= 0:
            raise BudgetEnded
        raise gave_up(
            None if response is None else response.status,
            path,
            attempt=attempt,
            spent_s=spent_s,
            retry_after_s=retry_after_s,
        )

    def _get_once(
        self, path: str, query: str, token: Token, budget: Budget, *, sent: int
    ) -> Response | None:
        """Send one request; None if no complete response came."""
        self.requests += 1
        self.retries += sent > 1
        request_id = str(uuid.uuid4())
        try:
            response = self._send(path, query, token, budget, request_id)
        except NoResponseError as failure:
            _log_failure(path, sent, client_request_id=request_id, problem=str(failure))
            return None
        finally:
            self._next_at = self._clock() + self._delay_s
        if response.status == 429:
            self._delay_s = min(_LONGEST_DELAY_S, max(_FIRST_SLOWER_DELAY_S, self._delay_s * 2))
        elif response.status == 200:
            self._delay_s = max(self._page_delay_s, self._delay_s * _DELAY_RECOVERY)
        self._next_at = self._clock() + self._delay_s
        if response.status != 200:
            _log_failure(
                path,
                sent,
                client_request_id=request_id,
                status=response.status,
                request_id=response.headers.get("request-id"),
                error_code=read_error(response.status, response.headers, response.body).code,
            )
        return response

    def _send(
        self, path: str, query: str, token: Token, budget: Budget, request_id: str
    ) -> Response:
        within_s = min(self._request_timeout_s, budget.remaining_s())
        if within_s <= 0:
            raise BudgetEnded
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": f"Bearer {token.access_token}",
            "User-Agent": USER_AGENT,
            "client-request-id": request_id,
        }
        target = self._base_path + path + (f"?{query}" if query else "")
        with calls.calling("partner_center") as call:
            response = self._transport.get(target, headers, within_s=within_s)
            call.failed = response.status != 200
        return response


def _log_failure(path: str, attempt: int, **fields: Any) -> None:
    events.emit(
        "partner_center_request_failed",
        level=logging.WARNING,
        path=path,
        attempt=attempt,
        **{name: value for name, value in fields.items() if value is not None},
    )
