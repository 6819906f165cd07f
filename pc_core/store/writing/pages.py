"""Writes a page's plan to the tables, in one transaction and a few round trips."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, LiteralString

from pc_core.errors import RowRefused
from pc_core.referral.referral import Malformed
from pc_core.referral.row import COLUMNS, Row
from pc_core.store.batch import Batch
from pc_core.store.faults import is_data_error
from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.store.writing import erasure, runs, state
from pc_core.store.writing import lease as leases
from pc_core.store.writing.columns import COLUMN_LISTS
from pc_core.store.writing.json_text import ids_to_json_text, storable, to_json_text
from pc_core.sync.plan import PagePlan, StoredRow
from pc_core.sync.ports import Lease, Walk
from pc_core.sync.report import Report
from pc_core.sync.state import SyncState

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.adapt import Dumper

_SQL = load_statements("referrals", **COLUMN_LISTS)
_QUARANTINE = load_statements("quarantine")
_SEEN = load_statements("seen")
_LIMITS = load_statements("limits")

_COPY_NEW: Final = (
    f"COPY partner_center_referrals ({COLUMN_LISTS['columns']}, first_seen_at) FROM STDIN"
)
_COPY_INCOMING: Final = f"COPY partner_center_incoming ({COLUMN_LISTS['columns']}) FROM STDIN"

_ALL: Final = attrgetter(*COLUMNS)
_HASH_PLACE: Final = COLUMNS.index("content_hash")


def stored_rows(connect: Connect, ids: Collection[str]) -> dict[str, StoredRow]:
    """See `Store.stored_rows`."""
    if not ids:
        return {}
    with connect() as connection:
        found = connection.execute(_SQL["stored"], {"ids": ids_to_json_text(ids)}).fetchall()
    return {
        row[0]: StoredRow(
            content_hash=row[1], updated_ticks=row[2], missing=row[3], has_domain=row[4]
        )
        for row in found
    }


def rows_after(connect: Connect, after: str, *, limit: int) -> list[tuple[str, bytes]]:
    """See `Store.rows_after`."""
    with connect() as connection:
        return connection.execute(_SQL["after"], {"after": after, "limit": limit}).fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWrite:
    """The content of one transaction.

    Attributes:
        seen_in: walks that note the plan's ids as seen.
        close_understood: whether what the plan understood closes open quarantine entries.
        settled, removed, reasons: for a replay; see `Store.settle_quarantine`.
    """

    plan: PagePlan
    state: SyncState
    report: Report
    fetched_at: datetime
    seen_in: Collection[Walk] = ()
    close_understood: bool = True
    settled: Sequence[tuple[int, str]] = ()
    removed: Collection[int] = ()
    reasons: Sequence[tuple[int, str, str | None, str]] = ()


def write(connect: Connect, lease: Lease, page: PageWrite) -> None:
    """Write a page in one transaction; an error means that nothing of it was written.

    Raises:
        LeaseLost: the lease is gone.
        RowRefused: the database refuses the value of one row.
    """
    with connect() as connection:
        try:
            _write(connection, lease, page, some_stored=False)
        except Exception as error:
            connection.rollback()
            if not is_data_error(error):
                raise
        else:
            return
        # Two pages may hold the same new referral, the second one planned before the first was
        # stored: then the row to insert exists already. Otherwise the value of one row is refused.
        try:
            _write(connection, lease, page, some_stored=True)
        except Exception as error:
            connection.rollback()
            if not is_data_error(error):
                raise
            refused_id = _find_refused_row(connection, page)
            if refused_id is None:
                raise
            raise RowRefused(
                f"The database refused the content of referral {refused_id} although it had passed "
                f"every check ({type(error).__name__}). Nothing of its page was written yet; it "
                "goes to quarantine and the rest of the page is stored.",
                referral_id=refused_id,
            ) from None


def _write(
    connection: Connection[Any], lease: Lease, page: PageWrite, *, some_stored: bool
) -> None:
    plan = page.plan
    incoming = [*plan.updates.values(), *(plan.inserts.values() if some_stored else ())]
    batch = Batch(connection)
    batch.begin()
    state.add_state(batch, lease, page.state)
    if incoming:
        batch.add(_SQL["incoming"])
    leases.check(lease, batch.send()[0])
    if incoming:
        _copy(connection, _COPY_INCOMING, map(_values, incoming))
    if plan.inserts and not some_stored:
        _copy(
            connection,
            _COPY_NEW,
            ([*_values(row), page.fetched_at] for row in plan.inserts.values()),
        )
    task = {"task_id": page.report.task_id}
    if some_stored:
        batch.add(_SQL["drop_older"])
    if incoming:
        batch.add(_SQL["note_changes"], task)
        batch.add(_SQL["update"])
    if some_stored:
        batch.add(_SQL["insert"], {"fetched_at": page.fetched_at})
    if plan.reappeared:
        batch.add(_SQL["reappear"], task | {"ids": ids_to_json_text(plan.reappeared)})
    _add_quarantine(batch, page)
    if page.seen_in and plan.seen:
        batch.add(
            _SEEN["note"],
            {"walks": to_json_text(list(page.seen_in)), "ids": ids_to_json_text(plan.seen)},
        )
    if plan.erased:
        erasure.add_removal(batch, plan.erased)
        erasure.add_burial(batch, [("referral_id", each) for each in plan.erased.values()])
    runs.add_report(batch, page.report)
    batch.commit()
    batch.send()


def _add_quarantine(batch: Batch, page: PageWrite) -> None:
    plan = page.plan
    if plan.quarantine:
        entries = to_json_text([_entry(item) for item in plan.quarantine])
        batch.add(
            _QUARANTINE["set_aside"],
            {"entries": entries, "task_id": page.report.task_id, "fetched_at": page.fetched_at},
        )
    if page.close_understood and plan.understood:
        understood = [
            {"referral_id": storable(each), "ticks": ticks}
            for each, ticks in plan.understood.items()
        ]
        batch.add(_QUARANTINE["close"], {"understood": to_json_text(understood)})
    if page.settled:
        settled = [{"entry_id": number, "state": end} for number, end in page.settled]
        batch.add(_QUARANTINE["settle"], {"settled": to_json_text(settled)})
    if page.removed:
        batch.add(_QUARANTINE["remove"], {"entry_ids": list(page.removed)})
    if page.reasons:
        reasons = [
            {"entry_id": number, "reason": reason, "field": field, "detail": detail}
            for number, reason, field, detail in page.reasons
        ]
        batch.add(_QUARANTINE["give_reasons"], {"reasons": to_json_text(reasons)})


def _entry(item: Malformed) -> dict[str, Any]:
    # The quarantine takes what no other table can hold, so its own texts must never be refused.
    return {
        "referral_id": storable(item.referral_id),
        "hash": item.content_hash.hex(),
        "reason": item.reason,
        "field": storable(item.field),
        "detail": storable(item.detail),
        "raw_text": storable(item.raw_text),
        "updated_ticks": item.updated_ticks,
    }


def _values(row: Row) -> list[Any]:
    values = list(_ALL(row))
    values[_HASH_PLACE] = "\\x" + row.content_hash.hex()
    return values


def _copy(
    connection: Connection[Any], statement: LiteralString, rows: Iterable[Sequence[Any]]
) -> None:
    with connection.cursor() as cursor:
        cursor.adapters.register_dumper(bytes, _json_dumper())
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)


@cache
def _json_dumper() -> type[Dumper]:
    from psycopg.adapt import Dumper

    class JsonDumper(Dumper):
        """Sends bytes that are JSON in UTF-8 as they are."""

        def dump(self, obj: bytes) -> bytes:
            return obj

    return JsonDumper


def _find_refused_row(connection: Connection[Any], page: PageWrite) -> str | None:
    """A row that the database refuses, found without writing anything; None: it refuses none."""
    plan = page.plan
    rows = [*plan.inserts.values(), *plan.updates.values()]
    connection.execute(_LIMITS["begin_writing"])
    try:
        ids = ids_to_json_text(row.referral_id for row in rows)
        found = connection.execute(_SQL["stored"], {"ids": ids}).fetchall()
        # Rows that are stored already are tried with another id, so that no duplicate is reported.
        aliases = {stored[0]: f"{stored[0]}?" for stored in found}
        return _search(rows, lambda some: _are_refused(connection, some, aliases))
    finally:
        connection.rollback()


def _search(rows: Sequence[Row], refused: Callable[[Sequence[Row]], bool]) -> str | None:
    if not rows or not refused(rows):
        return None
    while len(rows) > 1:
        middle = len(rows) // 2
        rows = rows[:middle] if refused(rows[:middle]) else rows[middle:]
    return rows[0].referral_id


def _are_refused(
    connection: Connection[Any], rows: Sequence[Row], aliases: Mapping[str, str]
) -> bool:
    now = datetime.now(UTC)
    tried = (
        (aliases.get(row.referral_id, row.referral_id), *_values(row)[1:], now) for row in rows
    )
    try:
        with connection.transaction(force_rollback=True):
            _copy(connection, _COPY_NEW, tried)
    except Exception as error:
        if not is_data_error(error):
            raise
        return True
    return False
