"""The timer's run: which outcomes are a failed invocation."""

import json
from typing import Any

import pytest

from pc_core.errors import FixSetting
from pc_core.sync.report import Failure, FailureKind, RunState
from pc_core.wiring.timer import RunFailed, run_on_schedule
from tests.web.serving import MemoryApp, report


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "state",
    [
        RunState.COMPLETED,
        RunState.PARTIAL,
        RunState.ALREADY_RUNNING,
        RunState.FEATURE_DISABLED,
    ],
)
def test_an_expected_outcome_is_no_failure(state: RunState, late: bool) -> None:
    app = MemoryApp(outcome=report(state))
    run_on_schedule(lambda: app, is_late=late, invocation_id="invocation")
    assert app.ran == [
        {"trigger": "timer-late" if late else "timer", "invocation_id": "invocation"}
    ]


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (
            report(
                RunState.FAILED,
                failure=Failure(
                    kind=FailureKind.SIGN_IN, code="sign_in_needed", message="Sign in."
                ),
            ),
            "sign_in_needed: Sign in.",
        ),
        (report(RunState.INTERRUPTED), "interrupted"),
        (FixSetting("Apply the migration.", code="migration_missing"), "Apply the migration"),
    ],
)
def test_a_failed_run_is_a_failed_invocation(outcome: Any, says: str) -> None:
    app = MemoryApp(outcome=outcome)
    with pytest.raises(RunFailed, match=says):
        run_on_schedule(lambda: app, is_late=False, invocation_id=None)


def test_wrong_settings_are_a_failed_invocation() -> None:
    def no_app() -> MemoryApp:
        raise FixSetting("Wrong settings.", code="config_invalid")

    with pytest.raises(RunFailed, match="config_invalid: Wrong settings"):
        run_on_schedule(no_app, is_late=False, invocation_id=None)


def test_an_unforeseen_error_leaves_the_line_that_the_alert_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken_app() -> MemoryApp:
        raise OverflowError("date value out of range")

    with pytest.raises(OverflowError):
        run_on_schedule(broken_app, is_late=False, invocation_id="invocation")

    [line] = [json.loads(record.message) for record in caplog.records]
    assert (line["event"], line["code"]) == ("partner_center_sync_failed", "unexpected_error")
    assert line["invocation_id"] == "invocation"
