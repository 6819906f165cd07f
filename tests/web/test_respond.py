import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pc_core.errors import (
    BudgetEnded,
    FixSetting,
    InvalidResponse,
    LeaseLost,
    LinkRefused,
    OperatorNeeded,
    PartnerCenterSyncError,
    RowRefused,
    SignInNeeded,
    SignInState,
    TryLater,
)
from pc_core.sync.report import Counts, Failure, FailureKind, Report, RunState
from pc_core.web import respond
from pc_core.web.access import AccessRefusal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def report(state: RunState, failure: Failure | None = None) -> Report:
    return Report(
        task_id="11111111-2222-4333-8444-555555555555",
        state=state,
        trigger="http",
        mode="incremental",
        started_at=NOW,
        counts=Counts(fetched=3, inserted=1, skipped=2),
        failure=failure,
    )


def failed(kind: FailureKind, code: str, retry_after_s: float | None = None) -> Report:
    failure = Failure(kind=kind, code=code, message="What to do.", retry_after_s=retry_after_s)
    return report(RunState.FAILED, failure)


@pytest.mark.parametrize(
    ("run", "status", "code", "retry_after"),
    [
        (report(RunState.COMPLETED), 200, None, None),
        (report(RunState.PARTIAL), 202, None, None),
        (report(RunState.ALREADY_RUNNING), 409, "already_running", None),
        (report(RunState.FEATURE_DISABLED), 409, "feature_disabled", None),
        (report(RunState.INTERRUPTED), 503, "interrupted", "60"),
        (failed(FailureKind.SIGN_IN, "sign_in_needed"), 503, "sign_in_needed", None),
        (failed(FailureKind.SIGN_IN, "sign_in_needed", 5), 503, "sign_in_needed", None),
        (failed(FailureKind.TRY_LATER, "throttled", 12.2), 503, "throttled", "13"),
        (failed(FailureKind.TRY_LATER, "network"), 503, "network", "60"),
        (failed(FailureKind.NONSENSE, "nonsense_answer"), 502, "nonsense_answer", None),
        (failed(FailureKind.OPERATOR, "visibility_shrank"), 502, "visibility_shrank", None),
        (failed(FailureKind.FIX_SETTING, "api_forbidden"), 500, "api_forbidden", None),
        (failed(FailureKind.BUG, "unexpected_error"), 500, "unexpected_error", None),
        (report(RunState.FAILED), 500, "internal_error", None),
    ],
)
def test_a_runs_end_decides_the_answer(
    run: Report, status: int, code: str | None, retry_after: str | None
) -> None:
    answer = respond.from_report(run)
    body = json.loads(answer.body)

    assert answer.status == status
    assert answer.headers.get("Retry-After") == retry_after
    assert body["success"] is (status in (200, 202))
    assert body["task_id"] == run.task_id
    assert (body["fetched"], body["success_count"], body["skipped_count"]) == (3, 1, 2)
    assert body.get("code") == code
    is_problem = answer.headers["Content-Type"].startswith("application/problem+json")
    assert is_problem is (code is not None)
    if code is not None:
        assert body["status"] == status
        assert body["detail"]


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (FixSetting("m", code="c"), 500, None),
        (SignInNeeded("m", state=SignInState.SIGN_IN_NEEDED, code="c"), 503, None),
        (TryLater("m", code="c"), 503, "60"),
        (TryLater("m", code="c", retry_after_s=0.2), 503, "1"),
        (InvalidResponse("m", code="c"), 502, None),
        (LinkRefused("m"), 503, "60"),
        (OperatorNeeded("m", code="c"), 502, None),
        (LeaseLost("m"), 503, "60"),
        (BudgetEnded("m"), 503, "60"),
        (RowRefused("m", referral_id="r"), 500, None),
    ],
)
def test_an_errors_class_decides_the_answer(
    error: PartnerCenterSyncError, status: int, retry_after: str | None
) -> None:
    answer = respond.from_error(error)
    body = json.loads(answer.body)
    assert (answer.status, answer.headers.get("Retry-After")) == (status, retry_after)
    assert (body["code"], body["detail"], body["success"]) == (error.code, "m", False)


def test_a_member_cannot_replace_what_makes_a_problem_a_problem() -> None:
    members: dict[str, Any] = {"success": True, "title": "fine"}
    body = json.loads(respond.problem(500, "c", "d", members=members).body)
    assert (body["success"], body["title"]) == (False, "Internal Server Error")


def test_a_401_says_how_to_come_in() -> None:
    login = respond.refused(AccessRefusal(status=401, code="login_needed", detail="d"))
    assert login.headers["WWW-Authenticate"] == "Bearer"
    assert json.loads(login.body)["login_url"].startswith("/.auth/login/aad")
    key = respond.refused(AccessRefusal(status=401, code="api_key_needed", detail="d"))
    assert key.headers["WWW-Authenticate"] == "X-API-Key"
    assert "login_url" not in json.loads(key.body)


def test_numbers_keep_their_digits_and_instants_their_zone() -> None:
    body = respond.json_answer({"value": Decimal("123456789012345.67"), "at": NOW}).body
    assert body == b'{"value":123456789012345.67,"at":"2026-03-01T12:00:00Z"}'


def test_data_is_never_kept_and_nothing_may_frame_it() -> None:
    for answer in (respond.json_answer({}), respond.problem(404, "not_found", "d")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
