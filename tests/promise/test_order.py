"""An older payload never replaces a newer one, whichever way it comes.

Live pages, answers by id, replays of the quarantine and recomputing, in any order, on the real
store; what has to come of it is reckoned here once more, from the rule in words.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from pc_core.referral.admission import Admission
from pc_core.referral.read import parse, set_aside
from pc_core.referral.referral import Referral
from pc_core.referral.ticks import to_ticks
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from pc_core.sync.budget import Budget
from pc_core.sync.context import Options, Run
from pc_core.sync.plan import RowBuilder, Rules
from pc_core.sync.ports import PartnerCenter
from pc_core.sync.reading import Page, Pages, one_thread
from pc_core.sync.recompute import recompute_rows
from pc_core.sync.replay import replay_quarantine
from pc_core.sync.saving import save_page
from pc_core.sync.state import SyncState
from pc_core.sync.under_lease import under_lease
from tests.promise.scale import LONG
from tests.store.samples import report

BEGINNING = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
EXAMPLES = 3_000 if LONG else 150
NUMBERS = count(1)
IDS = 2

INSTANTS: tuple[str | None, ...] = (
    "2026-05-01T10:00:00Z",
    "2026-05-01T10:00:00.0000001Z",
    "2026-05-01T10:00:00.0000010Z",
    "2026-05-01T10:00:00.1Z",
    "2026-11-24T09:00:00.9999999Z",
    "2026-11-24T09:00:07Z",
    "2099-01-01T00:00:00Z",
    None,
)
"""From months apart down to one tick; two lie in the future, one of them for a few events."""


@dataclass(frozen=True)
class Payload:
    """One version of one referral."""

    one: int
    instant: str | None
    content: int

    def wire(self, prefix: str) -> bytes:
        plain: dict[str, Any] = {
            "id": f"{prefix}-{self.one}",
            "name": f"content {self.content}",
            "direction": "Incoming",
            "status": "Active",
        }
        if self.instant is not None:
            plain["updatedDateTime"] = self.instant
        return json.dumps(plain).encode()

    @property
    def ticks(self) -> int | None:
        if self.instant is None:
            return None
        whole, _, digits = self.instant.rstrip("Z").partition(".")
        seconds = datetime.fromisoformat(f"{whole}+00:00")
        return to_ticks(seconds) + int(digits.ljust(7, "0") or "0")


@dataclass(frozen=True)
class Live:
    """A page, or the answer by id where it has one payload and `by_id`."""

    payloads: tuple[Payload, ...]
    by_id: bool = False


@dataclass(frozen=True)
class SetAside:
    """A payload that goes to quarantine and can be understood later."""

    payload: Payload


@dataclass(frozen=True)
class Replay:
    """The quarantine is read again."""


@dataclass(frozen=True)
class Recompute:
    """Every row is derived again from its raw JSON."""


payloads = st.builds(
    Payload,
    one=st.integers(0, IDS - 1),
    instant=st.sampled_from(INSTANTS),
    content=st.integers(0, 4),
)
events = st.lists(
    st.one_of(
        st.builds(Live, st.lists(payloads, min_size=1, max_size=4).map(tuple)),
        st.builds(Live, payloads.map(lambda one: (one,)), by_id=st.just(True)),
        st.builds(SetAside, payloads),
        st.just(Replay()),
        st.just(Recompute()),
    ),
    min_size=1,
    max_size=10,
)


@dataclass
class Expected:
    """The rule in words: newer wins, a tie goes to the later fetch, a replay needs to be newer.

    What is stored already changes nothing: it keeps the date that it first came with, which counts
    for content dated in the future.
    """

    stored: dict[int, tuple[int | None, Payload]] = field(default_factory=dict)
    aside: dict[int, list[Payload]] = field(default_factory=lambda: defaultdict(list))

    def live(self, payload: Payload, fetched: int) -> None:
        self.aside[payload.one].clear()
        ticks = None if payload.ticks is None else min(payload.ticks, fetched)
        before = self.stored.get(payload.one)
        if before is None:
            self.stored[payload.one] = (ticks, payload)
        elif before[1] == payload:
            return
        elif before[0] is None or ticks is None or ticks >= before[0]:
            # Without a date it is the newest that we know, and older dates stay out as before.
            self.stored[payload.one] = (before[0] if ticks is None else ticks, payload)

    def replay(self, fetched: int) -> None:
        for one, entries in self.aside.items():
            for payload in entries:
                ticks = None if payload.ticks is None else min(payload.ticks, fetched)
                before = self.stored.get(one)
                is_newer = before is None or (
                    None not in (ticks, before[0]) and cast("int", ticks) > cast("int", before[0])
                )
                if is_newer and (before is None or before[1] != payload):
                    self.stored[one] = (ticks, payload)
            entries.clear()


@dataclass
class Lane:
    """Runs one after another on one database."""

    reader: psycopg.Connection[dict[str, Any]]
    run: Run
    clock: datetime = BEGINNING
    stories: int = 0

    def happen(self, event: object, prefix: str) -> int:
        """Do what the event says; returns when it was fetched, in ticks."""
        self.clock += timedelta(seconds=2)
        if isinstance(event, Live):
            items = [parse(payload.wire(prefix)) for payload in event.payloads]
            self.save(items, asked_for=f"{prefix}-{event.payloads[0].one}" if event.by_id else None)
        elif isinstance(event, SetAside):
            referral = parse(event.payload.wire(prefix))
            assert isinstance(referral, Referral)
            self.save([set_aside(referral, reason="odd", detail="not understood yet")])
        elif isinstance(event, Replay):
            replay_quarantine(self.run)
        else:
            self.run.state = replace(self.run.state, recompute_after="")
            recompute_rows(self.run)
        return to_ticks(self.clock)

    def save(self, items: list[Any], *, asked_for: str | None = None) -> None:
        page = Page(
            items=items,
            next_link=None,
            served_at=self.clock,
            fetched_at=self.clock,
            row_of=RowBuilder(frozenset()),
        )
        save_page(self.run, page, state=self.run.state, asked_for=asked_for)

    def query(self, sql: str, prefix: str) -> list[dict[str, Any]]:
        return self.reader.execute(cast("Any", sql), [f"{prefix}-%"]).fetchall()


class Nothing:
    """A Partner Center that is never asked."""

    requests = retries = 0

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def lane(database_url: str, record_property: Callable[[str, object], None]) -> Iterator[Lane]:
    database = Database(database_url)
    store = PostgresStore(database)
    lane: Lane
    rules = Rules(
        admission=Admission(directions=None, statuses=None, excluded_substatuses=frozenset()),
        own_domains=frozenset(),
    )
    budget = Budget(3600)
    run = Run(
        store=store,
        opened=under_lease(store, report(), holder="test", now=lambda: lane.clock, lease_s=3600),
        pages=Pages(
            partner_center=cast("PartnerCenter", Nothing()),
            stored_rows=store.stored_rows,
            rules=rules,
            budget=budget,
            requests=one_thread("requests"),
            read_ahead=one_thread("read-ahead"),
        ),
        state=SyncState(),
        rules=rules,
        budget=budget,
        options=Options(
            overlap=timedelta(0),
            full_sync_every=timedelta(days=1),
            page_size=None,
            full_time_s=3600,
            retention_days=400,
        ),
        accept_missing=False,
        may_use_full_time=False,
        now=lambda: lane.clock,
    )
    with psycopg.connect(database_url, row_factory=dict_row, autocommit=True) as reader, run:
        lane = Lane(reader, run)
        yield lane
    database.close()
    record_property("interleavings", lane.stories)


ROWS = """
    SELECT referral_id, name, pc_updated_ticks, raw_data
    FROM partner_center_referrals WHERE referral_id LIKE %s
