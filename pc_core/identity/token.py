"""What a token is, and where one comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pc_core.identity.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token and its account."""

    access_token: str = field(repr=False)
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokens:
    """The result of a finished device code flow; not saved yet.

    Attributes:
        cache: MSAL's token cache as text.
        has_refresh_token: without one, the app cannot run unattended.
    """

    cache: str = field(repr=False)
    access_token: str = field(repr=False)
    account: Account
    has_refresh_token: bool

    @property
    def token(self) -> Token:
        """The access token and its account."""
        return Token(access_token=self.access_token, account=self.account)


class TokenSource(Protocol):
    """Where a client's access tokens come from."""

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        """A usable access token.

        Args:
            refresh: not the cached one: the API has just refused it.
            claims: a claims challenge to answer (JSON text).

        Raises:
            SignInNeeded: a person has to sign in, or an administrator to act.
            TryLater: Entra or the storage is out of reach.
            FixSetting: the storage or its key is misconfigured.
        """


class Tokens(TokenSource, Protocol):
    """Silent sign-in with the saved token cache."""

    def forget(self) -> None:
        """Make the next call read the saved cache, whatever is in memory."""

    def renewed_at(self) -> datetime | None:
        """When Entra last issued a refresh token; None if it never did or nothing is saved."""
