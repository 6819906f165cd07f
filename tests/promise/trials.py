"""Runs that meet trouble: a harness whose waits cost no time, and what must hold afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from dev.simulator.behaviour import reset
from pc_core.identity.account import PROBE_EVERY
from pc_core.partner_center.client import PartnerCenterClient
from pc_core.partner_center.retry import RetryPolicy
from pc_core.sync.report import Report
from tests.sync.harness import Harness, assert_equals_truth

ATTEMPTS = 3


class Clock:
    """Monotonic seconds that a nap moves on at once."""

    def __init__(self) -> None:
        self.naps: list[float] = []

    def __call__(self) -> float:
        return monotonic() + sum(self.naps)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)


@dataclass
class Trial(Harness):
    """A harness with a short patience, whose client waits without losing time."""

    request_timeout_s: float = 1.0
    patience_s: float = 30.0
    server_page: int = 10
    clock: Clock = field(default_factory=Clock)

    def client(self) -> PartnerCenterClient:
        return PartnerCenterClient(
            self.simulator.base_url,
            self.tokens,
            request_timeout_s=self.request_timeout_s,
            retry=RetryPolicy(attempts=ATTEMPTS, total_s=self.patience_s),
            ca_file=str(self.simulator.ca_path),
            sleep=self.clock.sleep,
            clock=self.clock,
        )

    def list_requests(self, *, at_least: int = 0) -> int:
        """How many list requests reached the simulator.

        One that we gave up is noted only once the simulator's delay is over.
        """
        deadline_s = monotonic() + 2
        while len(self.list_queries()) < at_least and monotonic() < deadline_s:
            sleep(0.02)
        return len(self.list_queries())

    def heal(self) -> None:
        """Partner Center is well again."""
        self.simulator.faults.clear()
        reset(self.simulator.behaviour)
        self.simulator.behaviour.page_size = self.server_page

    def recover(self, *, runs: int = 3) -> Report:
        """Healthy runs of the timer's kind until one completes; it must not take many.

        After a refusal of the sign-in, nothing is asked for until it is time to try once more.
        """
        sign_in = self.store.load_sign_in()
        if sign_in is not None and sign_in.refused_by_api:
            before = self.list_requests()
            assert self.run().state == "failed"
            assert self.list_requests() == before
            self.later += PROBE_EVERY
        for _ in range(runs):
            report = self.run()
            if report.state == "completed":
                return report
        raise AssertionError(f"no healthy run completed: {report.state}, {report.failure}")


@dataclass(frozen=True)
class Kept:
    """What is stored at one moment, to be compared with later."""

    updated: dict[str, Any]
    missing: frozenset[str]

    @classmethod
    def of(cls, trial: Harness) -> Kept:
        rows = trial.rows()
        return cls(
            updated={one: row["pc_updated_at"] for one, row in rows.items()},
            missing=frozenset(one for one, row in rows.items() if row["missing_since"]),
        )

    def assert_kept_by(self, trial: Harness) -> None:
        """No row is gone, none is older than it was, none was newly marked as missing."""
        now = Kept.of(trial)
        assert self.updated.keys() <= now.updated.keys()
        for one, before in self.updated.items():
            assert now.updated[one] >= before, one
        assert now.missing <= self.missing


def assert_counts_agree(report: Report) -> None:
    """The piles add up to what was fetched, and the reasons to what was skipped."""
    counts = report.counts
    piles = (
        counts.inserted + counts.updated + counts.unchanged + counts.skipped + counts.quarantined
    )
    assert counts.fetched == piles
    assert sum(counts.skipped_reasons.values()) == counts.skipped


def assert_no_run_is_open(trial: Harness) -> None:
    assert not trial.query("SELECT 1 FROM partner_center_sync_runs WHERE state = 'running'")


def assert_healthy(trial: Harness) -> None:
    """Table equals truth, and no run hangs open."""
    assert_equals_truth(trial)
    assert_no_run_is_open(trial)


def events_of(
    records: Iterable[logging.LogRecord], name: str | None = None
) -> list[dict[str, Any]]:
    """The app's events among log records, of one name or all."""
    found = [json.loads(r.getMessage()) for r in records if r.name == "pc_core"]
    return [event for event in found if name in (None, event["event"])]
