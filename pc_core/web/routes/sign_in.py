"""The sign-in to Partner Center by device code, from the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from pc_core.errors import SignInOutcome
from pc_core.reading import Instant, Text
from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import Body, HttpAnswer, Parameters, Route, Visit
from pc_core.web.query import BadParameter

if TYPE_CHECKING:
    from pc_core.identity.account import SignInProgress

SignInId = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,64}$", description="the id of a sign-in")]


class SignInBody(Body, frozen=True, kw_only=True):
    """Whether to start a sign-in, or to confirm the account of one.

    Attributes:
        id: of a sign-in that needs confirmation.
        confirm_account: the sign-in name that may replace another.
    """

    id: SignInId | None = None
    confirm_account: Text | None = None


class SignInParameters(Parameters, frozen=True, kw_only=True):
    """Which sign-in.

    Attributes:
        id: of the sign-in.
    """

    id: SignInId


class SignInStarted(Struct, frozen=True, kw_only=True):
    """A code that a person enters at `verification_uri`; `interval_s`: how often to poll."""

    id: str
    state: Literal["pending"] = "pending"
    user_code: str
    verification_uri: str
    expires_at: Instant
    interval_s: int
    message: str


class PolledSignIn(Struct, frozen=True, kw_only=True):
    """The state of a sign-in.

    Attributes:
        may_read_referrals: whether Partner Center let the account read; null before it was asked.
    """

    id: str
    state: SignInOutcome
    account: str | None
    may_read_referrals: bool | None
    reason_code: str | None
    message: str | None


def _start(visit: Visit, body: SignInBody) -> HttpAnswer:
    if body.id is not None:
        progress = visit.app.sign_in.poll(body.id, confirm_account=body.confirm_account)
        return _shown(body.id, progress)
    if body.confirm_account is not None:
        raise BadParameter("confirm_account", "needs the id of a sign-in")
    pending = visit.app.sign_in.start()
    return respond.json_answer(
        SignInStarted(
            id=pending.id,
            user_code=pending.user_code,
            verification_uri=pending.verification_uri,
            expires_at=pending.expires_at,
            interval_s=pending.interval_s,
            message=pending.message,
        ),
        status=201,
    )


def _poll(visit: Visit, wanted: SignInParameters) -> HttpAnswer:
    return _shown(wanted.id, visit.app.sign_in.poll(wanted.id))


def _shown(flow_id: str, progress: SignInProgress) -> HttpAnswer:
    return respond.json_answer(
        PolledSignIn(
            id=flow_id,
            state=progress.state,
            account=progress.username,
            may_read_referrals=progress.may_read_referrals,
            reason_code=progress.reason_code,
            message=progress.detail,
        )
    )


START = Route(
    path="api/v1/partner-center/sign-in",
    method="POST",
    who=Role.OPERATOR,
    given=SignInBody,
    handle=_start,
    operation_id="startSignIn",
    summary="Start a sign-in by device code, or confirm the account of one",
    answers={200: PolledSignIn, 201: SignInStarted},
)

POLL = Route(
    path="api/v1/partner-center/sign-in/{id}",
    method="GET",
    who=Role.OPERATOR,
    given=SignInParameters,
    handle=_poll,
    operation_id="pollSignIn",
    summary="Continue a sign-in as far as possible now",
    answers={200: PolledSignIn},
)
