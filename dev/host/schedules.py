"""Timer schedules: NCRONTAB as strictly as Azure reads it, or a time span. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dev.host.errors import HostError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NO_NUMBER = -1
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 6, WEEKDAYS),
)


class Schedule(Protocol):
    """Says when a timer is due."""

    def next_after(self, instant: datetime) -> datetime:
        """The first due instant after `instant`, both aware."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Due again after a constant time."""

    length: timedelta

    def next_after(self, instant: datetime) -> datetime:
        """The first due instant after `instant`."""
        return instant + self.length


@dataclass(frozen=True, slots=True)
class Crontab:
    """Due at the times of a six-field expression that has been checked, names as numbers."""

    expression: str

    def next_after(self, instant: datetime) -> datetime:
        """The first due instant after `instant`."""
        from croniter import croniter

        due: datetime = croniter(
            self.expression, instant, ret_type=datetime, second_at_beginning=True, day_or=False
        ).get_next()
        return due


def parse(text: str) -> Schedule:
    """Read `0 */10 * * * *` or `00:10:00`.

    Raises:
        HostError: Azure would refuse the schedule.
    """
    span = re.fullmatch(r"(\d{1,3}):(\d{2}):(\d{2})", text.strip())
    if span is not None:
        return _interval(text, *(int(number) for number in span.groups()))
    fields = text.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != len(FIELDS):
        raise HostError(
            f"The schedule {text!r} is neither NCRONTAB (six fields: second minute hour day month "
            "weekday) nor a time span (hh:mm:ss)."
        )
    return Crontab(
        " ".join(
            ",".join(_element(text, element, *field) for element in part.split(","))
            for part, field in zip(fields, FIELDS, strict=True)
        )
    )


def _interval(text: str, first: int, second: int, third: int) -> Interval:
    # From 24 on, .NET reads the first number as days: d:hh:mm.
    length = (
        timedelta(hours=first, minutes=second, seconds=third)
        if first < 24
        else timedelta(days=first, hours=second, minutes=third)
    )
    if not length or (second > 59 if first < 24 else second > 23) or third > 59:
        raise HostError(f"The schedule {text!r} is no proper time span.")
    return Interval(length)


def _element(
    text: str, element: str, field: str, lowest: int, highest: int, names: tuple[str, ...]
) -> str:
    found = re.fullmatch(r"(\*|\w+(?:-\w+)?)(?:/(\d+))?", element)
    if found is None:
        raise HostError(f"The schedule {text!r} has {element!r} for the {field}.")
    base, step = found.groups()
    numbers = [] if base == "*" else [_number(part, names) for part in base.split("-")]
    if not all(lowest <= number <= highest for number in numbers):
        raise HostError(
            f"The schedule {text!r} has {element!r} for the {field}; "
            f"it must lie between {lowest} and {highest}."
        )
    first, last = (numbers[0], numbers[-1]) if numbers else (lowest, highest)
    if step is not None and len(numbers) == 1:
        last = highest
    if first > last:
        raise HostError(f"The schedule {text!r} has a backward range for the {field}: {element}.")
    if step is not None and int(step) == 0:
        raise HostError(f"The schedule {text!r} has a step of zero for the {field}.")
    if element == "*":
        return "*"
    # Every value by itself: croniter reads a range of one value, such as 59-59, as all values.
    return ",".join(str(number) for number in range(first, last + 1, int(step or 1)))


def _number(text: str, names: tuple[str, ...]) -> int:
    if text.isdecimal() and text.isascii():
        return int(text)
    short = text.lower()[:3]
    if short not in names:
        return NO_NUMBER
    return names.index(short) + (1 if names is MONTHS else 0)
