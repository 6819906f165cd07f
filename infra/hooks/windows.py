"""Whether the alerts' windows fit the schedules that they watch."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

ACCEPTED = ("PT15M", "PT30M", "PT45M", "PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H", "P1D", "P2D")
"""Window sizes of log alerts that Azure takes and that are long enough to be of use here."""

SCHEDULED_TIMES = 3
GRACE = timedelta(minutes=15)
"""The promise: silence is reported within three scheduled times plus this."""

EVALUATED_EVERY = timedelta(minutes=5)
INGESTION = timedelta(minutes=10)
"""Log lines can be queried some minutes after they were written; this is a generous allowance."""


def span(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours or minutes, such as PT30M or P2D.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", text)
    if found is None or not any(found.groups()):
        raise ValueError(f"{text!r} is no ISO 8601 duration such as PT30M")
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def silence_problem(schedule: str, window: str, now: datetime) -> str | None:
    """Why the silence alert's window does not fit the schedule; None: it does.

    Args:
        schedule: NCRONTAB.
        window: ISO 8601.
        now: aware UTC; schedules with uneven gaps are measured over the ten days before it.
    """
    from pc_core.schedule import previous_times

    if window not in ACCEPTED:
        return f"SILENCE_WINDOW is {window}; Azure accepts {', '.join(ACCEPTED)}."
    times = [
        time for time in previous_times(schedule, now, 2000) if now - time < timedelta(days=10)
    ]
    gaps = [newer - older for newer, older in zip(times, times[SCHEDULED_TIMES:], strict=False)]
    if not gaps:
        return (
            f"The schedule {schedule} fires so rarely that no window of Azure covers three "
            "scheduled times. Choose a denser one."
        )
    longest = max(gaps)
    length = span(window)
    fitting = [
        each
        for each in ACCEPTED
        if longest <= span(each) <= longest + GRACE - EVALUATED_EVERY - INGESTION
    ] or [each for each in ACCEPTED if span(each) >= longest][:1]
    advice = f" Set SILENCE_WINDOW to {fitting[0]}." if fitting else ""
    if length < longest:
        return (
            f"SILENCE_WINDOW {window} is shorter than three scheduled times of {schedule} "
            f"({longest}): the alert would fire although all is well.{advice}"
        )
    if length + EVALUATED_EVERY + INGESTION > longest + GRACE and window not in fitting:
        return (
            f"SILENCE_WINDOW {window} is longer than three scheduled times of {schedule} "
            f"({longest}): the alert would come later than promised.{advice}"
        )
    return None


def sweep_problem(full_sync_every: timedelta, window: str) -> str | None:
    """Why the sweep alert's window does not fit; None: it does."""
    if window not in ACCEPTED:
        return f"SWEEP_WINDOW is {window}; Azure accepts {', '.join(ACCEPTED)}."
    if span(window) < 2 * full_sync_every:
        return (
            f"SWEEP_WINDOW {window} is shorter than twice the interval of full syncs "
            f"({full_sync_every}): the alert would fire although all is well. Azure's longest "
            "window is P2D, so HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY can be 24h at most."
        )
    return None
