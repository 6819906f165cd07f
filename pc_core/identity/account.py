"""The signed-in account and how a sign-in stands, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pc_core.errors import SignInOutcome, SignInState

RENEWAL_WARNING = timedelta(days=75)
"""A refresh token expires after 90 days without use (Microsoft's default, not configurable). The
warning leaves two weeks to act."""

PROBE_EVERY = timedelta(minutes=30)
"""How often a run asks Partner Center whether it still refuses the sign-in. A gateway's 401 may
pass by itself, and only asking shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account that signed in.

    Attributes:
        account_id: Entra's home account id (object id and tenant), no name in it.
        username: the sign-in name; shown to operators, never logged.
        tenant_id: the account's tenant.
    """

    account_id: str
    username: str
    tenant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInStatus:
    """The status of the saved sign-in; stored, so that it survives restarts.

    Attributes:
        reason_code: what decided the state, e.g. `AADSTS700082` or `token_cache_unreadable`.
        message: what has to be done, for people.
        since_at: when the state began.
        checked_at: when a token was last asked for.
        renewed_at: when Entra last issued a refresh token; its age is counted from here.
        correlation_id: of the refused request, for Microsoft's support.
        refused_by_api: Entra gives tokens, and Partner Center does not accept them.
    """

    state: SignInState
    reason_code: str | None = None
    message: str | None = None
    since_at: datetime | None = None
    checked_at: datetime | None = None
    renewed_at: datetime | None = None
    correlation_id: str | None = None
    account: Account | None = None
    refused_by_api: bool = False

    def renewal_due(self, now: datetime) -> bool:
        """Whether the refresh token is close to its end because nothing renewed it."""
        return self.renewed_at is not None and now - self.renewed_at >= RENEWAL_WARNING

    def warns_anew(self, now: datetime, *, asked_at: datetime | None) -> bool:
        """Whether a warning is due that was not yet due at `asked_at`: one for each whole day.

        Args:
            asked_at: when the status was last looked at; None: never.
        """
        if self.renewed_at is None or not self.renewal_due(now):
            return False
        return asked_at is None or (asked_at - self.renewed_at).days < (now - self.renewed_at).days

    def waits(self, now: datetime) -> bool:
        """Whether Partner Center refused so recently that asking it again is of no use."""
        asked_at = self.checked_at
        return self.refused_by_api and asked_at is not None and abs(now - asked_at) < PROBE_EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSignIn:
    """A sign-in that waits for a person.

    Attributes:
        id: of this sign-in, to ask about it. Not a secret of Entra's, but enough to follow it.
        user_code: what the person enters at `verification_uri`.
        interval_s: how often it makes sense to ask.
        message: Entra's own words for all of this.
    """

    id: str
    user_code: str
    verification_uri: str
    expires_at: datetime
    interval_s: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProgress:
    """How a sign-in under way stands.

    Attributes:
        state: `pending` and `needs_confirmation` go on; the others are final.
        username: the account that signed in; None before.
        may_read_referrals: whether the API lets the account read; None before it was asked.
        detail: what happened, or what has to be done, for people.
        reason_code: of a refusal.
    """

    state: SignInOutcome
    username: str | None = None
    may_read_referrals: bool | None = None
    detail: str | None = None
    reason_code: str | None = None