"""
NAMES = """
    SELECT referral_id, before, after FROM partner_center_referral_changes
    WHERE referral_id LIKE %s AND field = 'name' ORDER BY change_id
"""

DATED_AHEAD: list[object] = [
    Live((Payload(1, "2099-01-01T00:00:00Z", 1),)),
    Live((Payload(0, None, 0),)),
    Live((Payload(1, "2099-01-01T00:00:00Z", 1),), by_id=True),
    Live((Payload(1, "2026-11-24T09:00:05Z", 0),), by_id=True),
]
"""The same content comes again with the same date in the future, and then a real date between."""

DATED_BETWEEN: list[object] = [
    Live((Payload(1, None, 1),)),
    Live((Payload(1, "2026-11-24T09:00:00.9999999Z", 2), Payload(1, None, 1))),
    Live((Payload(1, "2026-05-01T10:00:00Z", 0),)),
]
"""On one page a date comes and the old content without one: the row stays, its date is known."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(story=events)
@example(story=DATED_AHEAD)
@example(story=DATED_BETWEEN)
def test_whichever_way_payloads_come_only_newer_ones_win(lane: Lane, story: list[Any]) -> None:
    prefix = f"story{next(NUMBERS)}"
    lane.clock = BEGINNING
    lane.stories += 1
    expected = Expected()
    newest: dict[str, int] = {}
    first: dict[str, str] = {}

    for event in story:
        fetched = lane.happen(event, prefix)
        if isinstance(event, Live):
            for payload in event.payloads:
                expected.live(payload, fetched + 10_000_000)
        elif isinstance(event, SetAside):
            if event.payload not in expected.aside[event.payload.one]:
                expected.aside[event.payload.one].append(event.payload)
        elif isinstance(event, Replay):
            expected.replay(fetched)
        rows = lane.query(ROWS, prefix)
        for row in rows:
            one, ticks = row["referral_id"], row["pc_updated_ticks"]
            first.setdefault(one, row["name"])
            if one in newest:
                assert ticks is not None, f"{one} lost its date"
                assert ticks >= newest[one], f"{one} became older"
            if ticks is not None:
                newest[one] = ticks
        assert {row["referral_id"]: row["name"] for row in rows} == {
            f"{prefix}-{one}": f"content {stored.content}"
            for one, (_, stored) in expected.stored.items()
        }
        assert all(row["raw_data"]["name"] == row["name"] for row in rows)

    told = dict(first)
    for change in lane.query(NAMES, prefix):
        assert change["before"] == told[change["referral_id"]]
        told[change["referral_id"]] = change["after"]
    assert told == {row["referral_id"]: row["name"] for row in rows}
