"""A world small enough to try everything in it: three referrals, pages of one, two runs at once.

The runs are the real ones (`pc_core.sync` and all that it decides with), stopped before each call
that reaches out. The explorer answers such a call, or changes the world first, or kills the run,
or lets its lease run out and begins another, in every order there is. A run is a function of the
answers it got, so one that was stopped is asked again from its beginning with the same answers.

What the database and Partner Center do is modelled here: one transaction is one step, a call to
Partner Center another. How PostgreSQL keeps these transactions whole is tested elsewhere.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, cast

from pc_core.errors import BudgetEnded, LeaseLost, LinkRefused
from pc_core.identity.account import Account, SignInStatus
from pc_core.identity.token import Token
from pc_core.referral.admission import Admission
from pc_core.referral.row import Row
from pc_core.referral.ticks import to_ticks
from pc_core.referral.tombstones import Tombstones
from pc_core.sync.budget import Budget
from pc_core.sync.context import Options
from pc_core.sync.plan import PagePlan, Rules, StoredRow
from pc_core.sync.ports import FetchedPage, Held, Lease, PartnerCenter, Store, Unseen, Walk
from pc_core.sync.report import Mode, Report, RunRequest, RunState
from pc_core.sync.run import Sync
from pc_core.sync.state import SyncState

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
ADMISSION = Admission(
    directions=frozenset({"incoming"}),
    statuses=frozenset({"new", "active"}),
    excluded_substatuses=frozenset(),
)
ACCOUNT = Account(account_id="account", username="account", tenant_id="tenant")
LEASE_S = 1e6
"""No heartbeat beats in a model: whether a lease runs out is the explorer's choice."""


def at(clock: int) -> datetime:
    """The world's clock counts seconds."""
    return BEGINNING + timedelta(seconds=clock)


# The world


class Referral(NamedTuple):
    """One referral as Partner Center holds it; version 0 has not been created yet."""

    version: int = 0
    changed: int = 0
    closed: bool = False
    present: bool = False


class World(NamedTuple):
    """Partner Center: its referrals in the order of their creation, and its clock."""

    clock: int
    referrals: tuple[Referral, ...]


@cache
def referral_json(number: int, referral: Referral) -> bytes:
    wire = {
        "id": f"r{number}",
        "name": f"{referral.version}",
        "direction": "Incoming",
        "status": "Closed" if referral.closed else "Active",
        "createdDateTime": f"{at(number):%Y-%m-%dT%H:%M:%SZ}",
        "updatedDateTime": f"{at(referral.changed):%Y-%m-%dT%H:%M:%SZ}",
    }
    return json.dumps(wire).encode()


@cache
def listed(world: World, order: str) -> tuple[int, ...]:
    present = [number for number, one in enumerate(world.referrals) if one.present]
    if order == "updatedDateTime desc":
        present.sort(key=lambda number: (-world.referrals[number].changed, -number))
    return tuple(present)


def changes_of(world: World) -> Iterator[tuple[str, World]]:
    """Everything that can happen to one referral at this moment."""
    for number, one in enumerate(world.referrals):
        later = one._replace(version=one.version + 1, changed=world.clock + 1)
        if one.version == 0:
            yield _with(world, f"add r{number}", number, later._replace(present=True), tick=1)
        elif not one.present:
            yield _with(world, f"return r{number}", number, one._replace(present=True))
        else:
            yield _with(world, f"change r{number}", number, later, tick=1)
            same = later._replace(changed=world.clock)
            yield _with(world, f"change r{number} in the same instant", number, same)
            if sum(other.present for other in world.referrals) > 1:
                # An empty list is an answer that nobody believes, by design.
                yield _with(world, f"remove r{number}", number, one._replace(present=False))
            if not one.closed:
                yield _with(world, f"close r{number}", number, later._replace(closed=True), tick=1)


def _with(
    world: World, what: str, number: int, referral: Referral, *, tick: int = 0
) -> tuple[str, World]:
    referrals = (*world.referrals[:number], referral, *world.referrals[number + 1 :])
    return what, World(world.clock + tick, referrals)


# The database


class Stored(NamedTuple):
    """A stored referral."""

    version: int
    row: StoredRow


