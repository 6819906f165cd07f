from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_core.schedule import check_schedule, next_time, previous_times


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "0 */10 * * * *",
        "0 0,10,20 * * * *",
        "30 5/20 8-17 * * mon-fri",
        "0 0 0 1 jan *",
        "0 0 0 29 2 *",
        "  0   0 12 * * 0 ",
        "*/15 * * * * *",
        "0 0-30/10 * * * SUN,Sat",
        "0 30 9 * * Monday",
        "0 0 0 1 January-MARCH Saturday,sun",
        "0 0 0 1 may,September *",
    ],
)
def test_what_azure_accepts_is_accepted(text: str) -> None:
    check_schedule(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "six fields"),
        ("10:00", "six fields"),
        ("00:10:00", "no time span"),
        ("24:00:00", "no time span"),
        ("*/10 * * * *", r"with one it is 0 \*/10 \* \* \* \*$"),
        ("0 9 * * monday", r"with one it is 0 0 9 \* \* monday$"),
        ("60 * * * *", "minute '60' must be 0 to 59"),
        ("0 */10 * * * * 2026", "six fields"),
        ("@daily", "six fields"),
        ("0 0 0 L * *", "day of the month"),
        ("0 0 0 ? * *", "day of the month"),
        ("0 0 0 * * 7", "day of the week"),
        ("0 0 0 * * 1#2", "day of the week"),
        ("0 60 * * * *", "minute"),
        ("60 0 * * * *", "second"),
        ("0 0 24 * * *", "hour"),
        ("0 0 0 0 * *", "day of the month"),
        ("0 0 0 * 13 *", "month"),
        ("0 0 0 * foo *", "month"),
        ("0 0 0 * * mond", "day of the week"),
        ("0 0 0 * * january", "day of the week"),
        ("0 monday * * * *", "minute"),
        ("0 */0 * * * *", "at least 1"),
        ("0 20-10 * * * *", "backwards"),
        ("0 *-5 * * * *", "cannot begin a range"),
        ("0 -5 * * * *", "minute"),
        ("0 5- * * * *", "minute"),
        ("0 , * * * *", "minute"),
        ("0 1,,2 * * * *", "minute"),
        ("0 \u0661 * * * *", "minute"),
        ("0 0 0 30 2 *", "never fires"),
        ("0 0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 0 * * fri-mon", "backwards"),
    ],
)
def test_what_would_not_fire_as_it_reads_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_schedule(text)


@pytest.mark.parametrize(
    ("schedule", "now", "newest_first"),
    [
        ("0 */10 * * * *", "2026-03-01T12:05:00.5", ["12:00:00", "11:50:00", "11:40:00"]),
        ("0 */10 * * * *", "2026-03-01T12:10:00", ["12:10:00", "12:00:00", "11:50:00"]),
        ("0 */10 * * * *", "2026-03-01T12:09:59.999999", ["12:00:00", "11:50:00", "11:40:00"]),
        ("30 0 6-8 * * *", "2026-03-01T12:00:00", ["08:00:30", "07:00:30", "06:00:30"]),
    ],
)
def test_previous_times_end_at_now_newest_first(
    schedule: str, now: str, newest_first: list[str]
) -> None:
    assert previous_times(schedule, at(now), 3) == [
        at(f"2026-03-01T{time}") for time in newest_first
    ]


def test_a_day_has_to_fit_both_day_fields() -> None:
    # Friday the 13th, not every Friday and every 13th.
    assert next_time("0 0 0 13 * fri", at("2026-01-01T00:00:00")) == at("2026-02-13T00:00:00")


def test_a_leap_day_is_found_four_years_ahead() -> None:
    assert next_time("0 0 0 29 2 *", at("2026-01-01T00:00:00")) == at("2028-02-29T00:00:00")


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("5/20 * * * * *", "2026-01-15T12:00:45"),
        ("0 59/1 * * * *", "2026-01-15T12:59:00"),
        ("0 5-5,45 * * * *", "2026-01-15T12:05:00"),
        ("0 30 9 * January Friday", "2026-01-16T09:30:00"),
        ("0 0 0 1 february *", "2026-02-01T00:00:00"),
    ],
)
def test_the_next_time_after_a_thursday_noon(schedule: str, following: str) -> None:
    assert next_time(schedule, at("2026-01-15T12:00:30")) == at(following)


# -- Against brute force -----------------------------------------------------------------------

NAMES = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
LIMITS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@cache
def allowed(field: str, low: int, high: int) -> set[int]:
    """NCRONTAB read the slow way: every number is tried against every part."""
    found = set()
    for number in range(low, high + 1):
        for part in field.split(","):
            span, _, step = part.partition("/")
            if span == "*":
                first, last = low, high
            elif "-" in span:
                first, last = (NAMES[end] if end in NAMES else int(end) for end in span.split("-"))
            else:
                first = NAMES[span] if span in NAMES else int(span)
                last = high if step else first
            if first <= number <= last and (number - first) % int(step or 1) == 0:
                found.add(number)
    return found


def fires(schedule: str, when: datetime) -> bool:
    fields = [
        allowed(field, *limits) for field, limits in zip(schedule.split(), LIMITS, strict=True)
    ]
    parts = (when.second, when.minute, when.hour, when.day, when.month, when.isoweekday() % 7)
    return all(part in field for part, field in zip(parts, fields, strict=True))


@settings(deadline=None, max_examples=60)
@given(
    schedule=st.sampled_from(
        [
            "0 */10 * * * *",
            "*/7 3/20 * * * *",
            "15 1,5,59 */6 * * *",
            "0 0-20/5 22,23,0 * * mon-fri",
            "59 59 23 * * sat",
            "10 30 12 28-31 * *",
        ]
    ),
    now=st.integers(0, 4 * 365 * 86_400_000).map(
        lambda ms: at("2026-01-01T00:00:00") + timedelta(milliseconds=ms)
    ),
)
def test_the_next_and_the_last_time_are_those_that_brute_force_finds(
    schedule: str, now: datetime
) -> None:
    following = next_time(schedule, now)
    last = previous_times(schedule, now, 1)[0]

    assert fires(schedule, following)
    assert fires(schedule, last)
    assert last <= now < following
    # Nothing fires in between; days that fit nothing are skipped a minute at a time.
    step = timedelta(seconds=1) if following - last < timedelta(hours=2) else timedelta(minutes=1)
    between = last + step
    while between < following:
        assert not fires(schedule, between)
        between += step
