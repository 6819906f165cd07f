"""The story of one sign-in: a device code, a person, one API call that shows it is worth keeping.

Every step is kept in storage by compare and swap, so that any instance can go on with it, and no
two ask Entra at once. What is saved is replaced last, when everything else has been shown.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    PartnerCenterSyncError,
    SignInNeeded,
    SignInOutcome,
    SignInState,
    TryLater,
)
from pc_core.identity.account import Account, SignInStatus
from pc_core.identity.token import Token, Tokens, TokenSource
from pc_core.observe import events

if TYPE_CHECKING:
    from pc_core.identity.device_codes import DeviceAnswer, DeviceCode
    from pc_core.identity.tokens import NewTokens

_TIME_TO_CONFIRM = timedelta(minutes=15)

_ASKING = timedelta(seconds=60)
"""How long an instance may be busy with a step before another takes it up."""

_KEEP_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSignIn:
    """A sign-in that waits for a person.

    Attributes:
        id: to ask about it; not a secret of Entra's, but enough to follow it.
        user_code: what the person types at `verification_uri`.
        interval_s: how often asking makes sense.
        message: Entra's own words for all that.
    """

    id: str
    user_code: str
    verification_uri: str
    expires_at: datetime
    interval_s: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProgress:
    """How a sign-in stands.

    Attributes:
        state: `pending` and `needs_confirmation` go on; the others are final.
        username: who signed in; None before.
        may_read_referrals: whether the API let the account read; None before it was asked.
        detail: what happened, or has to be done, for people.
        reason_code: of a refusal.
    """

    state: SignInOutcome
    username: str | None = None
    may_read_referrals: bool | None = None
    detail: str | None = None
    reason_code: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("pending", "needs_confirmation")


class DeviceCodes(Protocol):
    """Entra's side; `entra.EntraDeviceCodes` fulfils it."""

    def start(self) -> DeviceCode:
        """A fresh device code."""

    def ask(self, flow: Mapping[str, Any]) -> DeviceAnswer:
        """Ask once whether the person has signed in."""

    def tenant_id(self) -> str:
        """The configured tenant's GUID."""


class Flows(Protocol):
    """Where sign-ins under way are kept; `token_cache.FlowStore` fulfils it."""

    def load(self, flow_id: str) -> tuple[dict[str, Any], str] | None:
        """A record and its ETag; None if there is none."""

    def save(self, flow_id: str, record: Mapping[str, Any], *, etag: str | None) -> str | None:
        """Write if unchanged; the new ETag, or None if somebody was faster."""

    def delete(self, flow_id: str) -> None:
        """Forget one."""

    def delete_stale(self) -> None:
        """Forget those that have expired long since."""


class SavedSignIn(Tokens, Protocol):
    """The saved token cache; `entra.EntraTokens` fulfils it."""

    def account(self) -> Account | None:
        """Whose it is; None if there is none, or none that can be read."""

    def replace(self, new: NewTokens) -> None:
        """Put a finished sign-in in its place, after copying it aside."""


