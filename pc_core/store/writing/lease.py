"""The right to write: one row, a number that grows with each holder, the database's clock."""

from __future__ import annotations

from pc_core.errors import LeaseLost, TryLater
from pc_core.store.batch import Batch, Rows
from pc_core.store.pool import Database
from pc_core.store.statements import load_statements
from pc_core.store.writing import runs, state
from pc_core.sync.ports import Held, Lease
from pc_core.sync.report import Report

_SQL = load_statements("lease")

_TRIES = 5


def take(database: Database, report: Report, *, holder: str, ttl_s: float) -> Lease | Held:
    """Take the lease and open the run, or say who has it."""
    from psycopg.errors import LockNotAvailable

    for _ in range(_TRIES):
        try:
            taken = _try_to_take(database, report, holder=holder, ttl_s=ttl_s)
        except LockNotAvailable:
            # The lease has expired, and yet somebody's transaction has its row locked.
            if not _end_silent_holder(database):
                raise
        else:
            if taken is not None:
                return taken
    raise TryLater(
        "Could not take the lease: it changed hands at every look. Nothing was written; the next "
        "run tries again.",
        code="database_busy",
    )


def _try_to_take(
    database: Database, report: Report, *, holder: str, ttl_s: float
) -> Lease | Held | None:
    task_id = report.task_id
    with database.connection() as connection:
        # A look without a lock first: the holder's transaction may have the row locked.
        look = Batch(connection)
        look.add(_SQL["who_holds"], {"task_id": task_id})
        found = look.send()[0]
        if not found:
            raise state.no_row()
        holder_id, expires_at, is_held = found[0]
        if is_held:
            return Held(task_id=holder_id, expires_at=expires_at)
        batch = Batch(connection)
        batch.begin()
        batch.add(_SQL["take"], {"task_id": task_id, "holder": holder, "ttl_s": ttl_s})
        taken = batch.send()[-1]
        if taken:
            runs.add_mend(batch, task_id)
            runs.add_open(batch, report)
            runs.add_save(batch, report)
            batch.commit()
            batch.send()
            return Lease(task_id=task_id, fence=taken[0][0])
    return None


def _end_silent_holder(database: Database) -> bool:
    """End the transaction that has the lease's row locked, if it waits for a client in vain.

    The server ends one that is idle by itself, but not one whose client has vanished in the middle
    of a COPY: no timeout strikes there.
    """
    with database.connection() as connection:
        return bool(connection.execute(_SQL["end_silent_holder"]).fetchall())


def add_keep(batch: Batch, lease: Lease) -> None:
    """Check the lease and extend it, without writing any state."""
    batch.add(_SQL["keep"], {"fence": lease.fence, "task_id": lease.task_id})


def keep(database: Database, lease: Lease) -> None:
    """Heartbeat of the lease and of its run."""
    with database.connection() as connection:
        batch = Batch(connection)
        batch.begin()
        add_keep(batch, lease)
        runs.add_beat(batch, lease.task_id)
        batch.commit()
        check(lease, batch.send()[0])


def check(lease: Lease, found: Rows) -> None:
    """Judge what the statement that extends the lease returned.

    Raises:
        LeaseLost: nothing: the lease is somebody else's by now, or was given back.
    """
    if not found:
        raise LeaseLost(
            f"Run {lease.task_id} no longer holds the lease (number {lease.fence}): it was away "
            "for longer than the lease lasts, and another run may have taken over. Nothing was "
            "written; what it had saved before is kept."
        )


def finish(database: Database, lease: Lease, report: Report) -> None:
    """Write the run's end and give the lease back."""
    with database.connection() as connection:
        batch = Batch(connection)
        batch.begin()
        runs.add_save(batch, report)
        batch.add(_SQL["give_back"], {"fence": lease.fence, "task_id": lease.task_id})
        check(lease, batch.send()[-1])
        batch.commit()
        batch.send()
