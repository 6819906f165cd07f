"""Run until a signal."""

from __future__ import annotations

import contextlib
import signal
from queue import Empty, SimpleQueue
from types import FrameType

POLL_S = 0.5


class Stop:
    """Waits for SIGTERM, SIGINT or SIGHUP, as far as the system has them."""

    def __init__(self) -> None:
        # A signal may come at any instruction: this queue's put is safe then, an Event's set not.
        self._signals: SimpleQueue[str] = SimpleQueue()
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._note)

    def wait(self) -> str:
        """Wait for a signal; returns its name."""
        while True:
            # Never without a limit: a signal on the way into a wait does not end that wait.
            with contextlib.suppress(Empty):
                return self._signals.get(timeout=POLL_S)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal's form
        self._signals.put(signal.Signals(number).name)