class SignIn:
    """Starts sign-ins and goes on with them.

    Args:
        device_codes: Entra.
        flows: where sign-ins under way are kept.
        saved: what the finished one replaces.
        prove: reads one page of referrals with the tokens given; raises what the API raises.
        known_account: whose sign-in was stored last, from the database; the saved cache may
            be missing or unreadable.
        save_status: stores how the sign-in stands; True if that changed.
        now: aware UTC.
    """

    def __init__(
        self,
        *,
        device_codes: DeviceCodes,
        flows: Flows,
        saved: SavedSignIn,
        prove: Callable[[TokenSource], None],
        known_account: Callable[[], Account | None],
        save_status: Callable[[SignInStatus], object],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._device_codes = device_codes
        self._flows = flows
        self._saved = saved
        self._prove_access = prove
        self._known_account = known_account
        self._save_status = save_status
        self._now = now

    def start(self) -> PendingSignIn:
        """Ask Entra for a device code and keep it until it expires.

        Raises:
            SignInNeeded: Entra does not let this app begin: see its state and message.
            TryLater, FixSetting: Entra or the storage cannot be used.
        """
        self._flows.delete_stale()
        code = self._device_codes.start()
        flow_id = secrets.token_urlsafe(24)
        record = {
            "stage": "asking",
            "flow": code.flow,
            "interval_s": code.interval_s,
            "next_ask_at": (self._now() + timedelta(seconds=code.interval_s)).isoformat(),
            "expires_at": code.expires_at.isoformat(),
        }
        self._flows.save(flow_id, record, etag=None)
        return PendingSignIn(
            id=flow_id,
            user_code=code.user_code,
            verification_uri=code.verification_uri,
            expires_at=code.expires_at,
            interval_s=code.interval_s,
            message=code.message,
        )

    def poll(self, flow_id: str, *, confirm_account: str | None = None) -> SignInProgress:
        """Go on with a sign-in as far as possible now.

        Args:
            flow_id: of `PendingSignIn`.
            confirm_account: the username that may replace another account's sign-in.

        Raises:
            TryLater, FixSetting: the storage or the Key Vault cannot be used; ask again.
        """
        found = self._flows.load(flow_id)
        if found is None:
            return _expired()
        record, etag = found
        if record["stage"] == "ended":
            return _shown(record)
        now = self._now()
        if datetime.fromisoformat(record["expires_at"]) <= now:
            self._flows.delete(flow_id)
            return _expired()
        is_due = datetime.fromisoformat(record["next_ask_at"]) <= now
        if not (confirm_account if record["stage"] == "confirming" else is_due):
            return _shown(record)
        # Whoever writes this first may ask; the others wait until that has surely ended.
        wait = timedelta(seconds=record["interval_s"]) + _ASKING
        claimed = self._flows.save(flow_id, _due(record, now + wait), etag=etag)
        if claimed is None:
            return _shown(record)
        if record["stage"] == "asking":
            step = self._ask(flow_id, record, claimed)
            if isinstance(step, SignInProgress):
                return step
            record, claimed = step
        return self._prove(flow_id, record, claimed, confirm_account)

    def cancel(self, flow_id: str) -> None:
        """Forget a sign-in; what is saved stays as it is.

        Raises:
            TryLater, FixSetting: the storage cannot be used.
        """
        self._flows.delete(flow_id)

    def follow(
        self,
        pending: PendingSignIn,
        *,
        confirm_account: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> SignInProgress:
        """Poll until there is an end, or a question; for the command line."""
        while True:
            sleep(pending.interval_s)
            progress = self.poll(pending.id, confirm_account=confirm_account)
            if progress.state != "pending":
                return progress

    def _ask(
        self, flow_id: str, record: dict[str, Any], etag: str
    ) -> SignInProgress | tuple[dict[str, Any], str]:
        """Ask Entra; on success, keep the tokens first of all: the code is used up by now."""
        try:
            answer = self._device_codes.ask(record["flow"])
        except TryLater as error:
            again_at = self._now() + timedelta(seconds=record["interval_s"])
            self._flows.save(flow_id, _due(record, again_at), etag=etag)
            return SignInProgress(state="pending", detail=str(error), reason_code=error.code)
        except SignInNeeded as error:
            return self._end(flow_id, etag, _failed(error))
        if answer.outcome == "pending":
            wait = timedelta(seconds=answer.interval_s)
            asked = {**record, "flow": answer.flow, "interval_s": answer.interval_s}
            self._flows.save(flow_id, _due(asked, self._now() + wait), etag=etag)
            return _shown(asked)
        if answer.outcome == "expired":
            self._flows.delete(flow_id)
            return _expired()
        if answer.outcome == "declined":
            return self._end(
                flow_id,
                etag,
                SignInProgress(
                    state="declined",
                    detail="The sign-in was declined. The saved one is unchanged.",
                ),
            )
        if answer.tokens is None:
            return self._end(
                flow_id,
                etag,
                SignInProgress(
                    state="failed", detail=answer.message, reason_code=answer.reason_code
                ),
            )
        now = self._now()
        got = {
            "stage": "proving",
            "tokens": _as_record(answer.tokens),
            "interval_s": record["interval_s"],
            "next_ask_at": (now + _ASKING).isoformat(),
            "expires_at": (now + _TIME_TO_CONFIRM).isoformat(),
        }
        return got, self._keep(flow_id, got, etag)

    def _keep(self, flow_id: str, record: Mapping[str, Any], etag: str | None) -> str:
        """Write the tokens over whatever another instance has made of the flow meanwhile."""
        for _ in range(_KEEP_ATTEMPTS):
            kept = self._flows.save(flow_id, record, etag=etag)
            if kept is not None:
                return kept
            found = self._flows.load(flow_id)
            etag = found[1] if found else None
        raise TryLater("The sign-in could not be kept. Start it again.", code="storage_unavailable")

    def _prove(
        self, flow_id: str, record: dict[str, Any], etag: str, confirm_account: str | None
    ) -> SignInProgress:
        new = _from_record(record["tokens"])
        account = new.token.account
        wait = timedelta(seconds=record["interval_s"])
        try:
            self._check(new)
            before = self._saved.account() or self._known_account()
        except (TryLater, BudgetEnded) as error:
            self._flows.save(flow_id, _due(record, self._now() + wait), etag=etag)
            return SignInProgress(
                state="pending",
                username=account.username,
                detail=f"Signed in, but not shown to work yet: {error}",
                reason_code=error.code,
            )
        except (SignInNeeded, FixSetting) as error:
            return self._end(flow_id, etag, _failed(error, account))
        is_other = before is not None and before.account_id != account.account_id
        if is_other and (confirm_account or "").casefold() != account.username.casefold():
            confirming = {**record, "stage": "confirming"}
            self._flows.save(flow_id, confirming, etag=etag)
            return _shown(confirming)
        self._saved.replace(new)
        try:
            token = self._saved.token()
        except SignInNeeded as error:
            return self._end(flow_id, etag, _failed(error, account))
        now = self._now()
        changed = self._save_status(
            SignInStatus(
                state=SignInState.OK,
                reason_code="signed_in",
                since_at=now,
                checked_at=now,
                renewed_at=self._saved.renewed_at(),
                account=token.account,
            )
        )
        if changed is not False:
            events.emit("partner_center_sign_in_state_changed", state="ok", reason="signed_in")
        return self._end(
            flow_id,
            etag,
            SignInProgress(
                state="completed",
                username=token.account.username,
                may_read_referrals=True,
                detail="Signed in; the account may read referrals.",
            ),
        )

    def _check(self, new: NewTokens) -> None:
        if not new.has_refresh_token:
            raise FixSetting(
                "Entra gave no refresh token, so nothing could be done unattended. Check the app "
                "registration (public client, delegated permissions). The saved sign-in is "
                "unchanged.",
                code="no_refresh_token",
            )
        if new.token.account.tenant_id.casefold() != self._device_codes.tenant_id().casefold():
            raise SignInNeeded(
                "This account belongs to another tenant than the configured one. Sign in with an "
                "account of that tenant, or correct HUNTER_PARTNER_CENTER_TENANT_ID. The saved "
                "sign-in is unchanged.",
                state=SignInState.MISCONFIGURED,
                code="other_tenant",
            )
        self._prove_access(NewToken(new.token))

    def _end(self, flow_id: str, etag: str, progress: SignInProgress) -> SignInProgress:
        """Keep the end, without any token, for whoever polls once more."""
        plain = {
            "state": progress.state,
            "username": progress.username,
            "may_read_referrals": progress.may_read_referrals,
            "detail": progress.detail,
            "reason_code": progress.reason_code,
        }
        kept = self._flows.save(flow_id, {"stage": "ended", "progress": plain}, etag=etag)
        if kept is None:
            # Another instance has gone further: what it came to counts.
            found = self._flows.load(flow_id)
            return _shown(found[0]) if found else _expired()
        if progress.state != "completed":
            events.emit(
                "partner_center_sign_in_ended",
                level=logging.WARNING,
                state=progress.state,
                reason=progress.reason_code,
            )
        return progress


class NewToken:
    """One token and no way to another: what a new sign-in is tried out with."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def token(
        self,
        *,
        refresh: bool = False,  # noqa: ARG002 - the API's second refusal is what explains it
        claims: str | None = None,
    ) -> Token:
        """The token, also when the API has refused it.

        Raises:
            SignInNeeded: the API asks for claims that the token does not carry.
        """
        if claims is not None:
            raise SignInNeeded(
                "Partner Center asks for more than this sign-in has proved (a Conditional Access "
                "policy). Sign in again as that policy demands. The saved sign-in is unchanged.",
                state=SignInState.SIGN_IN_NEEDED,
                code="insufficient_claims",
            )
        return self._token

    def renewed_at(self) -> datetime | None:
        """None: nothing is renewed here."""
        return None


def _expired() -> SignInProgress:
    return SignInProgress(
        state="expired",
        detail="The code has expired, or there is none such. Start the sign-in again; the saved "
        "one is unchanged.",
    )


def _due(record: Mapping[str, Any], next_ask_at: datetime) -> dict[str, Any]:
    return {**record, "next_ask_at": next_ask_at.isoformat()}


def _shown(record: Mapping[str, Any]) -> SignInProgress:
    """A record as its caller sees it."""
    if record["stage"] == "ended":
        return SignInProgress(**record["progress"])
    if record["stage"] == "asking":
        return SignInProgress(state="pending", detail="Waiting for the code to be entered.")
    username = str(record["tokens"]["account"]["username"])
    if record["stage"] == "proving":
        return SignInProgress(
            state="pending", username=username, detail="Signed in; being tried out."
        )
    return SignInProgress(
        state="needs_confirmation",
        username=username,
        may_read_referrals=True,
        detail=f"Until now another account was signed in. Confirm that {username} takes its "
        "place: it may see other referrals.",
        reason_code="other_account",
    )


def _failed(error: PartnerCenterSyncError, account: Account | None = None) -> SignInProgress:
    return SignInProgress(
        state="failed",
        username=account.username if account else None,
        may_read_referrals=False if error.code == "api_forbidden" else None,
        detail=str(error),
        reason_code=error.code,
    )


def _as_record(new: NewTokens) -> dict[str, Any]:
    account = new.token.account
    return {
        "cache": new.cache,
        "access_token": new.token.access_token,
        "has_refresh_token": new.has_refresh_token,
        "account": {
            "account_id": account.account_id,
            "username": account.username,
            "tenant_id": account.tenant_id,
        },
    }


def _from_record(record: Mapping[str, Any]) -> NewTokens:
    from pc_core.identity.tokens import NewTokens

    return NewTokens(
        cache=record["cache"],
        token=Token(access_token=record["access_token"], account=Account(**record["account"])),
        has_refresh_token=record["has_refresh_token"],
    )
