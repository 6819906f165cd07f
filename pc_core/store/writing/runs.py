"""The rows of partner_center_sync_runs: one Report each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from pc_core.store.batch import Batch
from pc_core.store.statements import load_statements
from pc_core.sync.report import Counts, Failure, FailureKind, Report, RunState

_SQL = load_statements("runs")

INTERRUPTED = Failure(
    kind=FailureKind.TRY_LATER,
    code="interrupted",
    message=(
        "The run stopped without writing its end (its process was ended or frozen), and its lease "
        "expired. What it had saved is kept; the next run continues from there."
    ),
)


_FAILURE = msgspec.json.Decoder(Failure)
"""Made at import, for the reason given in state.py."""


def add_open(batch: Batch, report: Report) -> None:
    """Insert the row of a new run."""
    batch.add(_SQL["open"], _values(report))


def add_report(batch: Batch, report: Report) -> None:
    """Update the run's row with its progress or its end."""
    batch.add(_SQL["save"], _values(report))


def add_beat(batch: Batch, task_id: str) -> None:
    """Note the run's heartbeat."""
    batch.add(_SQL["beat"], {"task_id": task_id})


def add_mend(batch: Batch, task_id: str) -> None:
    """Mark all other runs that still count as running as interrupted."""
    batch.add(_SQL["mend"], {"task_id": task_id, "failure": _text(INTERRUPTED)})


def read_report(row: tuple[Any, ...]) -> Report:
    """A row of reading.sql's `runs`."""
    counts = Counts.from_json(msgspec.json.decode(row[10]))
    failure = _FAILURE.decode(row[11]) if row[11] is not None else None
    return Report(
        task_id=row[0],
        trigger=row[1],
        mode=row[2],
        state=RunState(row[3]),
        invocation_id=row[4],
        started_at=row[5],
        finished_at=row[6],
        head_completed_at=row[7],
        sweep_completed_at=row[8],
        watermark_at=row[9],
        counts=counts,
        failure=failure,
    )


def mark_interrupted(report: Report) -> Report:
    """The report, with a failure if the run was interrupted before it could write one."""
    if report.state is not RunState.INTERRUPTED or report.failure is not None:
        return report
    return replace(report, failure=INTERRUPTED)


def _values(report: Report) -> dict[str, Any]:
    return {
        "task_id": report.task_id,
        "trigger": report.trigger,
        "mode": report.mode,
        "state": report.state.value,
        "invocation_id": report.invocation_id,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "head_completed_at": report.head_completed_at,
        "sweep_completed_at": report.sweep_completed_at,
        "watermark_at": report.watermark_at,
        "counts": msgspec.json.encode(report.counts.to_json()).decode(),
        "failure": _text(report.failure),
    }


def _text(failure: Failure | None) -> str | None:
    return None if failure is None else msgspec.json.encode(failure).decode()
