"""Whether, and after how long, a request is sent once more. Pure: the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_TRANSIENT_BELOW_500 = frozenset({408, 429})
_LONGEST_RETRY_AFTER_S = 7 * 86400.0
"""A longer Retry-After is cut to this: nothing we do waits that long anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient one call is.

    Attributes:
        attempts: requests in all, the first one included.
        total_s: seconds that a call may last from its first request to the begin of its last.
        base_s: the longest wait before the second request; it doubles with every further one.
        cap_s: the longest wait that is our own choice.
    """

    attempts: int = 5
    total_s: float = 90.0
    base_s: float = 1.0
    cap_s: float = 30.0


def is_transient(status: int) -> bool:
    """Whether an HTTP status speaks of a passing trouble: 408, 429 and every 5xx."""
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

    Full jitter: anything between nothing and the doubled base, so that callers who failed
    together do not come back together. A Retry-After is waited for in full, with jitter on top.

    Args:
        policy: how patient the call is.
        attempt: how many requests this call has sent, at least 1.
        spent_s: seconds since its first one.
        retry_after_s: what the server asked for; None if it did not.
        remaining_s: seconds that are left of the run.
        chance: a random number, 0 <= chance < 1.
    """
    if attempt >= policy.attempts:
        return None
    ceiling_s: float = min(policy.cap_s, policy.base_s * 2 ** (attempt - 1))
    wait_s = chance * ceiling_s
    if retry_after_s is not None:
        wait_s = retry_after_s + chance * policy.base_s
    if spent_s + wait_s > policy.total_s or wait_s >= remaining_s:
        return None
    return wait_s


def read_retry_after(
    value: str | None, *, served_at: datetime | None, now: datetime
) -> float | None:
    """Seconds that a Retry-After header asks for; None if it is missing or unreadable.

    Args:
        value: delta-seconds or an HTTP-date.
        served_at: the answer's own `Date`, which an HTTP-date is relative to; our clock may differ.
        now: our clock, for answers without a `Date`.
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
    """An HTTP-date as aware UTC; None if it is missing or unreadable."""
    if value is None:
        return None
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
