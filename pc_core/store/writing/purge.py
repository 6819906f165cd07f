"""Deletion of runs, settled quarantine entries and history older than the retention."""

from __future__ import annotations

from pc_core.store.batch import Batch
from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.store.writing import lease as leases
from pc_core.sync.ports import Lease

_SQL = load_statements("purge")

_PORTION = 5000


def purge(connect: Connect, lease: Lease, *, older_than_days: int) -> int:
    """Delete what is older than this; returns how many rows."""
    return sum(
        _purge_table(connect, lease, table, older_than_days)
        for table in ("runs", "quarantine", "changes")
    )


def _purge_table(connect: Connect, lease: Lease, table: str, days: int) -> int:
    deleted = 0
    while True:
        with connect() as connection:
            batch = Batch(connection)
            batch.begin()
            leases.add_keep(batch, lease)
            batch.add(_SQL[table], {"days": days, "portion": _PORTION})
            kept, gone = batch.send()
            leases.check(lease, kept)
            batch.commit()
            batch.send()
        deleted += len(gone)
        if len(gone) < _PORTION:
            return deleted
