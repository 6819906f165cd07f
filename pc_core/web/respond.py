"""Results and errors as HTTP answers: the one place that chooses a status.

Errors are problem details (RFC 9457) with a stable `code`; all of them say `"success": false`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pc_core.errors import (
    BudgetEnded,
    InvalidResponse,
    LeaseLost,
    OperatorNeeded,
    PartnerCenterSyncError,
    SignInNeeded,
    TryLater,
)
from pc_core.sync.report import Failure, FailureKind, Report, RunState
from pc_core.web.access import LOGIN_URL, Refusal
from pc_core.web.exchange import Answer

RETRY_AFTER_S = 60
"""Told to callers where trying again makes sense and nobody named a time."""

_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_DATA_HEADERS = {
    **_SAFE_HEADERS,
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_PAGE_HEADERS = {
    **_SAFE_HEADERS,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def json_answer(
    payload: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Data as JSON, never to be cached.

    Args:
        payload: plain JSON types, dataclasses, aware datetimes (RFC 3339, `Z`), dates, and
            decimals, which become numbers with all their digits.
    """
    return Answer(
        status=status,
        headers={
            "Content-Type": "application/json; charset=utf-8",
            **_DATA_HEADERS,
            **(headers or {}),
        },
        body=_encode(payload),
    )


def bare_json_answer(payload: Mapping[str, object]) -> Answer:
    """As `json_answer`, for plain JSON types, without loading the encoder (health)."""
    return Answer(
        headers={"Content-Type": "application/json; charset=utf-8", **_DATA_HEADERS},
        body=json.dumps(payload).encode(),
    )


def csv_answer(body: bytes, *, file_name: str, headers: Mapping[str, str]) -> Answer:
    """A table for spreadsheets, to be saved under this name."""
    return Answer(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{file_name}"',
            **_DATA_HEADERS,
            **headers,
        },
        body=body,
    )


def page_answer(
    body: bytes,
    *,
    media_type: str,
    etag: str,
    cache: str,
    matches: bool = False,
    encoding: str | None = None,
) -> Answer:
    """The page or one of its files.

    Args:
        etag: quoted, from the content.
        cache: the Cache-Control.
        matches: the caller has this content already (If-None-Match): 304 without a body.
        encoding: the Content-Encoding that the body has; None: it is as it is.
    """
    return Answer(
        status=304 if matches else 200,
        headers={
            "Content-Type": media_type,
            "ETag": etag,
            "Cache-Control": cache,
            "Vary": "Accept-Encoding",
            **({"Content-Encoding": encoding} if encoding else {}),
            **_PAGE_HEADERS,
        },
        body=b"" if matches else body,
    )


def redirect(to: str) -> Answer:
    """Temporarily elsewhere, at a path of our own."""
    return Answer(
        status=302, headers={"Location": to, "Cache-Control": "no-store", **_SAFE_HEADERS}
    )


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> Answer:
    """A problem document.

    Args:
        code: stable, snake_case.
        detail: for people: what, and what to do next.
        members: further members of the document.
    """
    return Answer(
        status=status,
        headers={
            "Content-Type": "application/problem+json; charset=utf-8",
            **_DATA_HEADERS,
            **(headers or {}),
        },
        body=_encode(
            {
                "type": "about:blank",
                **(members or {}),
                "title": HTTPStatus(status).phrase,
                "status": status,
                "detail": detail,
                "code": code,
                "success": False,
            }
        ),
    )


def refused(refusal: Refusal) -> Answer:
    """A request that is not served; a 401 says how to come in."""
    if refusal.code == "login_needed":
        return problem(
            refusal.status,
            refusal.code,
            refusal.detail,
            headers={"WWW-Authenticate": "Bearer"},
            members={"login_url": LOGIN_URL},
        )
    challenge = {"WWW-Authenticate": "X-API-Key"} if refusal.status == 401 else {}
    return problem(refusal.status, refusal.code, refusal.detail, headers=challenge)


def bad_request(parameter: str, detail: str) -> Answer:
    """400 for one parameter, named."""
    return problem(400, "bad_parameter", detail, members={"parameter": parameter})


def not_found(what: str) -> Answer:
    """404 for a thing that is not stored."""
    return problem(404, "not_found", f"{what} is not stored here.")


def from_report(report: Report) -> Answer:
    """A run's result; the body always is the whole report."""
    match report.state:
        case RunState.COMPLETED:
            return json_answer(report.to_json())
        case RunState.PARTIAL | RunState.RUNNING:
            return json_answer(report.to_json(), status=202)
        case RunState.ALREADY_RUNNING:
            detail = "Another run is at work; its task_id is given. Nothing was done."
            return _report_problem(report, 409, "already_running", detail)
        case RunState.FEATURE_DISABLED:
            detail = "HUNTER_PARTNER_CENTER_ENABLED is false: nothing was done."
            return _report_problem(report, 409, "feature_disabled", detail)
        case RunState.INTERRUPTED:
            detail = "Another run took over; what was saved stays saved."
            return _report_problem(report, 503, "interrupted", detail, retry_after_s=RETRY_AFTER_S)
        case RunState.FAILED:
            return _from_failure(report, report.failure)


def from_error(
    error: PartnerCenterSyncError, *, members: Mapping[str, object] | None = None
) -> Answer:
    """An error of ours; its message is for people."""
    status, retry_after_s = _status_of(error)
    return problem(
        status, error.code, str(error), headers=_retry_header(retry_after_s), members=members
    )


def not_ready(error: PartnerCenterSyncError) -> Answer:
    """The same to somebody of whom nothing is known yet: no word of what it is about."""
    status, retry_after_s = _status_of(error)
    detail = "The app cannot tell yet who may read; its log says why."
    return problem(status, "not_ready", detail, headers=_retry_header(retry_after_s))


def from_bug() -> Answer:
    """An exception that nobody foresaw; its traceback is in the log, not here."""
    detail = "An unforeseen error; the app's log has its traceback."
    return problem(500, "internal_error", detail)


def _from_failure(report: Report, failure: Failure | None) -> Answer:
    if failure is None:
        return _report_problem(report, 500, "internal_error", "The run failed without a reason.")
    retry_after_s: float | None = None
    match failure.kind:
        case FailureKind.SIGN_IN:
            status = 503
        case FailureKind.TRY_LATER:
            status, retry_after_s = 503, failure.retry_after_s or RETRY_AFTER_S
        case FailureKind.NONSENSE | FailureKind.OPERATOR:
            status = 502
        case FailureKind.FIX_SETTING | FailureKind.BUG:
            status = 500
    return _report_problem(
        report, status, failure.code, failure.message, retry_after_s=retry_after_s
    )


def _report_problem(
    report: Report, status: int, code: str, detail: str, *, retry_after_s: float | None = None
) -> Answer:
    return problem(
        status, code, detail, headers=_retry_header(retry_after_s), members=report.to_json()
    )


def _status_of(error: PartnerCenterSyncError) -> tuple[int, float | None]:
    match error:
        case SignInNeeded():
            return 503, None
        case InvalidResponse():
            return 502, None
        case TryLater():
            return 503, error.retry_after_s or RETRY_AFTER_S
        case LeaseLost() | BudgetEnded():
            return 503, RETRY_AFTER_S
        case OperatorNeeded():
            return 502, None
        case _:
            return 500, None


def _retry_header(retry_after_s: float | None) -> dict[str, str]:
    return {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}


def _encode(payload: Any) -> bytes:
    import msgspec

    return msgspec.json.Encoder(decimal_format="number").encode(payload)
