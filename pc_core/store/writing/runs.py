"""The rows of partner_center_sync_runs: one Report each."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgspec

from pc_core.store.batch import Batch
from pc_core.store.statements import load_statements
from pc_core.store.writing.json_text import to_json_text
from pc_core.sync.report import Counts, Failure, FailureKind, Report, RunState

_NAMES = tuple(field.name for field in fields(Report))

_SQL = load_statements(
    "runs",
    columns=", ".join(_NAMES),
    values=", ".join(f"%({name})s" for name in _NAMES),
    assignments=", ".join(f"{name} = %({name})s" for name in _NAMES[1:]),
)

_INTERRUPTED = Failure(
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
    batch.add(_SQL["mend"], {"task_id": task_id, "failure": to_json_text(_INTERRUPTED)})


def read_report(row: tuple[Any, ...]) -> Report:
    """A row of reading.sql's `runs`; an interrupted run that wrote no failure gets one."""
    values = dict(zip(_NAMES, row, strict=True))
    state, failure = RunState(values["state"]), values["failure"]
    without = _INTERRUPTED if state is RunState.INTERRUPTED else None
    return Report(
        **values
        | {
            "state": state,
            "counts": Counts.from_json(msgspec.json.decode(values["counts"])),
            "failure": without if failure is None else _FAILURE.decode(failure),
        }
    )


def _values(report: Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in _NAMES} | {
        "state": report.state.value,
        "counts": to_json_text(report.counts.to_json()),
        "failure": to_json_text(report.failure),
    }
