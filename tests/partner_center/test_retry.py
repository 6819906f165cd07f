"""When a request is sent once more."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.partner_center.retry import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    RetryPolicy,
    is_transient,
    next_wait_s,
    read_http_date,
    read_retry_after,
)

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)

policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 20),
    total_s=st.floats(0, 600),
)
seconds = st.floats(0, 4000)


@given(
    policy=policies,
    attempt=st.integers(1, 30),
    spent_s=seconds,
    retry_after_s=st.none() | seconds,
    remaining_s=seconds,
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_never_leaves_its_bounds(
    policy: RetryPolicy,
    attempt: int,
    spent_s: float,
    retry_after_s: float | None,
    remaining_s: float,
    chance: float,
) -> None:
    wait_s = next_wait_s(
        policy,
        attempt=attempt,
        spent_s=spent_s,
        retry_after_s=retry_after_s,
        remaining_s=remaining_s,
        chance=chance,
    )

    if wait_s is not None:
        assert attempt < policy.attempts
        assert spent_s + wait_s <= policy.total_s
        assert 0 <= wait_s < remaining_s
        assert wait_s >= (retry_after_s or 0)
        longest_s = LONGEST_WAIT_S if retry_after_s is None else retry_after_s + FIRST_WAIT_S
        assert wait_s <= longest_s


def test_the_longest_wait_doubles_up_to_a_limit() -> None:
    policy = RetryPolicy(attempts=10, total_s=1000)

    waits = [
        next_wait_s(
            policy, attempt=n, spent_s=0, retry_after_s=None, remaining_s=1000, chance=0.999999
        )
        for n in range(1, 8)
    ]

    assert [round(wait or 0) for wait in waits] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(status, False) for status in (200, 302, 400, 401, 403, 404, 410)]
    + [(status, True) for status in (408, 429, 500, 502, 503, 504, 509)],
)
def test_only_transient_errors_are_retried(status: int, expected: bool) -> None:
    assert is_transient(status) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("30", 30.0),
        (" 0 ", 0.0),
        ("3600", 3600.0),
        ("99999999999999999999", 7 * 86400.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("\uff11\uff12", None),
    ],
)
def test_retry_after_in_seconds(value: str | None, expected: float | None) -> None:
    assert read_retry_after(value, served_at=None, now=NOW) == expected


def test_retry_after_as_a_date_is_relative_to_the_servers_own_clock() -> None:
    """Our clock may be an hour off; the wait is not."""
    served_at = NOW + timedelta(hours=1)
    value = format_datetime(served_at + timedelta(seconds=45), usegmt=True)

    assert read_retry_after(value, served_at=served_at, now=NOW) == 45.0


def test_retry_after_as_a_date_counts_from_our_clock_without_a_date_header() -> None:
    value = format_datetime(NOW + timedelta(seconds=7), usegmt=True)

    assert read_retry_after(value, served_at=None, now=NOW) == 7.0


def test_a_retry_after_in_the_past_means_at_once() -> None:
    value = format_datetime(NOW - timedelta(seconds=7), usegmt=True)

    assert read_retry_after(value, served_at=NOW, now=NOW) == 0.0


@pytest.mark.parametrize("value", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_an_unreadable_date_is_none(value: str | None) -> None:
    assert read_http_date(value) is None


@given(st.text(max_size=40))
def test_no_header_value_breaks_reading(value: str) -> None:
    wait_s = read_retry_after(value, served_at=None, now=NOW)

    assert wait_s is None or 0 <= wait_s <= 7 * 86400
