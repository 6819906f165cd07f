"""Every error of the app, by what has to happen next.

- `FixSetting`: a person changes a setting, a permission or the schema. Retrying does not help.
- `SignInNeeded`: a person signs in. Until then the API is not called.
- `TryLater`: the next run tries again; saved pages are kept. `InvalidResponse`, `LinkRefused` and
  `OrderRefused` are the cases that a run handles in its own way.
- `BudgetEnded`: the run ends as `partial`; the next run continues.
- `OperatorNeeded`: a person checks the result and decides.
- `RowRefused`: the row is set aside in quarantine, and the run continues.
- `LeaseLost`: another run has taken over. This one stops and writes nothing more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class SignInState(StrEnum):
    """Whether the app can get a token, or why not. Only `TRANSIENT` passes without a person."""

    OK = "ok"
    SIGN_IN_NEEDED = "sign_in_needed"
    ADMIN_CONSENT_NEEDED = "admin_consent_needed"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    MISCONFIGURED = "misconfigured"
    ACCOUNT_PROBLEM = "account_problem"
    TRANSIENT = "transient"


SignInOutcome = Literal[
    "pending", "completed", "failed", "expired", "declined", "needs_confirmation"
]
"""The states of a sign-in under way; all but `pending` and `needs_confirmation` are final."""


class PartnerCenterSyncError(Exception):
    """The base class.

    Attributes:
        code: stable, snake_case; shown in HTTP answers, run rows and log lines.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class FixSetting(PartnerCenterSyncError):
    """A setting, permission or schema is wrong; the message names it and what to do."""


class SignInNeeded(PartnerCenterSyncError):
    """There is no usable token; the message says who has to do what.

    Attributes:
        state: the sign-in state to store and show; never `OK` or `TRANSIENT`.
        correlation_id: Entra's id of the refused request, for Microsoft's support.
    """

    def __init__(
        self, message: str, *, state: SignInState, code: str, correlation_id: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.state = state
        self.correlation_id = correlation_id


class TryLater(PartnerCenterSyncError):
    """A transient error: network, throttling, a server's 5xx, unreachable storage or database.

    Attributes:
        retry_after_s: the server's Retry-After; None if it sent none.
    """

    def __init__(self, message: str, *, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class InvalidResponse(TryLater):
    """Partner Center returned something that is not a valid response (HTML, no `value`, truncated).

    It never counts as an empty list, and no data is changed.
    """

    def __init__(self, message: str, *, code: str = "nonsense_answer") -> None:
        super().__init__(message, code=code)


class LinkRefused(TryLater):
    """Partner Center no longer accepts a nextLink; the list has to be read from the start."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="next_link_refused")


class OrderRefused(TryLater):
    """Partner Center returned 400 for the requested `$orderby`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="order_refused")


class BudgetEnded(PartnerCenterSyncError):
    """The run's time or pages are used up; it ends as `partial`, and the next run continues."""

    def __init__(self, message: str = "The run's time budget ended.") -> None:
        super().__init__(message, code="budget_ended")


class OperatorNeeded(PartnerCenterSyncError):
    """The run stopped before a step that a person has to confirm (`visibility_shrank`, …)."""


class LeaseLost(PartnerCenterSyncError):
    """Another run took the lease; this run's transaction was rolled back."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="lease_lost")


class RowRefused(PartnerCenterSyncError):
    """The database refused a row that had passed all checks.

    Attributes:
        referral_id: the row to set aside.
    """

    def __init__(self, message: str, *, referral_id: str) -> None:
        super().__init__(message, code="refused_by_database")
        self.referral_id = referral_id
