"""The sign-in to Partner Center by device code, from the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pc_core.web import describe, respond
from pc_core.web.access import Role
from pc_core.web.exchange import Answer, Route, Visit
from pc_core.web.query import BadParameter, Members, Query

if TYPE_CHECKING:
    from pc_core.identity.account import SignInProgress

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


def _start(visit: Visit) -> Answer:
    """Begin a sign-in; or, with an id, go on with one by confirming its account."""
    members = Members(visit.request.body)
    flow_id, confirmed = members.text("id"), members.text("confirm_account")
    members.end()
    if flow_id is None:
        if confirmed is not None:
            raise BadParameter("confirm_account", "needs the id of a sign-in")
        pending = visit.app.sign_in.start()
        return respond.json_answer(
            {
                "id": pending.id,
                "state": "pending",
                "user_code": pending.user_code,
                "verification_uri": pending.verification_uri,
                "expires_at": pending.expires_at,
                "interval_s": pending.interval_s,
                "message": pending.message,
            },
            status=201,
        )
    return _shown(
        flow_id, visit.app.sign_in.poll(_checked(flow_id, "id"), confirm_account=confirmed)
    )


def _poll(visit: Visit) -> Answer:
    Query(visit.request.query).end()
    flow_id = _checked(visit.request.placeholders.get("id", ""), "id")
    return _shown(flow_id, visit.app.sign_in.poll(flow_id))


def _checked(flow_id: str, name: str) -> str:
    if not _ID.fullmatch(flow_id):
        raise BadParameter(name, "is not an id of a sign-in")
    return flow_id


def _shown(flow_id: str, progress: SignInProgress) -> Answer:
    return respond.json_answer(
        {
            "id": flow_id,
            "state": progress.state,
            "account": progress.username,
            "may_read_referrals": progress.may_read_referrals,
            "reason_code": progress.reason_code,
            "message": progress.detail,
        }
    )


START = Route(
    path="api/v1/partner-center/sign-in",
    method="POST",
    who=Role.OPERATOR,
    handle=_start,
    operation={
        "operationId": "startSignIn",
        "summary": "Begin a device code sign-in, or confirm the account of one",
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "id": {
                                "type": "string",
                                "description": "A sign-in that needs confirmation.",
                            },
                            "confirm_account": {
                                "type": "string",
                                "description": "The sign-in name that may replace another.",
                            },
                        },
                    }
                }
            },
        },
        "responses": {
            "200": describe.answer("How the sign-in with that id stands", "SignInProgress"),
            "201": describe.answer("A code to be entered by a person", "SignInStarted"),
        },
    },
)

POLL = Route(
    path="api/v1/partner-center/sign-in/{id}",
    method="GET",
    who=Role.OPERATOR,
    handle=_poll,
    operation={
        "operationId": "pollSignIn",
        "summary": "Go on with a sign-in as far as possible now",
        "parameters": [describe.placeholder("id", "Of the sign-in.")],
        "responses": {"200": describe.answer("How it stands", "SignInProgress")},
    },
)