class Base(NamedTuple):
    """The database between two transactions.

    Attributes:
        seen: (walk, id, gone).
        fence: of the newest lease.
        held: whether the newest lease was not given back.
        expired: whether it has run out.
    """

    rows: tuple[tuple[str, Stored], ...] = ()
    seen: frozenset[tuple[str, str, bool]] = frozenset()
    state: SyncState = SyncState()
    fence: int = 0
    held: bool = False
    expired: bool = False


class Violation(Exception):
    """A property does not hold."""


def save_rows(base: Base, save: Save) -> Base:
    rows = dict(base.rows)
    for new, (referral_id, stored) in save.rows:
        before = rows.get(referral_id)
        if before is None and not new:
            continue
        if before is not None:
            newer = stored.row.updated_ticks or 0
            if new and (before.row.updated_ticks or 0) > newer:
                continue
            if stored.version < before.version:
                raise Violation(f"{referral_id} became older")
            stored = Stored(stored.version, replace(stored.row, missing=before.row.missing))
        rows[referral_id] = stored
    for referral_id in save.reappeared:
        if referral_id in rows:
            one = rows[referral_id]
            rows[referral_id] = Stored(one.version, replace(one.row, missing=False))
    return base._replace(rows=tuple(sorted(rows.items())))


def note_seen(base: Base, walks: Collection[str], ids: Collection[str]) -> Base:
    new = {(walk, one, False) for walk in walks for one in ids}
    gone = {(walk, one, True) for walk, one, _ in new}
    return base._replace(seen=(base.seen - gone) | new)


# What a run asks for


@dataclass(frozen=True, slots=True)
class Fetch:
    """A call to Partner Center: the list at a place, or one referral by id."""

    order: str = ""
    place: int = 0
    by_id: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A call that only reads the database."""

    what: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Save:
    """A transaction of the lease's holder.

    Attributes:
        rows: (whether planned as new, (id, content)).
        note: (walk, ids) to be noted as seen.
    """

    state: SyncState | None = None
    rows: tuple[tuple[bool, tuple[str, Stored]], ...] = ()
    reappeared: frozenset[str] = frozenset()
    walks: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()
    forget: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    mark_missing: bool = False
    gives_back: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The run has ended with this report."""

    report: Report


Call = Fetch | Read | Save | Done
Answer = Any
"""Hashable, or one of the words that stand for an exception."""

LOST, ENDED, REFUSED, NOT_FOUND = "lease lost", "budget ended", "link refused", "404"


class _Stopped(BaseException):
    def __init__(self, call: Call) -> None:
        self.call = call


