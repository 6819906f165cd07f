"""How long a run may go on: one object that waits, timeouts and page loops all ask."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from pc_core.errors import BudgetEnded


class Budget:
    """Seconds, and where wanted pages, that a run may still use.

    Args:
        seconds: from now on; waits and timeouts count.
        pages: how many pages may be fetched; None: as many as the time allows.
        clock: monotonic seconds.
    """

    def __init__(
        self, seconds: float, *, pages: int | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._clock = clock
        self._began = clock()
        self._end = self._began + seconds
        self._pages = pages

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._clock())

    def extend(self, seconds: float) -> None:
        """Let the run use `seconds` in all, counted from its beginning, if that is more."""
        self._end = max(self._end, self._began + seconds)

    def allows(self, seconds: float) -> bool:
        """Whether something that takes this long still fits."""
        return self.remaining_s() > seconds

    def take_page(self) -> None:
        """Account for one page about to be fetched.

        Raises:
            BudgetEnded: no page, or no time, is left.
        """
        if self._pages is not None:
            if self._pages <= 0:
                raise BudgetEnded
            self._pages -= 1
        if self.remaining_s() <= 0:
            raise BudgetEnded
