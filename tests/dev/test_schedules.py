"""Schedules are read as strictly as Azure reads them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.host.errors import HostError
from dev.host.schedules import parse

NOON = datetime(2026, 1, 15, 12, 0, 30, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 */10 * * * *", datetime(2026, 1, 15, 12, 10, tzinfo=UTC)),
        ("*/10 * * * *", datetime(2026, 1, 15, 12, 10, tzinfo=UTC)),
        ("*/20 * * * * *", datetime(2026, 1, 15, 12, 0, 40, tzinfo=UTC)),
        ("5/20 * * * * *", datetime(2026, 1, 15, 12, 0, 45, tzinfo=UTC)),
        ("0 59/1 * * * *", datetime(2026, 1, 15, 12, 59, tzinfo=UTC)),
        ("0 5-5,45 * * * *", datetime(2026, 1, 15, 12, 5, tzinfo=UTC)),
        ("0 30 9 * Jan Mon-Fri", datetime(2026, 1, 16, 9, 30, tzinfo=UTC)),
        ("0 0 0 * * Sunday", datetime(2026, 1, 18, tzinfo=UTC)),
        ("0 0 0 13 * Fri", datetime(2026, 2, 13, tzinfo=UTC)),
        ("00:10:00", NOON + timedelta(minutes=10)),
        ("24:00:00", NOON + timedelta(days=24)),
    ],
)
def test_the_next_due_time(schedule: str, expected: datetime) -> None:
    assert parse(schedule).next_after(NOON) == expected


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "every minute",
        "@daily",
        "0 0 0 * * 7",
        "0 0 0 L * *",
        "0 0 0 ? * *",
        "0 0 0 * * Mon#1",
        "60 * * * * *",
        "0 */0 * * * *",
        "0 10-5 * * * *",
        "0 0 0 0 * *",
        "0 0 0 * 13 *",
        "0 0 0 * * * 2026",
        "0 ,5 * * * *",
        "00:00:00",
        "00:61:00",
    ],
)
def test_what_azure_refuses_is_refused(schedule: str) -> None:
    with pytest.raises(HostError, match="schedule"):
        parse(schedule)


@given(minute=st.integers(0, 59), step=st.integers(1, 59), after_s=st.integers(0, 10**9))
def test_a_due_time_lies_after_the_instant_and_fits_the_fields(
    minute: int, step: int, after_s: int
) -> None:
    instant = datetime.fromtimestamp(after_s, UTC)

    due_at = parse(f"0 {minute}/{step} * * * *").next_after(instant)

    assert due_at > instant
    assert due_at.second == 0
    assert due_at.minute >= minute
    assert (due_at.minute - minute) % step == 0
