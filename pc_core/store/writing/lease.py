"""The lease: the right to write, held by one run at a time.

It is one row with a number that grows with each holder. It expires by the database's clock.
"""

from __future__ import annotations

from pc_core.errors import LeaseLost, TryLater
from pc_core.store.batch import Batch, Rows
from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.store.writing import runs, state
from pc_core.sync.ports import Held, Lease
from pc_core.sync.report import Report

_SQL = load_statements("lease")

_TRIES = 5


def take(connect: Connect, report: Report, *, holder: str, ttl_s: float) -> Lease | Held:
    """Take the lease and open the run, or return its holder."""
    from psycopg.errors import LockNotAvailable

    for _ in range(_TRIES):
        try:
            taken = _try_to_take(connect, report, holder=holder, ttl_s=ttl_s)
        except LockNotAvailable:
            # The lease has expired, but a transaction of its holder still locks its row.
            if not _end_silent_holder(connect):
                raise
        else:
            if taken is not None:
                return taken
    raise TryLater(
        "Could not take the lease: its holder changed at every attempt. Nothing was written; the "
        "next run tries again.",
        code="database_busy",
    )


def _try_to_take(
    connect: Connect, report: Report, *, holder: str, ttl_s: float
) -> Lease | Held | None:
    task_id = report.task_id
    with connect() as connection:
        # Read without a lock first: the holder's transaction may have locked the row.
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
            runs.add_report(batch, report)
            batch.commit()
            batch.send()
            return Lease(task_id=task_id, fence=taken[0][0])
    return None


def _end_silent_holder(connect: Connect) -> bool:
    """End the transaction that locks the lease's row, if its client is silent; True if one ended.

    The server itself ends an idle transaction, but not one whose client has vanished during a COPY:
    no timeout applies there.
    """
    with connect() as connection:
        return bool(connection.execute(_SQL["end_silent_holder"]).fetchall())


def add_keep(batch: Batch, lease: Lease) -> None:
    """Add the statement that extends the lease if it is still held."""
    batch.add(_SQL["keep"], {"fence": lease.fence, "task_id": lease.task_id})


def keep(connect: Connect, lease: Lease) -> None:
    """Extend the lease and note the run's heartbeat."""
    with connect() as connection:
        batch = Batch(connection)
        batch.begin()
        add_keep(batch, lease)
        runs.add_beat(batch, lease.task_id)
        batch.commit()
        check(lease, batch.send()[0])


def check(lease: Lease, found: Rows) -> None:
    """Check the rows that the statement extending the lease returned.

    Raises:
        LeaseLost: there are none: another run has the lease by now, or it was given back.
    """
    if not found:
        raise LeaseLost(
            f"Run {lease.task_id} no longer holds the lease (number {lease.fence}): it was away "
            "for longer than the lease lasts, and another run may have taken over. Nothing was "
            "written; what it had saved before is kept."
        )


def finish(connect: Connect, lease: Lease, report: Report) -> None:
    """Write the run's end and give the lease back."""
    with connect() as connection:
        batch = Batch(connection)
        batch.begin()
        runs.add_report(batch, report)
        batch.add(_SQL["give_back"], {"fence": lease.fence, "task_id": lease.task_id})
        check(lease, batch.send()[-1])
        batch.commit()
        batch.send()
