"""The ids that an unfinished head or sweep has seen, and the stored rows that it has not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from pc_core.referral.ticks import from_ticks
from pc_core.store.batch import Batch, read_only
from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.store.writing import lease as leases
from pc_core.store.writing import runs, state
from pc_core.store.writing.json_text import ids_to_json_text, to_json_text
from pc_core.sync.ports import Lease, Unseen, Walk
from pc_core.sync.report import Counts, Report
from pc_core.sync.state import SyncState

_SQL = load_statements("seen")


def save_state(
    connect: Connect,
    lease: Lease,
    *,
    after: SyncState,
    report: Report,
    forget: Collection[Walk],
) -> None:
    """See `Store.save_state`."""
    with connect() as connection:
        batch = Batch(connection)
        batch.begin(patient=bool(forget))
        state.add_state(batch, lease, after)
        _check_or_roll_back(batch, lease)
        if forget:
            batch.add(_SQL["forget"], {"walks": to_json_text(list(forget))})
        runs.add_report(batch, report)
        batch.commit()
        batch.send()


def not_read_above(
    connect: Connect, stop_ticks: int, *, just_seen: Collection[str], among_swept: bool
) -> int:
    """See `Store.not_read_above`."""
    try:
        stop_at = from_ticks(stop_ticks)
    except OverflowError:
        stop_at = datetime.min.replace(tzinfo=UTC)
    values = {
        "stop_at": stop_at,
        "stop_ticks": stop_ticks,
        "just_seen": ids_to_json_text(just_seen),
        "among_swept": among_swept,
    }
    with read_only(connect, patient=True) as connection:
        row = connection.execute(_SQL["not_read_above"], values).fetchone()
    return int(row[0]) if row else 0


def unseen(connect: Connect, *, limit: int) -> Unseen:
    """See `Store.unseen`."""
    with read_only(connect, patient=True) as connection:
        present, open_count, gone = connection.execute(_SQL["unseen"]).fetchall()[0]
        # Without this test, a search for no rows would read the whole table again.
        ids = (
            connection.execute(_SQL["unseen_ids"], {"limit": limit}).fetchall()
            if open_count
            else []
        )
    return Unseen(
        present=present, open=open_count, gone=gone, next_ids=tuple(row[0] for row in ids)
    )


def note_gone(connect: Connect, lease: Lease, ids: Collection[str]) -> None:
    """See `Store.note_gone`."""
    with connect() as connection:
        batch = Batch(connection)
        batch.begin()
        leases.add_keep(batch, lease)
        _check_or_roll_back(batch, lease)
        batch.add(_SQL["note_gone"], {"ids": ids_to_json_text(ids)})
        batch.commit()
        batch.send()


def mark_missing(connect: Connect, lease: Lease, *, after: SyncState, report: Report) -> int:
    """See `Store.mark_missing`."""
    with connect() as connection:
        batch = Batch(connection)
        batch.begin(patient=True)
        state.add_state(batch, lease, after)
        _check_or_roll_back(batch, lease)
        batch.add(_SQL["mark_missing"], {"task_id": report.task_id})
        batch.add(_SQL["forget"], {"walks": to_json_text(("sweep",))})
        marked = int(batch.send()[0][0][0])
        counts = Counts(marked_missing=marked)
        counts.add(report.counts)
        runs.add_report(batch, replace(report, counts=counts))
        batch.commit()
        batch.send()
    return marked


def _check_or_roll_back(batch: Batch, lease: Lease) -> None:
    leases.check(lease, batch.send()[-1])
