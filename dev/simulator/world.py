"""The simulated world: the referrals that Partner Center holds, and how they change.

Everything here may be called from any thread. Rows that nobody touched are rendered from
their pattern when they are asked for; a changed row keeps its own JSON.
"""

from __future__ import annotations

import gc
import json
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Literal
from zlib import crc32

from dev.simulator.instants import (
    TICKS_PER_S,
    from_wire,
    now_ticks,
    to_datetime,
    to_ticks,
    to_wire,
)
from dev.simulator.referrals import (
    PATTERN_COUNT,
    Pattern,
    Wire,
    invent_guid,
    make_etag,
    make_pattern,
    render,
    serialize,
    turn_back,
)

type OrderField = Literal["createdDateTime", "updatedDateTime"]
type Key = tuple[int, str]


@dataclass(slots=True, eq=False)
class Row:
    """One referral: its place in the two orders, and its JSON or the pattern for it."""

    id: str
    created: int
    updated: int
    number: int = -1
    pattern: Pattern | None = None
    fragment: bytes | None = None
    visible: bool = True

    def created_key(self) -> Key:
        """Place in the order by creation; the id decides between equal instants."""
        return (self.created, self.id)

    def updated_key(self) -> Key:
        """Place in the order by change; the id decides between equal instants."""
        return (self.updated, self.id)


def _created_key(row: Row) -> Key:
    return row.created_key()


def _updated_key(row: Row) -> Key:
    return row.updated_key()


@dataclass(slots=True)
class _Order:
    """Visible rows, oldest first."""

    key: Callable[[Row], Key]
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        insort(self.rows, row, key=self.key)

    def discard(self, row: Row) -> None:
        at = bisect_left(self.rows, self.key(row), key=self.key)
        if at < len(self.rows) and self.rows[at] is row:
            del self.rows[at]


@dataclass(slots=True)
class _Scheduled:
    answers_left: int
    action: Callable[[], object]


class UnknownReferral(LookupError):
    """The world has no present referral with this id."""


class NotAnObject(ValueError):
    """An entry that was added raw is no JSON object, or an object has no usable id."""


