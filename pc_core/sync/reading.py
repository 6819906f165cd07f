"""Pages of Partner Center's list, understood; while one is being saved, the next is made ready.

Requests are made one at a time, in a thread of their own, because the API counts them by account.
What follows a request (reading the JSON, building rows, looking up what is stored) is done in a
second thread, so that neither the network nor the writing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime

from pc_core.referral.read import parse
from pc_core.referral.referral import Malformed, Referral
from pc_core.referral.row import Row
from pc_core.referral.ticks import to_ticks
from pc_core.sync.budget import Budget
from pc_core.sync.plan import Rules, StoredRow, prepare_rows
from pc_core.sync.ports import FetchedPage, PartnerCenter

_HEAD_START_S = 0.01
"""How long reading a page waits for the request after it: two threads that read at the same time
hinder each other more than they gain, and an answer that comes sooner than this is read faster
alone. Behind any real latency it costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A fetched page, understood.

    Attributes:
        rows: of its items, where they were built beforehand because most will be written.
        stored: what the database held of its items while the page before it was being saved; None
            where nobody has looked.
    """

    items: list[Referral | Malformed]
    next_link: str | None
    served_at: datetime | None
    fetched_at: datetime
    rows: Mapping[str, Row] = field(default_factory=dict)
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


def _thread(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


@dataclass(slots=True, kw_only=True)
class Pages:
    """What a run reads. Every call raises what `ports.PartnerCenter` raises.

    Attributes:
        stored_rows: looks up what is stored of these ids, from whichever thread.
    """

    partner_center: PartnerCenter
    stored_rows: Callable[[Collection[str]], Mapping[str, StoredRow]]
    rules: Rules
    budget: Budget
    _requests: ThreadPoolExecutor = field(default_factory=lambda: _thread("partner-center"))
    _ahead: ThreadPoolExecutor = field(default_factory=lambda: _thread("read-ahead"))
    _asked: tuple[str, Future[FetchedPage]] | None = None

    def close(self) -> None:
        """Wait for a request under way, drop what nobody waits for, give the connection back."""
        self._ahead.shutdown(wait=True, cancel_futures=True)
        self._requests.shutdown(wait=True, cancel_futures=True)
        self.partner_center.close()

    def first(self, *, order: str | None, top: int | None) -> Page:
        """The list's first page in the order asked for."""
        self._asked = None
        ask = self.partner_center.first_page
        return _understand(
            self._request(lambda: ask(order=order, top=top, budget=self.budget)).result()
        )

    def next(self, link: str) -> Page:
        """The page behind a nextLink."""
        return _understand(self._ask(link).result())

    def by_id(self, referral_id: str) -> Page | None:
        """One referral; None if Partner Center does not know it (any more)."""
        ask = self.partner_center.referral
        fetched = self._request(lambda: ask(referral_id, budget=self.budget)).result()
        return _understand(fetched) if fetched else None

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
                wait([following], timeout=_HEAD_START_S)
            page = _understand(fetched)
            return replace(
                page,
                rows=prepare_rows(page.items, self.rules) if build_rows else {},
                stored=self.stored_rows(set(page.ids)),
            )

        return self._ahead.submit(copy_context().run, make_ready)

    def _ask(self, link: str) -> Future[FetchedPage]:
        asked, self._asked = self._asked, None
        return asked[1] if asked and asked[0] == link else self._request_next(link)

    def _request_next(self, link: str) -> Future[FetchedPage]:
        ask = self.partner_center.next_page
        return self._request(lambda: ask(link, budget=self.budget))

    def _request[T](self, ask: Callable[[], T]) -> Future[T]:
        return self._requests.submit(copy_context().run, ask)


def _understand(fetched: FetchedPage) -> Page:
    return Page(
        items=[parse(item) for item in fetched.items],
        next_link=fetched.next_link,
        served_at=fetched.served_at,
        fetched_at=fetched.fetched_at,
    )
