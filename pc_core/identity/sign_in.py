"""One sign-in: a device code, a person who enters it, one API call that proves it, the saved cache.

Each stage is stored by compare and swap, so that any instance can continue and two never ask Entra
at once. The saved token cache is replaced only after the new tokens have worked.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    PartnerCenterSyncError,
    SignInNeeded,
    SignInState,
    TryLater,
)
from pc_core.identity.account import Account, PendingSignIn, SignInProgress, SignInStatus
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.flows import Asking, Confirming, Ended, FlowStore, Proving
from pc_core.identity.token import NewTokens, Token, TokenSource
from pc_core.identity.tokens import EntraTokens
from pc_core.observe import events

_TIME_TO_CONFIRM = timedelta(minutes=15)

_LONGEST_STEP = timedelta(seconds=60)
"""After so long an instance that has begun a step is taken for dead, and another takes it up."""

_KEEP_ATTEMPTS = 5


class DeviceSignIn:
    """Starts sign-ins and continues them.

    Args:
        device_codes: Entra's device code flow.
        flows: stores sign-ins under way.
        saved: the token cache that a finished sign-in replaces.
        prove: reads one referral with the given tokens; raises what the API raises.
        known_account: the account of the last stored sign-in status; the saved cache may be
            missing or unreadable.
        save_status: stores the sign-in status; returns False if it was the same before.
        now: aware UTC.
    """

    def __init__(
        self,
        *,
        device_codes: EntraDeviceCodes,
        flows: FlowStore,
        saved: EntraTokens,
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
        """Get a device code from Entra and store it until it expires.

        Raises:
            SignInNeeded: Entra does not let this app begin: see its state and message.
            TryLater, FixSetting: Entra or the storage cannot be used.
        """
        self._flows.delete_stale()
        code = self._device_codes.start()
        flow_id = secrets.token_urlsafe(24)
        asking = Asking(
            flow=code.flow,
            interval_s=code.interval_s,
            next_ask_at=self._now() + timedelta(seconds=code.interval_s),
            expires_at=code.expires_at,
        )
        self._flows.save(flow_id, asking, etag=None)
        return PendingSignIn(
            id=flow_id,
            user_code=code.user_code,
            verification_uri=code.verification_uri,
            expires_at=code.expires_at,
            interval_s=code.interval_s,
            message=code.message,
        )

    def poll(self, flow_id: str, *, confirm_account: str | None = None) -> SignInProgress:
        """Continue a sign-in as far as possible now.

        Args:
            flow_id: of `PendingSignIn`.
            confirm_account: the username that may replace another account's sign-in.

        Raises:
            TryLater, FixSetting: the storage or the Key Vault cannot be used; ask again.
        """
        found = self._flows.load(flow_id)
        if found is None:
            return _expired()
        stage, etag = found
        if isinstance(stage, Ended):
            return stage.progress
        now = self._now()
        if stage.expires_at <= now:
            self._flows.delete(flow_id)
            return _expired()
        is_due = confirm_account if isinstance(stage, Confirming) else stage.next_ask_at <= now
        if not is_due:
            return stage.progress
        # The instance that writes this first takes the step; the others wait until it has ended.
        step_ends_at = now + timedelta(seconds=stage.interval_s) + _LONGEST_STEP
        claimed = self._flows.save(flow_id, stage.postponed(step_ends_at), etag=etag)
        if claimed is None:
            return stage.progress
        if isinstance(stage, Asking):
            step = self._ask(flow_id, stage, claimed)
            if isinstance(step, SignInProgress):
                return step
            stage, claimed = step
        return self._prove(flow_id, stage, claimed, confirm_account)

    def _ask(self, flow_id: str, asking: Asking, etag: str) -> SignInProgress | tuple[Proving, str]:
        """Ask Entra whether the person has entered the code."""
        try:
            answer = self._device_codes.ask(asking.flow)
        except TryLater as error:
            again_at = self._now() + timedelta(seconds=asking.interval_s)
            self._flows.save(flow_id, asking.postponed(again_at), etag=etag)
            return SignInProgress(state="pending", detail=str(error), reason_code=error.code)
        except SignInNeeded as error:
            return self._end(flow_id, etag, _failed(error))
        now = self._now()
        if answer.tokens is not None:
            proving = Proving(
                tokens=answer.tokens,
                interval_s=asking.interval_s,
                next_ask_at=now + _LONGEST_STEP,
                expires_at=now + _TIME_TO_CONFIRM,
            )
            return proving, self._keep(flow_id, proving, etag)
        if answer.outcome == "pending":
            still_asking = Asking(
                flow=answer.flow,
                interval_s=answer.interval_s,
                next_ask_at=now + timedelta(seconds=answer.interval_s),
                expires_at=asking.expires_at,
            )
            self._flows.save(flow_id, still_asking, etag=etag)
            return still_asking.progress
        if answer.outcome == "expired":
            self._flows.delete(flow_id)
            return _expired()
        if answer.outcome == "declined":
            detail = "The sign-in was declined. The saved one is unchanged."
            return self._end(flow_id, etag, SignInProgress(state="declined", detail=detail))
        return self._end(
            flow_id,
            etag,
            SignInProgress(state="failed", detail=answer.message, reason_code=answer.reason_code),
        )

    def _keep(self, flow_id: str, proving: Proving, etag: str | None) -> str:
        """Store new tokens before anything else: Entra gives them for a code only once.

        They replace whatever another instance has stored of the flow meanwhile.
        """
        for _ in range(_KEEP_ATTEMPTS):
            kept = self._flows.save(flow_id, proving, etag=etag)
            if kept is not None:
                return kept
            found = self._flows.load(flow_id)
            etag = found[1] if found else None
        raise TryLater("The sign-in could not be kept. Start it again.", code="storage_unavailable")

    def _prove(
        self, flow_id: str, stage: Proving | Confirming, etag: str, confirm_account: str | None
    ) -> SignInProgress:
        """Try the new tokens; save them if they work and replace no other account unasked."""
        new = stage.tokens
        account = new.account
        try:
            self._check(new)
            before = self._saved.account() or self._known_account()
        except (TryLater, BudgetEnded) as error:
            again_at = self._now() + timedelta(seconds=stage.interval_s)
            self._flows.save(flow_id, stage.postponed(again_at), etag=etag)
            return SignInProgress(
                state="pending",
                username=account.username,
                detail=f"Signed in, but not yet shown to work: {error}",
                reason_code=error.code,
            )
        except (SignInNeeded, FixSetting) as error:
            return self._end(flow_id, etag, _failed(error, account))
        is_other = before is not None and before.account_id != account.account_id
        if is_other and (confirm_account or "").casefold() != account.username.casefold():
            confirming = Confirming(
                tokens=new,
                interval_s=stage.interval_s,
                next_ask_at=stage.next_ask_at,
                expires_at=stage.expires_at,
            )
            self._flows.save(flow_id, confirming, etag=etag)
            return confirming.progress
        self._saved.replace(new)
        try:
            account = self._saved.token().account
        except SignInNeeded as error:
            return self._end(flow_id, etag, _failed(error, account))
        self._note_success(account)
        return self._end(
            flow_id,
            etag,
            SignInProgress(
                state="completed",
                username=account.username,
                may_read_referrals=True,
                detail="Signed in; the account may read referrals.",
            ),
        )

    def _check(self, new: NewTokens) -> None:
        if not new.has_refresh_token:
            raise FixSetting(
                "Entra gave no refresh token, so the app could not run unattended. Check the app "
                "registration (public client, delegated permissions). The saved sign-in is "
                "unchanged.",
                code="no_refresh_token",
            )
        if new.account.tenant_id.casefold() != self._device_codes.tenant_id().casefold():
            raise SignInNeeded(
                "This account belongs to another tenant than the configured one. Sign in with an "
                "account of that tenant, or correct HUNTER_PARTNER_CENTER_TENANT_ID. The saved "
                "sign-in is unchanged.",
                state=SignInState.MISCONFIGURED,
                code="other_tenant",
            )
        self._prove_access(_OneToken(new.token))

    def _note_success(self, account: Account) -> None:
        now = self._now()
        status = SignInStatus(
            state=SignInState.OK,
            reason_code="signed_in",
            since_at=now,
            checked_at=now,
            renewed_at=self._saved.renewed_at(),
            account=account,
        )
        if self._save_status(status) is not False:
            events.emit("partner_center_sign_in_state_changed", state="ok", reason="signed_in")

    def _end(self, flow_id: str, etag: str, progress: SignInProgress) -> SignInProgress:
        """Store the end, without any token, for callers that poll again."""
        if self._flows.save(flow_id, Ended(progress=progress), etag=etag) is None:
            # Another instance has gone further; its result counts.
            found = self._flows.load(flow_id)
            return found[0].progress if found else _expired()
        if progress.state != "completed":
            events.emit(
                "partner_center_sign_in_ended",
                level=logging.WARNING,
                state=progress.state,
                reason=progress.reason_code,
            )
        return progress


class _OneToken:
    """Gives one token and never another: a new sign-in is tried with it alone."""

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
            SignInNeeded: the API demands claims that the token does not carry.
        """
        if claims is not None:
            raise SignInNeeded(
                "Partner Center demands more than this sign-in has proved (a Conditional Access "
                "policy). Sign in again as that policy demands. The saved sign-in is unchanged.",
                state=SignInState.SIGN_IN_NEEDED,
                code="insufficient_claims",
            )
        return self._token


def _expired() -> SignInProgress:
    return SignInProgress(
        state="expired",
        detail="The code has expired, or there is no such sign-in. Start the sign-in again; the "
        "saved one is unchanged.",
    )


def _failed(error: PartnerCenterSyncError, account: Account | None = None) -> SignInProgress:
    return SignInProgress(
        state="failed",
        username=account.username if account else None,
        may_read_referrals=False if error.code == "api_forbidden" else None,
        detail=str(error),
        reason_code=error.code,
    )
