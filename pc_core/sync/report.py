"""The result of a run, as data: what HTTP answer, run row and log line have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct
from msgspec import field as struct_field

Trigger = Literal["timer", "timer-late", "http", "command"]
Mode = Literal["incremental", "full", "replay"]


class RunRequest(Struct, frozen=True, kw_only=True):
    """What a trigger asks for.

    Attributes:
        mode: `full` sweeps whether or not it is due; `replay` reads the quarantine again.
        accept_missing: an operator accepts that rows are gone, however many.
        invocation_id: the Functions host's id, for its log.
    """

    trigger: Trigger
    mode: Mode = "incremental"
    accept_missing: bool = False
    invocation_id: str | None = None


class RunState(StrEnum):
    """How a run stands or ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    ALREADY_RUNNING = "already_running"
    FEATURE_DISABLED = "feature_disabled"


class FailureKind(StrEnum):
    """What a failed run asks of its reader; named after the error that caused it."""

    FIX_SETTING = "fix_setting"
    SIGN_IN = "sign_in"
    TRY_LATER = "try_later"
    NONSENSE = "nonsense"
    OPERATOR = "operator"
    BUG = "bug"


class Failure(Struct, frozen=True, kw_only=True):
    """Why a run failed.

    Attributes:
        code: stable, e.g. `throttled`, `sign_in_needed`, `visibility_shrank`.
        message: for people; no token, body or person in it.
        retry_after_s: seconds, where somebody named them.
    """

    kind: FailureKind
    code: str
    message: str
    retry_after_s: float | None = None


class Counts(Struct, kw_only=True):
    """What a run did so far; `fetched` is the sum of the five piles below it.

    `drift`, `backfilled` and `changed_silently` count rows that are in a pile already; `unclear`
    counts unseen rows whose answer by id said nothing.
    """

    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    quarantined: int = 0
    drift: int = 0
    backfilled: int = 0
    changed_silently: int = 0
    domain_not_found: int = 0
    marked_missing: int = 0
    reappeared: int = 0
    unclear: int = 0
    recomputed: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    skipped_reasons: Counter[str] = struct_field(default_factory=Counter)
    unknown_values: Counter[str] = struct_field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Add another tally, field by field."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; reasons sorted by name."""
        plain = {name: getattr(self, name) for name in self.__struct_fields__}
        plain["skipped_reasons"] = dict(sorted(self.skipped_reasons.items()))
        plain["unknown_values"] = dict(sorted(self.unknown_values.items()))
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Counts:
        """The inverse of `to_json`; unknown keys of a newer release are dropped."""
        known = {k: v for k, v in plain.items() if k in cls.__struct_fields__}
        for name in ("skipped_reasons", "unknown_values"):
            known[name] = Counter(known.get(name) or {})
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run, from its start to its end.

    Attributes:
        task_id: UUID text; for `already_running` the other run's id.
        trigger: `timer`, `timer-late`, `http` or `command`.
        mode: `incremental` or `full`, as asked for.
        invocation_id: the Functions host's id of the invocation, where there was one.
        head_completed_at: when everything new had been read; success for readiness and alerts.
        sweep_completed_at: when this run ended a sweep; None if it did not.
        watermark_at: where the next run starts reading, before its overlap.
    """

    task_id: str
    state: RunState
    trigger: str
    mode: str
    started_at: datetime
    invocation_id: str | None = None
    finished_at: datetime | None = None
    head_completed_at: datetime | None = None
    sweep_completed_at: datetime | None = None
    watermark_at: datetime | None = None
    counts: Counts = field(default_factory=Counts)
    failure: Failure | None = None

    @property
    def success(self) -> bool:
        """Whether a caller may call this run a success: it completed, or its time ended well."""
        return self.state in (RunState.COMPLETED, RunState.PARTIAL)

    def ended(self, state: RunState, *, at: datetime, failure: Failure | None = None) -> Report:
        """This report with its end written in."""
        return replace(self, state=state, finished_at=at, failure=failure)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the API, the command line and the log, with the runbook's counts."""

        def text(instant: datetime | None) -> str | None:
            return instant.isoformat().replace("+00:00", "Z") if instant else None

        counts = self.counts
        return {
            "success": self.success,
            "task_id": self.task_id,
            "state": self.state.value,
            "trigger": self.trigger,
            "mode": self.mode,
            "invocation_id": self.invocation_id,
            "started_at": text(self.started_at),
            "finished_at": text(self.finished_at),
            "duration_s": (
                round((self.finished_at - self.started_at).total_seconds(), 3)
                if self.finished_at
                else None
            ),
            "head_completed_at": text(self.head_completed_at),
            "sweep_completed_at": text(self.sweep_completed_at),
            "watermark_at": text(self.watermark_at),
            "success_count": counts.inserted + counts.updated + counts.unchanged,
            "skipped_count": counts.skipped,
            "failure_count": counts.quarantined,
            **counts.to_json(),
            "error": (
                {
                    "kind": self.failure.kind.value,
                    "code": self.failure.code,
                    "message": self.failure.message,
                    "retry_after_s": self.failure.retry_after_s,
                }
                if self.failure
                else None
            ),
        }
