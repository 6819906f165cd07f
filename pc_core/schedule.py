"""The timer's schedule: six NCRONTAB fields in UTC, read for the app and for the local host.

The fields are second, minute, hour, day, month and day of the week. A general cron library accepts
more (`L`, `?`, `@daily`, weekday 7) and less, so the text is read here by NCRONTAB's rules. Only
the calendar is the library's: a day has to fit both day fields.

Some of what Azure accepts is refused, because it does not do what its writer expects: five fields,
a range that runs backwards (Azure swaps its ends), a step of 0 (Azure reads it as 1), a day that
none of the months has (it never fires), and a time span such as `00:10:00` (it fires on an App
Service plan only).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/(\d{1,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> list[int]:
        """All values that a field's text allows, ascending.

        Raises:
            ValueError: naming the field and what is wrong with it.
        """
        return sorted({value for part in text.split(",") for value in self._part(part)})

    def _part(self, part: str) -> range:
        found = _PART.fullmatch(part.lower())
        if found is None:
            raise ValueError(f"{self.name} {part!r} is not a number, list, range or step")
        first, last, step_text = found.groups()
        step = int(step_text or 1)
        if step < 1:
            raise ValueError(f"{self.name} {part!r}: a step must be at least 1")
        if first == "*":
            if last:
                raise ValueError(f"{self.name} {part!r}: * cannot begin a range")
            return range(self.low, self.high + 1, step)
        start = self._number(first, part)
        end = self._number(last, part) if last else self.high if step_text else start
        if start > end:
            raise ValueError(f"{self.name} {part!r}: the range runs backwards")
        return range(start, end + 1, step)

    def _number(self, text: str, part: str) -> int:
        named = [index for index, name in enumerate(self.names) if text in (name, name[:3])]
        if not named and not text.isdecimal():
            raise ValueError(f"{self.name} {part!r} is not a number")
        value = named[0] + self.low if named else int(text)
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} {part!r} must be {self.low} to {self.high}")
        return value


_FIELDS = (
    _Field(name="second", low=0, high=59),
    _Field(name="minute", low=0, high=59),
    _Field(name="hour", low=0, high=23),
    _Field(name="day of the month", low=1, high=31),
    _Field(name="month", low=1, high=12, names=_MONTHS),
    _Field(name="day of the week", low=0, high=6, names=_WEEKDAYS),
)


def check_schedule(text: str) -> None:
    """Refuse a schedule that Azure would refuse, or that would not fire as it reads.

    Raises:
        ValueError: saying which field is wrong, and why.
    """
    _read(text)


def previous_times(schedule: str, now: datetime, count: int) -> list[datetime]:
    """The last scheduled times up to and including `now`, newest first.

    Args:
        schedule: as `check_schedule` accepts it.
        now: aware UTC.
        count: how many.

    Raises:
        ValueError: the schedule is wrong.
    """
    just_after = now.replace(microsecond=0) + timedelta(seconds=1)
    times = _calendar(_read(schedule), just_after, forward=False)
    return [next(times) for _ in range(count)]


def next_time(schedule: str, now: datetime) -> datetime:
    """The next scheduled time after `now` (aware UTC).

    Raises:
        ValueError: the schedule is wrong.
    """
    return next(_calendar(_read(schedule), now.replace(microsecond=0), forward=True))


def _read(text: str) -> tuple[list[int], ...]:
    parts = text.split()
    if len(parts) == len(_FIELDS) - 1:
        with_seconds = " ".join(("0", *parts))
        _read(with_seconds)
        raise ValueError(f"has no field for the seconds; with one it is {with_seconds}")
    if len(parts) != len(_FIELDS):
        raise ValueError(
            "must be six fields (second minute hour day month day-of-week), and no time span"
        )
    values = tuple(field.values(part) for field, part in zip(_FIELDS, parts, strict=True))
    days, months = values[3], values[4]
    if all(days[0] > _DAYS_IN_MONTH[month - 1] for month in months):
        raise ValueError("never fires: no month that it names has that day")
    return values


def _calendar(
    values: tuple[list[int], ...], start: datetime, *, forward: bool
) -> Iterator[datetime]:
    from croniter import croniter  # costs 20 ms, and only health and status ask for times

    written = " ".join(
        "*" if len(allowed) == field.high - field.low + 1 else ",".join(map(str, allowed))
        for field, allowed in zip(_FIELDS, values, strict=True)
    )
    calendar = croniter(written, start, second_at_beginning=True, day_or=False)
    while True:
        yield calendar.get_next(datetime) if forward else calendar.get_prev(datetime)
