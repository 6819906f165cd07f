"""Simulated days: Partner Center's clock and ours move on together, as fast as we like."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pc_core.errors import LeaseLost
from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from tests.promise.trials import Trial
from tests.sync.harness import admits, meaning

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def advance(trial: Trial, seconds: float) -> None:
    """Let time pass on both sides."""
    trial.simulator.state.advance(seconds)
    trial.later += timedelta(seconds=seconds)


def assert_fresh(trial: Trial) -> None:
    """Everything that the filter admits is stored as it is now."""
    rows = trial.rows()
    for wire in trial.simulator.state.truth():
        if admits(wire):
            assert wire["id"] in rows, "an admitted referral is not stored"
        if wire["id"] in rows:
            assert meaning(rows[wire["id"]]["raw_data"]) == meaning(wire), wire["id"]


class Killed(BaseException):
    """The process is gone: nothing of it, not even its handling of errors, goes on."""


class MortalStore:
    """The real store, until a call at which its process dies.

    Args:
        calls: how many calls with a lease are left; the last one is done, or not, and nobody
            hears of it.
    """

    def __init__(self, store: PostgresStore, calls: int, *, does_the_last: bool) -> None:
        self._store = store
        self._left = calls
        self._does_the_last = does_the_last
        self._dead = False
        self._thread = threading.current_thread()

    def within(self, remaining_s: Callable[[], float]) -> MortalStore:
        """The real store waits no longer than that; its process dies as before."""
        self._store = self._store.within(remaining_s)
        return self

    def __getattr__(self, name: str) -> Any:
        call: Callable[..., Any] = getattr(self._store, name)

        def mortal(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not self._thread:
                if self._dead:
                    # A thread beside the run ends with its process, and without a word.
                    raise LeaseLost("the process is gone")
                return call(*arguments, **named)
            if self._dead:
                raise Killed
            self._left -= 1
            if self._left > 0:
                return call(*arguments, **named)
            self._dead = True
            if self._does_the_last:
                call(*arguments, **named)
            raise Killed

        return mortal


def restart(trial: Trial) -> None:
    """A new process: its connections are new, and those of the old one are gone."""
    trial.database.close()
    trial.database = Database(trial.database_url)
    trial.store = PostgresStore(trial.database)
