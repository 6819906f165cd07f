"""Results and errors of the app as HTTP answers.

Errors are problem details (RFC 9457) with a stable `code`; all of them say `"success": false`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from pc_core.errors import (
    BudgetEnded,
    InvalidResponse,
    LeaseLost,
    OperatorNeeded,
    PartnerCenterSyncError,
    SignInNeeded,
    TryLater,
)
from pc_core.reading import Instant
from pc_core.sync.report import Counts, Failure, FailureKind, Report, RunState
from pc_core.web.access import LOGIN_URL, AccessRefusal
from pc_core.web.exchange import HttpAnswer

RETRY_AFTER_S = 60
"""For the Retry-After header, where the cause of the error named no time."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
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
) -> HttpAnswer:
    """Data as JSON, never to be cached.

    Args:
        payload: what msgspec encodes. Decimals become numbers with all their digits.
    """
    return HttpAnswer(
        status=status,
        headers={
            "Content-Type": "application/json; charset=utf-8",
            **_DATA_HEADERS,
            **(headers or {}),
        },
        body=_ENCODER.encode(payload),
    )


def csv_answer(body: bytes, *, file_name: str, headers: Mapping[str, str]) -> HttpAnswer:
    """A table for spreadsheets, to be saved under this name."""
    return HttpAnswer(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{file_name}"',
            **_DATA_HEADERS,
            **headers,
        },
        body=body,
    )


def file_answer(
    body: bytes,
    *,
    media_type: str,
    etag: str,
    cache: str,
    matches: bool = False,
    encoding: str | None = None,
) -> HttpAnswer:
    """A file of the static page.

    Args:
        etag: quoted, from the content.
        cache: the Cache-Control.
        matches: the caller has this content already (If-None-Match): 304 without a body.
        encoding: the Content-Encoding that the body has; None: it is as it is.
    """
    return HttpAnswer(
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


def redirect(to: str) -> HttpAnswer:
    """Temporarily elsewhere, at a path of our own."""
    return HttpAnswer(
        status=302, headers={"Location": to, "Cache-Control": "no-store", **_SAFE_HEADERS}
    )


class Problem(Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457).

    Attributes:
        detail: for people: what is wrong, and what to do next.
        code: stable, snake_case.
        parameter: the parameter or the body's member that is refused.
        login_url: where a person signs in.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    success: Annotated[bool, Meta(extra_json_schema={"const": False})] = False
    parameter: str | UnsetType = UNSET
    login_url: str | UnsetType = UNSET


class ShownRun(Counts, kw_only=True):
    """A run.

    Attributes:
        success: the run completed, or its time ended and the next run continues.
        task_id: the run id.
        success_count: rows inserted, updated or unchanged.
        failure_count: rows set aside in the quarantine.
    """

    success: bool
    task_id: str
    state: RunState
    trigger: str
    mode: str
    invocation_id: str | None
    started_at: Instant
    finished_at: Instant | None
    duration_s: float | None
    head_completed_at: Instant | None
    sweep_completed_at: Instant | None
    watermark_at: Instant | None
    success_count: int
    skipped_count: int
    failure_count: int
    error: Failure | None


class RunProblem(Problem, frozen=True, kw_only=True):
    """A problem that also has the counts of the run.

    Without a run they are zero and `task_id` is null. A held lease answers with the `task_id` of
    the run that has it.
    """

    task_id: str | None


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
    parameter: str | UnsetType = UNSET,
    login_url: str | UnsetType = UNSET,
) -> HttpAnswer:
    """A problem document; see `Problem`.

    Args:
        members: further members of the document.
    """
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        parameter=parameter,
        login_url=login_url,
    )
    return HttpAnswer(
        status=status,
        headers={
            "Content-Type": "application/problem+json; charset=utf-8",
            **_DATA_HEADERS,
            **(headers or {}),
        },
        body=_ENCODER.encode({**members, **to_builtins(document)} if members else document),
    )


def refused(refusal: AccessRefusal) -> HttpAnswer:
    """A refused request; a 401 says how to sign in."""
    if refusal.code == "login_needed":
        return problem(
            refusal.status,
            refusal.code,
            refusal.detail,
            headers={"WWW-Authenticate": "Bearer"},
            login_url=LOGIN_URL,
        )
    challenge = {"WWW-Authenticate": "X-API-Key"} if refusal.status == 401 else {}
    return problem(refusal.status, refusal.code, refusal.detail, headers=challenge)


def bad_request(parameter: str, detail: str) -> HttpAnswer:
    """400 for one parameter, named."""
    return problem(400, "bad_parameter", detail, parameter=parameter)


def not_found(what: str) -> HttpAnswer:
    """404 for a thing that is not stored."""
    return problem(404, "not_found", f"{what} is not stored here.")


def from_report(report: Report) -> HttpAnswer:
    """A run's result; the body always is the whole report."""
    match report.state:
        case RunState.COMPLETED:
            return json_answer(ShownRun(**report.to_json()))
        case RunState.PARTIAL | RunState.RUNNING:
            return json_answer(ShownRun(**report.to_json()), status=202)
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
) -> HttpAnswer:
    """An error of the app with its message, which is written for people."""
    status, retry_after_s = _status_of(error)
    return problem(
        status, error.code, str(error), headers=_retry_header(retry_after_s), members=members
    )


def not_ready(error: PartnerCenterSyncError) -> HttpAnswer:
    """The same for a caller whose role is not known yet, so without any detail."""
    status, retry_after_s = _status_of(error)
    detail = "The app cannot check access yet; its log says why."
    return problem(status, "not_ready", detail, headers=_retry_header(retry_after_s))


def from_bug() -> HttpAnswer:
    """An unexpected exception; its traceback is in the log, not in the answer."""
    detail = "An unforeseen error; the app's log has its traceback."
    return problem(500, "internal_error", detail)


def _from_failure(report: Report, failure: Failure | None) -> HttpAnswer:
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
) -> HttpAnswer:
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
