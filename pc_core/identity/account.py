"""The signed-in account and the state of its sign-in, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pc_core.errors import SignInState

RENEWAL_WARNING = timedelta(days=75)
"""A refresh token dies after 90 days without use (Microsoft's default, not configurable); the
warning leaves two weeks to act."""


PROBE_EVERY = timedelta(minutes=30)
"""How often Partner Center is asked whether it still refuses: a gateway's 401 may pass by itself,
and nobody but it can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who signed in.

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
    """How the sign-in stands; stored, so that it survives restarts.

    Attributes:
        reason_code: what decided the state, e.g. `AADSTS700082` or `token_cache_unreadable`.
        message: what has to be done, for people.
        since_at: since when the state is this one.
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
        """Whether the refresh token comes near its end because nothing renewed it."""
        return self.renewed_at is not None and now - self.renewed_at >= RENEWAL_WARNING

    def warns_anew(self, now: datetime, *, asked_at: datetime | None) -> bool:
        """Whether a warning is due that was not due yet at `asked_at`: one for each whole day.

        Args:
            asked_at: when somebody last asked; None: nobody has.
        """
        if self.renewed_at is None or not self.renewal_due(now):
            return False
        return asked_at is None or (asked_at - self.renewed_at).days < (now - self.renewed_at).days

    def waits(self, now: datetime) -> bool:
        """Whether Partner Center has refused so lately that asking it again is of no use."""
        asked_at = self.checked_at
        return self.refused_by_api and asked_at is not None and abs(now - asked_at) < PROBE_EVERY
