"""Whether a failed request is sent again, and after how long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT_S = 1.0
"""The longest wait before the second request; it doubles with every further one."""

LONGEST_WAIT_S = 30.0
"""The longest wait without a Retry-After."""

_TRANSIENT_BELOW_500 = frozenset({408, 429})
_LONGEST_RETRY_AFTER_S = 7 * 86400.0  # a longer one is reported as this


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long one call is retried.

    Attributes:
        attempts: requests in total, the first one included.
        total_s: seconds from the first request of a call to the start of its last one, at most.
    """

    attempts: int = 5
    total_s: float = 90.0


def is_transient(status: int) -> bool:
    """Whether an HTTP status is a transient error: 408, 429 and every 5xx."""
    return status in _TRANSIENT_BELOW_500 or status >= 500


def next_wait_s(
    policy: RetryPolicy,
    *,
    attempt: int,
    spent_s: float,
    retry_after_s: float | None,
    remaining_s: float,
    chance: float,
) -> float | None:
    """Seconds to wait before the next request, or None to give up now.

    Full jitter: a random time up to a limit that doubles, so that clients that failed together
    do not retry together. A Retry-After is waited for in full, plus jitter.

    Args:
        attempt: how many requests this call has sent, at least 1.
        spent_s: seconds since its first request.
        retry_after_s: the server's Retry-After, if any.
        remaining_s: seconds that are left of the run.
        chance: a random number, 0 <= chance < 1.
    """
    if attempt >= policy.attempts:
        return None
    wait_s = chance * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt - 1))
    if retry_after_s is not None:
        wait_s = retry_after_s + chance * FIRST_WAIT_S
    if spent_s + wait_s > policy.total_s or wait_s >= remaining_s:
        return None
    return wait_s


def read_retry_after(
    value: str | None, *, served_at: datetime | None, now: datetime
) -> float | None:
    """The seconds of a Retry-After header; None if it is missing or invalid.

    Args:
        value: delta-seconds or an HTTP-date.
        served_at: the response's `Date`, which an HTTP-date is relative to: our clock may differ.
        now: our clock, for responses without a `Date`.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(_LONGEST_RETRY_AFTER_S, float(text[:10]))
    until = read_http_date(text)
    if until is None:
        return None
    return min(_LONGEST_RETRY_AFTER_S, max(0.0, (until - (served_at or now)).total_seconds()))


def read_http_date(value: str | None) -> datetime | None:
    """An HTTP-date as aware UTC; None if it is missing or invalid."""
    if value is None:
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
