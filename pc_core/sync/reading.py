"""Pages of Partner Center's list, read; while one is being saved, the next is made ready.

Requests are made one at a time, in a thread of their own, because the API counts them by account.
What follows a request (reading the JSON, building rows, looking up what is stored) is done in a
second thread, so that neither the network nor the writing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime

from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.ticks import to_ticks
from pc_core.sync.budget import Budget
from pc_core.sync.plan import RowBuilder, Rules, StoredRow
from pc_core.sync.ports import FetchedPage, PartnerCenter

_WAITS_FOR_REQUEST_S = 0.01
"""How long reading a page waits for the request behind it. Two threads that read JSON at the same
time slow each other down, so an answer that comes within this time is read first. Behind real
network latency the wait costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A fetched page, read.

    Attributes:
        row_of: builds the row of one of its referrals, or has built it beforehand.
        stored: what the database held of its items while the page before it was being saved; None:
            not looked up yet.
    """

    items: list[Referral | Malformed]
    next_link: str | None
    served_at: datetime | None
    fetched_at: datetime
    row_of: RowBuilder
    stored: Mapping[str, StoredRow] | None = None

    @property
    def ids(self) -> list[str]:
        """Ids in the page's order; rows without one are left out."""
        return [item.referral_id for item in self.items if item.referral_id is not None]

    @property
    def updated(self) -> list[int | None]:
        """Each item's updatedDateTime, in ticks."""
        return [item.updated_ticks for item in self.items]

    @property
    def created(self) -> list[int | None]:
        """Each item's createdDateTime, in ticks; None for rows set aside."""
        return [
            to_ticks(item.created_at) if isinstance(item, Referral) and item.created_at else None
            for item in self.items
        ]


def one_thread(name: str) -> Executor:
    """A thread of its own."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


@dataclass(slots=True, kw_only=True)
class Pages:
    """What a run reads. Every call raises what `ports.PartnerCenter` raises.

    Attributes:
        stored_rows: looks up what is stored of these ids, from whichever thread.
        requests: makes the requests, one at a time.
        read_ahead: reads what was fetched.
    """

    partner_center: PartnerCenter
    stored_rows: Callable[[Collection[str]], Mapping[str, StoredRow]]
    rules: Rules
    budget: Budget
    requests: Executor
    read_ahead: Executor
    _asked: tuple[str, Future[FetchedPage]] | None = field(default=None, init=False)

    def close(self) -> None:
        """Wait for a request under way, drop what nobody waits for, give the connection back."""
        self.read_ahead.shutdown(wait=True, cancel_futures=True)
        self.requests.shutdown(wait=True, cancel_futures=True)
        self.partner_center.close()

    def first(self, *, order: str | None, top: int | None) -> Page:
        """The list's first page in the order asked for."""
        self._asked = None
        ask = self.partner_center.first_page
        return self._read(
            self._request(lambda: ask(order=order, top=top, budget=self.budget)).result()
        )

    def next(self, link: str) -> Page:
        """The page behind a nextLink."""
        return self._read(self._ask(link).result())

    def by_id(self, referral_id: str) -> Page | None:
        """One referral; None if Partner Center does not know it (any more)."""
        ask = self.partner_center.referral
        fetched = self._request(lambda: ask(referral_id, budget=self.budget)).result()
        return self._read(fetched) if fetched else None

    def ahead(self, link: str, *, build_rows: bool, to_the_end: bool) -> Future[Page]:
        """Make a page ready while the one before it is being saved.

        Args:
            build_rows: most of its rows will be written; the database takes longest then, and
                should not wait for them to be built.
            to_the_end: the walk reads the whole list, so that the page behind this one may be
                asked for as soon as its link is known.
        """
        asked = self._ask(link)

        def make_ready() -> Page:
            fetched = asked.result()
            if to_the_end and fetched.next_link is not None:
                following = self._request_next(fetched.next_link)
                self._asked = fetched.next_link, following
                wait([following], timeout=_WAITS_FOR_REQUEST_S)
            page = self._read(fetched)
            if build_rows:
                page.row_of.build_ahead(page.items, self.rules.admission)
            return replace(page, stored=self.stored_rows(set(page.ids)))

        return self.read_ahead.submit(copy_context().run, make_ready)

    def _ask(self, link: str) -> Future[FetchedPage]:
        asked, self._asked = self._asked, None
        return asked[1] if asked and asked[0] == link else self._request_next(link)

    def _request_next(self, link: str) -> Future[FetchedPage]:
        ask = self.partner_center.next_page
        return self._request(lambda: ask(link, budget=self.budget))

    def _request[T](self, ask: Callable[[], T]) -> Future[T]:
        return self.requests.submit(copy_context().run, ask)

    def _read(self, fetched: FetchedPage) -> Page:
        return Page(
            items=[parse(item) for item in fetched.items],
            next_link=fetched.next_link,
            served_at=fetched.served_at,
            fetched_at=fetched.fetched_at,
            row_of=RowBuilder(self.rules.own_domains),
        )