class _Player:
    """All that a run reaches out to."""

    def __init__(self, respond: Callable[[Call], Answer]) -> None:
        self._respond = respond
        self.requests = self.retries = 0

    def ask(self, call: Call) -> Answer:
        answer = self._respond(call)
        if answer == LOST:
            raise LeaseLost("lost")
        if answer == ENDED:
            raise BudgetEnded
        if answer == REFUSED:
            raise LinkRefused("refused")
        return answer

    # Database

    def within(self, remaining_s: Callable[[], float]) -> _Player:
        """No answer is late in a model."""
        return self

    # Partner Center

    def first_page(self, *, order: str | None, top: int | None, budget: Budget) -> FetchedPage:
        return cast("FetchedPage", self._page(Fetch(order=order or "")))

    def next_page(self, link: str, *, budget: Budget) -> FetchedPage:
        order, _, place = link.partition("@")
        return cast("FetchedPage", self._page(Fetch(order=order, place=int(place))))

    def referral(self, referral_id: str, *, budget: Budget) -> FetchedPage | None:
        return self._page(Fetch(by_id=referral_id))

    def _page(self, fetch: Fetch) -> FetchedPage | None:
        answer = self.ask(fetch)
        if answer == NOT_FOUND:
            return None
        items, link, clock = answer
        return FetchedPage(
            items=list(items), next_link=link, served_at=at(clock), fetched_at=at(clock)
        )

    def close(self) -> None:
        """Nothing is open."""

    # Tokens

    def forget(self) -> None:
        """Nothing is kept."""

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        return Token(access_token="token", account=ACCOUNT)

    def renewed_at(self) -> datetime | None:
        return None

    # The store

    def take_lease(self, report: Report, *, holder: str, ttl_s: float) -> Lease | Held:
        self.ask(Read("take"))
        return Lease(task_id="run", fence=0)

    def load_state(self) -> SyncState:
        state: SyncState = self.ask(Read("state"))
        return state

    def load_tombstones(self) -> Tombstones:
        return Tombstones(key=b"key")

    def load_sign_in(self) -> SignInStatus | None:
        return None

    def save_sign_in(
        self, status: SignInStatus, *, unless_ok_after: datetime | None = None
    ) -> bool:
        return False

    def purge(self, lease: Lease, *, older_than_days: int) -> int:
        return 0

    def stored_rows(self, ids: Collection[str]) -> dict[str, StoredRow]:
        return dict(self.ask(Read("stored", tuple(sorted(ids)))))

    def save_page(
        self,
        lease: Lease,
        plan: PagePlan,
        *,
        state: SyncState,
        report: Report,
        fetched_at: datetime,
        seen_in: Collection[Walk] = (),
    ) -> None:
        rows = [(True, _content(row)) for row in plan.inserts.values()]
        rows += [(False, _content(row)) for row in plan.updates.values()]
        self.ask(
            Save(
                state=_plain(state),
                rows=tuple(rows),
                reappeared=frozenset(plan.reappeared),
                walks=tuple(sorted(seen_in)),
                seen=frozenset(plan.seen),
            )
        )

    def save_state(
        self, lease: Lease, *, state: SyncState, report: Report, forget: Collection[Walk] = ()
    ) -> None:
        self.ask(Save(state=_plain(state), forget=tuple(sorted(forget))))

    def not_read_above(
        self, stop_ticks: int, *, just_seen: Collection[str], among_swept: bool = False
    ) -> int:
        arguments = (stop_ticks, tuple(sorted(just_seen)), among_swept)
        count: int = self.ask(Read("not_read_above", arguments))
        return count

    def unseen(self, *, limit: int) -> Unseen:
        return Unseen(**dict(self.ask(Read("unseen", (limit,)))))

    def note_gone(self, lease: Lease, ids: Collection[str]) -> None:
        self.ask(Save(gone=tuple(ids)))

    def mark_missing(self, lease: Lease, *, state: SyncState, report: Report) -> int:
        marked: int = self.ask(Save(state=_plain(state), mark_missing=True, forget=("sweep",)))
        return marked

    def finish_run(self, lease: Lease, report: Report) -> None:
        self.ask(Save(gives_back=True))


def _content(row: Row) -> tuple[str, Stored]:
    known = StoredRow(
        content_hash=row.content_hash,
        updated_ticks=row.pc_updated_ticks,
        missing=False,
        has_domain=row.domain is not None,
    )
    return row.referral_id, Stored(int(row.name or 0), known)


def _plain(state: SyncState) -> SyncState:
    """The state without the name of the run that began its sweep."""
    if state.sweep is None:
        return state
    return replace(state, sweep=replace(state.sweep, task_id="run"))


