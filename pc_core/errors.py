"""Every error of the app, grouped by what its catcher does next.

`FixSetting`: a person changes a setting, a permission or the schema; retrying does not help.
`SignInNeeded`: a person (or an administrator) signs in; the job stops calling the API until then.
`TryLater`: the next run may work; what was saved stays saved.
`OperatorNeeded`: a person looks at a result that must not be acted on by itself, and decides.
`RowRefused`: one row is set aside in quarantine and the run goes on.
`LeaseLost`: another run took over; this one stops and writes nothing more.
"""

from __future__ import annotations

from enum import StrEnum


class SignInState(StrEnum):
    """What stands between the app and a token; only `TRANSIENT` is retried without a person."""

    OK = "ok"
    SIGN_IN_NEEDED = "sign_in_needed"
    ADMIN_CONSENT_NEEDED = "admin_consent_needed"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    MISCONFIGURED = "misconfigured"
    ACCOUNT_PROBLEM = "account_problem"
    TRANSIENT = "transient"


class PartnerCenterSyncError(Exception):
    """Root of the tree.

    Attributes:
        code: stable, snake_case; shown in HTTP answers, run rows and log lines.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class FixSetting(PartnerCenterSyncError):
    """A setting, permission or schema is wrong; the message names it and the remedy."""


class SignInNeeded(PartnerCenterSyncError):
    """No usable token; the message says who has to do what.

    Attributes:
        state: the sign-in state to store and show; never `OK` or `TRANSIENT`.
        correlation_id: Entra's id of the refused request, for support; None if there was none.
    """

    def __init__(
        self, message: str, *, state: SignInState, code: str, correlation_id: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.state = state
        self.correlation_id = correlation_id


class TryLater(PartnerCenterSyncError):
    """A passing trouble: network, throttling, a server's 5xx, storage or database out of reach.

    Attributes:
        retry_after_s: seconds after which trying again makes sense; None if nobody said.
    """

    def __init__(self, message: str, *, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class NonsenseAnswer(TryLater):
    """Partner Center answered 200 with something that is no answer (HTML, no `value`, cut off).

    Never read as an empty list: nothing is concluded from it.
    """

    def __init__(self, message: str, *, code: str = "nonsense_answer") -> None:
        super().__init__(message, code=code)


class LinkRefused(TryLater):
    """Partner Center no longer accepts a stored nextLink; the walk has to start again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="next_link_refused")


class OrderRefused(TryLater):
    """Partner Center answered 400 to the `$orderby` that was asked for."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="order_refused")


class BudgetEnded(PartnerCenterSyncError):
    """The run's time is used up; what it has is kept and the next run goes on (`partial`)."""

    def __init__(self, message: str = "The run's time budget ended.") -> None:
        super().__init__(message, code="budget_ended")


class OperatorNeeded(PartnerCenterSyncError):
    """The run stopped before something that a person has to judge (`visibility_shrank`, …)."""


class LeaseLost(PartnerCenterSyncError):
    """The lease was taken over while this run was away; its transaction was rolled back."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="lease_lost")


class RowRefused(PartnerCenterSyncError):
    """The database refused one row although it passed our checks.

    Attributes:
        referral_id: the row to set aside.
    """

    def __init__(self, message: str, *, referral_id: str) -> None:
        super().__init__(message, code="refused_by_database")
        self.referral_id = referral_id
