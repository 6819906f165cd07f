"""The sign-in as a run finds it: asked for, stored, and reported when it changes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from pc_core.errors import FixSetting, SignInNeeded, SignInState
from pc_core.identity.account import Account, SignInStatus
from pc_core.identity.token import Tokens
from pc_core.observe import events
from pc_core.sync.context import Run
from pc_core.sync.ports import Store


@contextmanager
def signed_in(run: Run, tokens: Tokens, *, tenant_id: str | None) -> Iterator[Account]:
    """Get a token silently. A refusal, by Entra or later by Partner Center, is stored.

    Args:
        tenant_id: whose account has to be signed in; None: any.

    Raises:
        SignInNeeded: a person has to sign in.
        FixSetting: `tenant_mismatch`: the account belongs to another tenant.
    """
    before = run.store.load_sign_in()
    asked_at = run.now()
    account = _account(run, tokens, before, asked_at)
    try:
        if before is not None and before.refused_by_api:
            # One request shows whether Partner Center accepts the sign-in again.
            run.pages.first(order=None, top=1)
        status = SignInStatus(state=SignInState.OK, account=account, renewed_at=tokens.renewed_at())
        _warn_of_age(status, asked_at=before.checked_at if before else None, now=run.now())
        asked_at = run.now()
        _note(run.store, status, at=asked_at)
        if tenant_id is not None and account.tenant_id.lower() != tenant_id.lower():
            raise FixSetting(
                "The signed-in account belongs to another tenant than the one in "
                "HUNTER_PARTNER_CENTER_TENANT_ID. Nothing was read. Sign in with an account of "
                "that tenant, or correct the setting.",
                code="tenant_mismatch",
            )
        yield account
    except SignInNeeded as needed:
        _note_refusal(run, needed, by_api=True, asked_at=asked_at)
        raise


def _account(run: Run, tokens: Tokens, before: SignInStatus | None, asked_at: datetime) -> Account:
    """Whose token it is. While Partner Center is known to refuse it, Entra is not asked either."""
    if before is not None and before.waits(run.now()):
        raise SignInNeeded(
            before.message or "Partner Center refuses the saved sign-in. Sign in again.",
            state=before.state,
            code=before.reason_code or "api_unauthorized",
            correlation_id=before.correlation_id,
        )
    tokens.forget()
    try:
        return tokens.token().account
    except SignInNeeded as needed:
        _note_refusal(run, needed, by_api=False, asked_at=asked_at)
        raise


def _note_refusal(run: Run, needed: SignInNeeded, *, by_api: bool, asked_at: datetime) -> None:
    """Store why a person is needed, unless somebody has signed in since `asked_at`."""
    before = run.store.load_sign_in() or SignInStatus(state=needed.state)
    refused = replace(
        before,
        state=needed.state,
        reason_code=needed.code,
        message=str(needed),
        correlation_id=needed.correlation_id,
        refused_by_api=by_api,
    )
    _note(run.store, refused, at=run.now(), unless_ok_after=asked_at)


def _note(
    store: Store, status: SignInStatus, *, at: datetime, unless_ok_after: datetime | None = None
) -> None:
    status = replace(status, checked_at=at, since_at=at)
    if store.save_sign_in(status, unless_ok_after=unless_ok_after):
        events.emit(
            "partner_center_sign_in_state_changed",
            level=logging.INFO if status.state is SignInState.OK else logging.ERROR,
            state=status.state,
            reason=status.reason_code,
            correlation_id=status.correlation_id,
        )


def _warn_of_age(status: SignInStatus, *, asked_at: datetime | None, now: datetime) -> None:
    """Warn once a day while nothing renews the sign-in; the stored state knows of the last time."""
    if status.renewed_at is not None and status.warns_anew(now, asked_at=asked_at):
        events.emit(
            "partner_center_sign_in_renewal_due",
            level=logging.WARNING,
            days=(now - status.renewed_at).days,
            renewed_at=status.renewed_at,
        )
