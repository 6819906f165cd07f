"""What walks have seen: the ids of an unfinished head or sweep, and what they leave over."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from pc_core.referral.ticks import from_ticks
from pc_core.store.batch import Batch, reading
from pc_core.store.pool import Database
from pc_core.store.statements import load_statements
from pc_core.store.writing import lease as leases
from pc_core.store.writing import runs, state
from pc_core.sync.ports import Lease, Unseen, Walk
from pc_core.sync.report import Counts, Report
from pc_core.sync.state import SyncState

_SQL = load_statements("seen")


def save_state(
    database: Database,
    lease: Lease,
    *,
    after: SyncState,
    report: Report,
    forget: Collection[Walk],
) -> None:
    """Write run progress and state; empty the seen ids of the walks in `forget`."""
    with database.connection() as connection:
        batch = Batch(connection)
        batch.begin(patient=bool(forget))
        state.add_save(batch, lease, after)
        _check_or_roll_back(batch, lease)
        if forget:
            batch.add(_SQL["forget"], {"walks": _json(forget)})
        runs.add_save(batch, report)
        batch.commit()
        batch.send()


def not_read_above(
    database: Database, stop_ticks: int, *, just_seen: Collection[str], among_swept: bool
) -> int:
    """How many stored, present rows changed at or after `stop_ticks` the head has missed."""
    try:
        stop_at = from_ticks(stop_ticks)
    except OverflowError:
        stop_at = datetime.min.replace(tzinfo=UTC)
    values = {
        "stop_at": stop_at,
        "stop_ticks": stop_ticks,
        "just_seen": _json(just_seen),
        "among_swept": among_swept,
    }
    with reading(database, patient=True) as connection:
        row = connection.execute(_SQL["not_read_above"], values).fetchone()
    return int(row[0]) if row else 0


def unseen(database: Database, *, limit: int) -> Unseen:
    """What the ended sweep has not met."""
    with reading(database, patient=True) as connection:
        present, open_count, gone = connection.execute(_SQL["unseen"]).fetchall()[0]
        # Looking for none would read everything once more.
        ids = (
            connection.execute(_SQL["unseen_ids"], {"limit": limit}).fetchall()
            if open_count
            else []
        )
    return Unseen(
        present=present, open=open_count, gone=gone, next_ids=tuple(row[0] for row in ids)
    )


def note_gone(database: Database, lease: Lease, ids: Collection[str]) -> None:
    """Remember that these unseen rows answered 404 by id."""
    with database.connection() as connection:
        batch = Batch(connection)
        batch.begin()
        leases.add_keep(batch, lease)
        _check_or_roll_back(batch, lease)
        batch.add(_SQL["note_gone"], {"ids": _json(ids)})
        batch.commit()
        batch.send()


def mark_missing(database: Database, lease: Lease, *, after: SyncState, report: Report) -> int:
    """End the sweep; returns how many rows were newly marked, and counts them in the run's row."""
    with database.connection() as connection:
        batch = Batch(connection)
        batch.begin(patient=True)
        state.add_save(batch, lease, after)
        _check_or_roll_back(batch, lease)
        batch.add(_SQL["mark_missing"], {"task_id": report.task_id})
        batch.add(_SQL["forget"], {"walks": _json(("sweep",))})
        marked = int(batch.send()[0][0][0])
        counts = Counts(marked_missing=marked)
        counts.add(report.counts)
        runs.add_save(batch, replace(report, counts=counts))
        batch.commit()
        batch.send()
    return marked


def _check_or_roll_back(batch: Batch, lease: Lease) -> None:
    leases.check(lease, batch.send()[-1])


def _json(texts: Collection[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()