class World:
    """Referrals, who sees them, and the clock that dates their changes.

    Args:
        referrals: how many are invented to begin with.
        seed: the same seed and `now` give the same referrals.
        now: aware; referrals are spread over the year before it, and the world's clock
            runs on from it. Default: this moment. See the `now` attribute for a clock
            that stands still.
    """

    def __init__(self, referrals: int = 0, *, seed: int = 1, now: datetime | None = None) -> None:
        self.lock = threading.RLock()
        self._rows: dict[str, Row] = {}
        self._removed: dict[str, Row] = {}
        self._scheduled: list[_Scheduled] = []
        self._orders: dict[OrderField, _Order] = {
            "createdDateTime": _Order(_created_key),
            "updatedDateTime": _Order(_updated_key),
        }
        self.reset(referrals, seed=seed, now=now)

    def reset(self, referrals: int, *, seed: int = 1, now: datetime | None = None) -> None:
        """Begin anew, as the constructor does; everything is visible again."""
        with self.lock:
            self.seed = seed
            # Whole microseconds, so that `now` read back makes the same world again.
            self.generated_at = (to_ticks(now) if now is not None else now_ticks()) // 10 * 10
            self.generated = referrals
            self._offset = 0 if now is None else self.generated_at - now_ticks()
            self._frozen: int | None = None
            self._next_number = referrals
            self._visibility: Callable[[Row], bool] = _sees_all
            self._changes = Random(f"changes:{seed}")
            self._removed.clear()
            self._scheduled.clear()
            self._generate(referrals)

    def _generate(self, count: int) -> None:
        patterns = [
            make_pattern(self.seed, number, self.generated_at)
            for number in range(min(count, PATTERN_COUNT))
        ]
        self._rows.clear()
        # A million new objects would otherwise be scanned again and again.
        collecting = gc.isenabled()
        gc.disable()
        try:
            for number in range(count):
                pattern = patterns[number % PATTERN_COUNT]
                created, updated = turn_back(pattern, number // PATTERN_COUNT)
                row = Row(
                    id=invent_guid(self.seed, "referral", number),
                    created=created,
                    updated=updated,
                    number=number,
                    pattern=pattern,
                )
                self._rows[row.id] = row
            self._sort()
        finally:
            if collecting:
                gc.enable()

    def _sort(self) -> None:
        visible = [row for row in self._rows.values() if row.visible]
        for order in self._orders.values():
            order.rows = sorted(visible, key=order.key)

    # Clock

    @property
    def now(self) -> datetime:
        """The world's clock, aware UTC: dates of changes and the Date header follow it.

        Setting it makes it stand still there; setting None lets it follow the real clock.
        """
        return to_datetime(self._ticks())

    @now.setter
    def now(self, at: datetime | None) -> None:
        with self.lock:
            self._frozen = None if at is None else to_ticks(at)
            self._offset = 0

    def advance(self, seconds: float) -> datetime:
        """Move the clock on, whether it stands still or runs; returns the new time."""
        with self.lock:
            ticks = int(seconds * TICKS_PER_S)
            if self._frozen is None:
                self._offset += ticks
            else:
                self._frozen += ticks
            return self.now

    def _ticks(self) -> int:
        return now_ticks() + self._offset if self._frozen is None else self._frozen

    # Reading

    def __len__(self) -> int:
        """How many referrals the signed-in user sees."""
        with self.lock:
            return len(self._orders["createdDateTime"].rows)

    def ids(self) -> list[str]:
        """Ids of the visible referrals, oldest creation first."""
        with self.lock:
            return [row.id for row in self._orders["createdDateTime"].rows]

    def truth(self) -> list[Wire]:
        """The visible referrals as they are served, oldest creation first.

        Raw entries that are not JSON objects are left out.
        """
        with self.lock:
            fragments = [self.fragment(row) for row in self._orders["createdDateTime"].rows]
        values = (_read_json(fragment) for fragment in fragments)
        return [value for value in values if isinstance(value, dict)]

    def get(self, referral_id: str) -> Wire:
        """One present referral, visible or not.

        Raises:
            UnknownReferral: if it does not exist or was removed.
            NotAnObject: if it was added raw and is not a JSON object.
        """
        with self.lock:
            value = _read_json(self.fragment(self._row(referral_id)))
        if not isinstance(value, dict):
            raise NotAnObject(referral_id)
        return value

    def fragment(self, row: Row) -> bytes:
        """The row's JSON."""
        if row.fragment is not None or row.pattern is None:
            return row.fragment or b""
        return render(
            row.pattern, seed=self.seed, number=row.number, created=row.created, updated=row.updated
        )

    def render_all(self) -> None:
        """Render every row now and keep it, so that serving costs no more than copying."""
        with self.lock:
            for row in self._rows.values():
                row.fragment = self.fragment(row)

    def find(self, referral_id: str) -> Row | None:
        """The visible row with this id, in any case of its letters."""
        with self.lock:
            row = self._rows.get(referral_id) or self._rows.get(referral_id.lower())
            return row if row is not None and row.visible else None

    def slice(
        self,
        order: OrderField,
        *,
        descending: bool,
        offset: int,
        size: int,
        after: Key | None = None,
    ) -> tuple[list[Row], Key | None]:
        """A page of visible rows, and the key of its last row.

        Args:
            offset: rows to leave out at the beginning, as the list is now.
            after: with a key, `offset` is ignored and rows strictly behind it are taken.
        """
        with self.lock:
            chosen = self._orders[order]
            rows = chosen.rows
            count = len(rows)
            if descending:
                end = count - offset
                if after is not None:
                    end = bisect_left(rows, after, key=chosen.key)
                page = rows[max(0, end - size) : max(0, end)][::-1]
            else:
                start = offset
                if after is not None:
                    start = bisect_right(rows, after, key=chosen.key)
                page = rows[start : start + size]
            return page, chosen.key(page[-1]) if page else after

    # Changing

    def add(self, referral: Wire | None = None, /, **fields: Any) -> Wire:
        """A referral comes in.

        Args:
            referral: served exactly so; it needs an `id`. With None one is invented, new
                and created now.
            fields: laid over the invented or given one; mappings are merged.

        Returns:
            the referral as it is served.
        """
        with self.lock:
            if referral is None:
                number = self._next_number
                self._next_number += 1
                ticks = self._ticks()
                pattern = make_pattern(self.seed, number, ticks, brand_new=True)
                fragment = render(
                    pattern,
                    seed=self.seed,
                    number=number,
                    created=pattern.created,
                    updated=pattern.updated,
                )
                referral = json.loads(fragment)
            merged = _merge(referral, fields)
            referral_id = merged.get("id")
            if not isinstance(referral_id, str):
                raise NotAnObject("a referral needs a string as its id; use add_raw for others")
            self._put(referral_id, serialize(merged), merged)
            return merged

    def add_raw(
        self,
        referral_id: str,
        raw: bytes,
        *,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """Put `raw` between the other referrals, byte by byte, whatever it is.

        Args:
            referral_id: what the other calls know it by; need not occur in `raw`.
            created_at, updated_at: aware, its place in the orders; now by default.
        """
        with self.lock:
            now = self._ticks()
            self._place(
                Row(
                    id=referral_id,
                    created=now if created_at is None else to_ticks(created_at),
                    updated=now if updated_at is None else to_ticks(updated_at),
                    fragment=raw,
                )
            )

    def change(
        self,
        referral_id: str,
        edit: Callable[[Wire], None] | None = None,
        /,
        *,
        silent: bool = False,
        keep_etag: bool = False,
        **fields: Any,
    ) -> Wire:
        """Change a referral, and with it its eTag and updatedDateTime unless asked not to.

        Args:
            edit: changes the dict in place.
            silent: leave updatedDateTime as it is.
            keep_etag: leave the eTag as it is.
            fields: top-level fields; mappings are merged into what is there, anything else
                replaces it. An `updatedDateTime` here wins over the clock.

        Returns:
            the referral as it is served now.

        Raises:
            UnknownReferral: if it does not exist or was removed.
        """
        with self.lock:
            referral = _merge(self.get(referral_id), fields)
            now = self._ticks()
            if not silent and "updatedDateTime" not in fields:
                referral["updatedDateTime"] = to_wire(now)
            if not keep_etag and "eTag" not in fields:
                start = f"{self._changes.getrandbits(32):08x}-0000-0800-0000"
                referral["eTag"] = make_etag(start, now)
            if edit is not None:
                edit(referral)
            self._put(referral_id, serialize(referral), referral)
            return referral

    def change_some(self, how_many: float, *, silent: bool = False) -> list[str]:
        """Change that many visible referrals, or that share of them if below 1.

        Returns:
            their ids, in the order of the changes.
        """
        with self.lock:
            ids = self.ids()
            count = round(len(ids) * how_many) if how_many < 1 else int(how_many)
            chosen = self._changes.sample(ids, min(count, len(ids)))
            for referral_id in chosen:
                note = f"Görüşme notu {self._changes.randrange(10**6):06d}"
                self.change(referral_id, silent=silent, details={"notes": note})
            return chosen

    def close(self, referral_id: str, substatus: str = "Won") -> Wire:
        """Close a referral as won, lost, declined or expired."""
        with self.lock:
            return self.change(
                referral_id,
                status="Closed",
                substatus=substatus,
                closedDateTime=to_wire(self._ticks()),
            )

    def remove(self, referral_id: str) -> None:
        """Take a referral away: it is in no list any more and 404 by id.

        Raises:
            UnknownReferral: if it does not exist or was removed.
        """
        with self.lock:
            row = self._row(referral_id)
            self._unplace(row)
            self._removed[referral_id] = row

    def restore(self, referral_id: str) -> None:
        """Bring a removed referral back as it was.

        Raises:
            UnknownReferral: if it was not removed.
        """
        with self.lock:
            row = self._removed.pop(referral_id, None)
            if row is None:
                raise UnknownReferral(referral_id)
            self._place(row)

    def set_visible(self, which: float | Collection[str] | Callable[[Wire], bool]) -> int:
        """Decide what the signed-in user sees from now on, new referrals included.

        Args:
            which: a share from 0 to 1 (always the same rows for the same share), the ids,
                or a predicate on the wire form.

        Returns:
            how many are visible.
        """
        with self.lock:
            self._visibility = self._make_visibility(which)
            for row in self._rows.values():
                row.visible = self._visibility(row)
            self._sort()
            return len(self)

    def _make_visibility(
        self, which: float | Collection[str] | Callable[[Wire], bool]
    ) -> Callable[[Row], bool]:
        if isinstance(which, int | float):
            if which >= 1:
                return _sees_all
            share = Random(f"visible:{self.seed}").getrandbits(32)
            return lambda row: ((hash_of(row.id) ^ share) & 0xFFFFFFFF) < which * 2**32
        if callable(which):
            predicate = which
            return lambda row: predicate(json.loads(self.fragment(row)))
        ids = frozenset(which)
        return lambda row: row.id in ids

    def after_request(self, n: int, action: Callable[[], object]) -> None:
        """Do `action` once, right after the n-th list answer from now has been made.

        So rows can change in the middle of a walk. 1 is the next answer.
        """
        with self.lock:
            self._scheduled.append(_Scheduled(n, action))

    def note_list_answer(self) -> None:
        """Count a list answer, and run the actions that wait for it."""
        with self.lock:
            due = []
            for scheduled in self._scheduled:
                scheduled.answers_left -= 1
                if scheduled.answers_left <= 0:
                    due.append(scheduled)
            self._scheduled = [s for s in self._scheduled if s.answers_left > 0]
            for scheduled in due:
                scheduled.action()

    # Keeping over a restart

    def export(self) -> dict[str, Any]:
        """This world as JSON values: how it was generated, and what has changed since.

        Entries added raw, the visibility and planned changes are not kept.
        """
        with self.lock:
            own = [row for row in self._rows.values() if row.pattern is None]
            beginning = {
                invent_guid(self.seed, "referral", number) for number in range(self.generated)
            }
            return {
                "referrals": self.generated,
                "seed": self.seed,
                "generated_at": to_wire(self.generated_at),
                "next_number": self._next_number,
                "changed": [wire for row in own if (wire := _read_own(row)) is not None],
                "gone": sorted(beginning - self._rows.keys()),
            }

    @classmethod
    def from_export(cls, exported: Mapping[str, Any]) -> World:
        """The world that `export` described."""
        world = cls(
            exported["referrals"],
            seed=exported["seed"],
            now=to_datetime(from_wire(exported["generated_at"])),
        )
        for referral in exported["changed"]:
            world.add(referral)
        for referral_id in exported["gone"]:
            world.remove(referral_id)
        world._next_number = exported["next_number"]
        world.now = None
        return world

    # Places

    def _row(self, referral_id: str) -> Row:
        row = self._rows.get(referral_id)
        if row is None:
            raise UnknownReferral(referral_id)
        return row

    def _put(self, referral_id: str, fragment: bytes, referral: Wire) -> None:
        before = self._rows.get(referral_id)
        now = self._ticks()
        row = Row(
            id=referral_id,
            created=_instant(referral.get("createdDateTime"), before.created if before else now),
            updated=_instant(referral.get("updatedDateTime"), before.updated if before else now),
            fragment=fragment,
        )
        self._place(row)

    def _place(self, row: Row) -> None:
        before = self._rows.get(row.id)
        if before is not None:
            self._unplace(before)
        self._rows[row.id] = row
        row.visible = self._visibility(row)
        if row.visible:
            for order in self._orders.values():
                order.add(row)

    def _unplace(self, row: Row) -> None:
        del self._rows[row.id]
        for order in self._orders.values():
            order.discard(row)


def hash_of(referral_id: str) -> int:
    """32 bits that spread ids evenly, the same in every process."""
    return crc32(referral_id.encode())


def _read_json(fragment: bytes) -> Any:
    try:
        return json.loads(fragment)
    except ValueError:
        return None


def _read_own(row: Row) -> Wire | None:
    value = _read_json(row.fragment or b"")
    return value if isinstance(value, dict) and value.get("id") == row.id else None


def _sees_all(row: Row) -> bool:
    del row
    return True


def _instant(value: object, fallback: int) -> int:
    if not isinstance(value, str):
        return fallback
    try:
        return from_wire(value)
    except ValueError:
        return fallback


def _merge(base: Wire, changes: Mapping[str, Any]) -> Wire:
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        if isinstance(value, Mapping) and isinstance(known, dict):
            merged[key] = _merge(known, value)
        else:
            merged[key] = value
    return merged
