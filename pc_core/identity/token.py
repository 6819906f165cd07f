"""What a token is and who gives one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pc_core.identity.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token and whose it is."""

    access_token: str = field(repr=False)
    account: Account


class TokenSource(Protocol):
    """Where a client's access tokens come from."""

    def token(self, *, refresh: bool = False, claims: str | None = None) -> Token:
        """A usable access token.

        Args:
            refresh: do not use the cached one: the API has just refused it.
            claims: a claims challenge to answer (JSON text).

        Raises:
            SignInNeeded: a person has to sign in, or an administrator to act.
            TryLater: Entra or the storage is out of reach.
            FixSetting: the storage or its key is set up wrongly.
        """


class Tokens(TokenSource, Protocol):
    """Silent sign-in with the token cache."""

    def forget(self) -> None:
        """Look at the saved cache again with the next call, whatever is in memory."""

    def renewed_at(self) -> datetime | None:
        """When Entra last issued a refresh token; None if it never did or nothing is cached."""