class _AtOnce(Executor):
    """Fetches ahead at once: pages are always older than the save of those before them."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)
        return future


def call_after(answers: tuple[Answer, ...], mode: Mode, overlap_s: int) -> Call:
    """What a run asks for once it has got these answers."""
    given = iter(answers)

    def respond(call: Call) -> Answer:
        for one in given:
            return one
        raise _Stopped(call)

    try:
        return Done(play(respond, mode, overlap_s))
    except _Stopped as stopped:
        return stopped.call


def play(respond: Callable[[Call], Answer], mode: Mode, overlap_s: int) -> Report:
    """One run against these responses."""
    player = _Player(respond)
    sync = Sync(
        store=cast("Store", player),
        tokens=player,
        partner_center=lambda: cast("PartnerCenter", player),
        rules=Rules(admission=ADMISSION, own_domains=frozenset()),
        filters="filters",
        made_with="rules",
        tenant_id="tenant",
        options=Options(
            overlap=timedelta(seconds=overlap_s),
            full_sync_every=timedelta(days=1),
            page_size=None,
            full_time_s=1e6,
            retention_days=400,
        ),
        lease_s=LEASE_S,
        thread=lambda _: _AtOnce(),
        holder="model",
        now=lambda: BEGINNING + timedelta(days=1),
    )
    return sync.run(RunRequest(trigger="command", mode=mode), Budget(1e6))


# Runs as far as they have come


@dataclass(eq=False, slots=True)
class Node:
    """A run that has got certain answers; the same answers lead to the same node."""

    answers: tuple[Answer, ...]
    mode: Mode
    call: Call
    next: dict[Answer, Node] = field(default_factory=dict)


@dataclass(slots=True)
class Runs:
    """All runs met so far."""

    overlap_s: int
    roots: dict[Mode, Node] = field(default_factory=dict)
    count: int = 0

    def root(self, mode: Mode) -> Node:
        if mode not in self.roots:
            # Whichever lease it gets, the run does the same; the explorer knows its number.
            self.roots[mode] = self._make(("lease",), mode)
        return self.roots[mode]

    def after(self, node: Node, answer: Answer) -> Node:
        found = node.next.get(answer)
        if found is None:
            found = node.next[answer] = self._make((*node.answers, answer), node.mode)
        return found

    def _make(self, answers: tuple[Answer, ...], mode: Mode) -> Node:
        self.count += 1
        return Node(answers, mode, call_after(answers, mode, self.overlap_s))


# Answering


def answer(
    call: Call, world: World, base: Base, fence: int, *, fenced: bool
) -> tuple[Answer, Base]:
    """What the world and the database say, and what becomes of the database.

    Args:
        fence: the run's own; it is asked for with every transaction, if `fenced`.
    """
    if isinstance(call, Fetch):
        return _served(call, world), base
    if isinstance(call, Read):
        return _read(call, base), base
    if not isinstance(call, Save):
        raise TypeError(call)
    if fenced and not (base.held and base.fence == fence):
        return LOST, base
    return _saved(call, base)


def _served(fetch: Fetch, world: World) -> Answer:
    if fetch.by_id is not None:
        number = int(fetch.by_id[1:])
        one = world.referrals[number]
        if not one.present:
            return NOT_FOUND
        return (referral_json(number, one),), None, world.clock
    order = listed(world, fetch.order)
    items = tuple(
        referral_json(number, world.referrals[number])
        for number in order[fetch.place : fetch.place + 1]
    )
    more = fetch.place + 1 < len(order)
    return items, f"{fetch.order}@{fetch.place + 1}" if more else None, world.clock


def _read(read: Read, base: Base) -> Answer:
    if read.what == "take":
        return "lease"
    if read.what == "state":
        return base.state
    if read.what == "stored":
        return tuple((one, stored.row) for one, stored in base.rows if one in read.arguments)
    present = [(one, stored.row) for one, stored in base.rows if not stored.row.missing]
    if read.what == "unseen":
        swept = {one: gone for walk, one, gone in base.seen if walk == "sweep"}
        open_ = [one for one, _ in present if one not in swept]
        return (
            ("present", len(present)),
            ("open", len(open_)),
            ("gone", sum(swept.get(one, False) for one, _ in present)),
            ("next_ids", tuple(open_[: read.arguments[0]])),
        )
    stop_ticks, just_seen, among_swept = read.arguments
    met = {one for walk, one, _ in base.seen if walk == "head"} | set(just_seen)
    swept_ids = {one for walk, one, gone in base.seen if walk == "sweep" and not gone}
    return sum(
        (row.updated_ticks or 0) >= stop_ticks
        and one not in met
        and (not among_swept or one in swept_ids)
        for one, row in present
    )


def _saved(save: Save, base: Base) -> tuple[Answer, Base]:
    marked = 0
    base = save_rows(base, save)
    if save.walks:
        base = note_seen(base, save.walks, save.seen)
    known = {one for walk, one, _ in base.seen if walk == "sweep"}
    new = frozenset(("sweep", one, True) for one in save.gone if one not in known)
    base = base._replace(seen=base.seen | new)
    if save.mark_missing:
        gone = {one for walk, one, is_gone in base.seen if walk == "sweep" and is_gone}
        rows = []
        for one, stored in base.rows:
            if one in gone and not stored.row.missing:
                marked += 1
                stored = Stored(stored.version, replace(stored.row, missing=True))
            rows.append((one, stored))
        base = base._replace(rows=tuple(rows))
    if save.forget:
        base = base._replace(seen=frozenset(one for one in base.seen if one[0] not in save.forget))
    if save.state is not None:
        base = base._replace(state=save.state)
    return marked, base._replace(expired=False, held=not save.gives_back)


# Exploring


class InFlight(NamedTuple):
    """A run under way.

    Attributes:
        since: the world when its head asked for its first page.
    """

    node: Node
    fence: int
    since: World | None


class Budgets(NamedTuple):
    """How often something may still happen."""

    changes: int
    runs: int
    kills: int = 0
    expiries: int = 0
    cuts: int = 0
    refusals: int = 0


class Situation(NamedTuple):
    """Everything at one moment."""

    world: World
    base: Base
    runs: tuple[InFlight, ...]
    left: Budgets


@dataclass(slots=True)
class Explorer:
    """Visits every situation that can arise, and checks the properties in each.

    Attributes:
        removals: whether referrals may go and return; only without that does each completed
            run have to bring everything by itself.
        fenced: whether transactions check their lease, as they must.
    """

    removals: bool = True
    fenced: bool = True
    overlap_s: int = 0
    modes: tuple[Mode, ...] = ("incremental", "full")
    situations: int = 0
    _settled: set[tuple[World, Base]] = field(default_factory=set)
    _runs: Runs = field(init=False)

    def __post_init__(self) -> None:
        self._runs = Runs(self.overlap_s)

    @property
    def settled(self) -> int:
        """From how many worlds and databases a quiet sync was tried."""
        return len(self._settled)

    def explore(self, world: World, base: Base, left: Budgets) -> None:
        """Visit everything that can come of this.

        Raises:
            Violation: with the steps that lead to it.
        """
        start = Situation(world, base, (), left)
        came_from: dict[Situation, tuple[Situation, str] | None] = {start: None}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            step = "the world falls silent"
            try:
                self._check_that_it_settles(here.world, here.base)
                for step, there in self._steps(here):
                    if there not in came_from:
                        came_from[there] = (here, step)
                        waiting.append(there)
            except Violation as violation:
                raise Violation(f"{violation} after: {_story(came_from, here, step)}") from None
        self.situations += len(came_from)

    def quiet(self, world: World, base: Base, mode: Mode) -> tuple[Base, Report]:
        """One run from beginning to end in which nothing else happens."""
        now = base._replace(fence=base.fence + 1, held=True, expired=False)

        def respond(call: Call) -> Answer:
            nonlocal now
            said, now = answer(call, world, now, now.fence, fenced=True)
            return said

        report = play(respond, mode, self.overlap_s)
        return now, report

    def _steps(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        world, base, runs, left = here
        if left.changes:
            fewer = left._replace(changes=left.changes - 1)
            for what, changed in changes_of(world):
                if self.removals or what.split()[0] not in ("remove", "return"):
                    yield what, here._replace(world=changed, left=fewer)
        if left.runs and len(runs) < 2 and (not base.held or base.expired):
            for mode in self.modes:
                yield self._begin(here, mode)
        if left.expiries and base.held and not base.expired:
            expired = base._replace(expired=True)
            fewer = left._replace(expiries=left.expiries - 1)
            yield "the lease runs out", here._replace(base=expired, left=fewer)
        for place, run in enumerate(runs):
            others = (*runs[:place], *runs[place + 1 :])
            if left.kills:
                fewer = left._replace(kills=left.kills - 1, expiries=max(1, left.expiries))
                yield f"run {run.fence} is killed", here._replace(runs=others, left=fewer)
            yield from self._go_on(here, run, others)

    def _begin(self, here: Situation, mode: Mode) -> tuple[str, Situation]:
        base = here.base._replace(fence=here.base.fence + 1, held=True, expired=False)
        node = self._runs.after(self._runs.root(mode), base.state)
        begun = InFlight(node, base.fence, None)
        left = here.left._replace(runs=here.left.runs - 1)
        return f"{mode} run {base.fence} begins", Situation(
            here.world, base, _sorted((*here.runs, begun)), left
        )

    def _go_on(
        self, here: Situation, run: InFlight, others: tuple[InFlight, ...]
    ) -> Iterator[tuple[str, Situation]]:
        call, left = run.node.call, here.left

        def then(said: Answer, base: Base, left: Budgets) -> Situation:
            since = run.since
            if since is None and isinstance(call, Fetch):
                since = here.world
            node = self._runs.after(run.node, said)
            if isinstance(node.call, Done):
                self._check_success(node.call.report, since, base)
                return Situation(here.world, base, others, left)
            moved = InFlight(node, run.fence, since)
            return Situation(here.world, base, _sorted((*others, moved)), left)

        said, base = answer(call, here.world, here.base, run.fence, fenced=self.fenced)
        yield f"run {run.fence}: {_name(call)}", then(said, base, left)
        if isinstance(call, Fetch):
            if left.cuts:
                fewer = left._replace(cuts=left.cuts - 1)
                yield f"run {run.fence}: time is up", then(ENDED, here.base, fewer)
            if left.refusals and call.place:
                fewer = left._replace(refusals=left.refusals - 1)
                yield f"run {run.fence}: link refused", then(REFUSED, here.base, fewer)

    def _check_success(self, report: Report, since: World | None, base: Base) -> None:
        """A run that calls itself a success has stored all that was there when it began."""
        honest = (None, "lease_lost", "walk_cannot_finish")
        if report.failure is not None and report.failure.code not in honest:
            raise Violation(f"a run failed: {report.failure.message}")
        if report.head_completed_at is None or since is None or self.removals:
            return
        if report.state is RunState.PARTIAL and report.sweep_completed_at is not None:
            # What it calls its success is that sweep's beginning; the one that follows was cut.
            return
        if base.state.last_sweep_at is not None:
            _check_stored(since, base, "a completed run")

    def _check_that_it_settles(self, world: World, base: Base) -> None:
        key = (world, base._replace(fence=0, expired=False))
        if key in self._settled:
            return
        self._settled.add(key)
        if base.state.watermark_ticks is not None and base.state.watermark_ticks > to_ticks(
            at(world.clock)
        ):
            raise Violation("the watermark lies in the future")
        quiet = base._replace(fence=0)
        if not self.removals and base.state.last_sweep_at is not None:
            after, report = self.quiet(world, quiet, "incremental")
            if report.state != RunState.COMPLETED:
                raise Violation(f"a quiet run ended as {report.state}: {report.failure}")
            _check_stored(world, after, "a quiet run")
        after = quiet
        for _ in range(4):
            goes_on = any(walk == "sweep" for walk, _, _ in after.seen)
            after, report = self.quiet(world, after, "full")
            completed = report.state == RunState.COMPLETED and report.sweep_completed_at is not None
            if completed and not goes_on:
                break
        else:
            raise Violation(f"no quiet full run completed: {report.failure}")
        if after.held:
            raise Violation("the lease is still held")
        _check_stored(world, after, "a quiet full run")
        for one, stored in after.rows:
            if stored.row.missing == world.referrals[int(one[1:])].present:
                raise Violation(
                    f"{one} is wrongly {'marked' if stored.row.missing else 'unmarked'}"
                )


def _check_stored(world: World, base: Base, who: str) -> None:
    rows = dict(base.rows)
    for number, one in enumerate(world.referrals):
        stored = rows.get(f"r{number}")
        if not one.present or (one.closed and stored is None):
            continue
        if stored is None:
            raise Violation(f"{who} has lost r{number}")
        if stored.version < one.version:
            raise Violation(f"{who} has left r{number} at version {stored.version}")


def _sorted(runs: tuple[InFlight, ...]) -> tuple[InFlight, ...]:
    return tuple(sorted(runs, key=lambda run: run.fence))


def _name(call: Call) -> str:
    if isinstance(call, Fetch):
        return f"fetches {call.by_id or f'{call.order} at {call.place}'}"
    if isinstance(call, Read):
        return f"reads {call.what}"
    return "gives the lease back" if isinstance(call, Save) and call.gives_back else "saves"


def _story(
    came_from: dict[Situation, tuple[Situation, str] | None], here: Situation, last: str
) -> str:
    steps = [last]
    while (origin := came_from[here]) is not None:
        here, step = origin
        steps.append(step)
    return "; ".join(reversed(steps))
