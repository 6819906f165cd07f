"""What is wrong is told by whoever asks next: a new process, that knows the database alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from dev.simulator import Simulator
from dev.simulator.faults import Fault
from pc_core.config import Settings
from pc_core.health.readiness import Ready
from pc_core.wiring.app import App
from tests.promise.trials import events_of

SUMMARY = "partner_center_sync_summary"


@dataclass(frozen=True, slots=True)
class Synced:
    """An app whose first run has completed, and the settings that it was made of."""

    app: App
    given: dict[str, str]

    def fresh(self, **other: str) -> App:
        """A new process's app; `other` settings in place of some."""
        return App(Settings.from_env({**self.given, **other}))


@pytest.fixture
def synced(signed_in: App, settings: dict[str, str]) -> Iterator[Synced]:
    made = Synced(signed_in, settings)
    assert signed_in.sync(trigger="timer").state == "completed"
    assert level(made) == ("ready", "ok", set())
    yield made
    signed_in.close()


def change(synced: Synced, statement: LiteralString, *values: object) -> None:
    with psycopg.connect(synced.app.parts.database_url, autocommit=True) as sql:
        sql.execute(statement, values)


def level(synced: Synced, **other: str) -> tuple[str, str, set[str]]:
    """Readiness, level and alarms, as an app that has just started tells them."""
    fresh = synced.fresh(**other)
    ready, shown = fresh.health(), fresh.status()
    fresh.close()
    return ready.state, shown["level"], {alarm["code"] for alarm in shown["alarms"]}


def readiness(synced: Synced, **other: str) -> Ready:
    fresh = synced.fresh(**other)
    ready = fresh.health()
    fresh.close()
    return ready


def failing_part(ready: Ready) -> dict[str, str]:
    return {part: told for part, told in ready.checks.items() if told not in ("ok", "unknown")}


Trouble = Callable[[Simulator], object]

RUN_TROUBLES: dict[str, tuple[Trouble, set[str]]] = {
    "nonsense": (
        lambda simulator: simulator.faults.add(Fault(kind="html", target="list", times=None)),
        {"last_run_failed"},
    ),
    "role lost": (
        lambda simulator: simulator.faults.add(
            Fault(kind="access_denied", target="list", times=None)
        ),
        {"last_run_failed"},
    ),
    "empty answer": (
        lambda simulator: simulator.state.set_visible(0),
        {"last_run_failed"},
    ),
    "sees a tenth": (
        lambda simulator: simulator.state.set_visible(0.1),
        {"visibility_shrank"},
    ),
    "refused by the API": (
        lambda simulator: simulator.faults.add(Fault(kind="empty_401", target="list", times=None)),
        {"sign_in_needed"},
    ),
    "a broken row": (
        lambda simulator: simulator.state.add_raw("broken", b'{"id":"broken","name":1}'),
        {"quarantine"},
    ),
}


@pytest.mark.parametrize("name", RUN_TROUBLES)
def test_what_a_run_met_is_told_at_once_by_a_new_process(
    synced: Synced, simulator: Simulator, name: str
) -> None:
    trouble, expected = RUN_TROUBLES[name]
    trouble(simulator)

    synced.app.sync(trigger="timer", mode="full")

    _, how, codes = level(synced)
    assert codes == expected
    assert how == ("attention" if name == "a broken row" else "failing")
    simulator.faults.clear()
    simulator.state.set_visible(1)


TOLD: dict[str, tuple[LiteralString, set[str], dict[str, str]]] = {
    "silence": (
        "UPDATE partner_center_sync_state SET last_success_at = now() - interval '45 min'",
        {"missed"},
        {"last_success": "too_old"},
    ),
    "never a success": (
        """UPDATE partner_center_sync_state SET last_success_at = NULL;
        UPDATE partner_center_sync_runs SET started_at = now() - interval '45 min'""",
        {"missed"},
        {"last_success": "too_old"},
    ),
    "no sweep": (
        "UPDATE partner_center_sync_state SET last_sweep_at = now() - interval '49 h'",
        {"sweep_overdue"},
        {},
    ),
    "drift": (
        "UPDATE partner_center_sync_runs SET counts = jsonb_set(counts, '{drift}', '3')",
        {"drift"},
        {},
    ),
    "killed": (
        "UPDATE partner_center_sync_runs SET state = 'interrupted'",
        {"last_run_interrupted"},
        {},
    ),
    "old refresh token": (
        """UPDATE partner_center_sync_state SET sign_in = jsonb_set(sign_in::jsonb,
        '{renewed_at}', to_jsonb(now() - interval '76 days'))::json""",
        {"renewal_due"},
        {},
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_the_database_remembers_is_told_by_a_new_process(synced: Synced, name: str) -> None:
    statement, expected, parts = TOLD[name]
    change(synced, statement)

    _, _, codes = level(synced)

    assert codes == expected
    assert failing_part(readiness(synced)) == parts


def test_silence_is_told_after_the_third_scheduled_time_and_not_before(synced: Synced) -> None:
    """The schedule is every ten minutes; nothing in the app has to run for it."""
    for minutes, late in ((19, False), (31, True)):
        change(
            synced,
            "UPDATE partner_center_sync_state SET last_success_at = %s",
            datetime.now(UTC) - timedelta(minutes=minutes),
        )
        assert (failing_part(readiness(synced)) != {}) is late
        assert synced.fresh().status()["missed"] is late


def test_what_is_out_of_reach_is_named_as_the_failing_part(synced: Synced) -> None:
    for other, part, code in (
        ({"HUNTER_DATABASE_URL": "postgresql://a:b@127.0.0.1:9/x"}, "database", None),
        (
            {
                "AzureWebJobsStorage": "DefaultEndpointsProtocol=http;AccountName=a;"
                "AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:9/a;"
            },
            "storage",
            None,
        ),
    ):
        ready = readiness(synced, **other)
        assert ready.state == "not_ready"
        told = failing_part(ready)
        assert part in told
        assert code in (None, told[part])
    change(synced, "UPDATE partner_center_schema_version SET version_num = '0001'")
    assert "migration" in failing_part(readiness(synced))


def test_readiness_of_a_disabled_app_is_disabled_and_not_an_alarm(synced: Synced) -> None:
    ready = readiness(synced, HUNTER_PARTNER_CENTER_ENABLED="false")

    assert (ready.state, dict(ready.checks)) == ("disabled", {})


def test_every_run_leaves_the_line_that_the_alert_for_silence_counts(
    synced: Synced, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The alert asks for `completed heads` in the log: failures must not look like one."""
    caplog.set_level("INFO", "pc_core")
    outcomes: list[tuple[str, bool]] = []

    def run(**wished: Any) -> None:
        caplog.clear()
        synced.app.sync(trigger="timer", **wished)
        (line,) = events_of(caplog.records, SUMMARY)
        assert line["trigger"] == "timer"
        assert {"state", "head_completed_at", "task_id", "duration_s", "error_code"} <= line.keys()
        outcomes.append((line["state"], line["head_completed_at"] is not None))

    run()
    simulator.faults.add(Fault(kind="html", target="list"))
    run()
    simulator.behaviour.page_size = 5
    simulator.state.change_some(1)
    run(mode="full", budget_s=0.001)
    simulator.behaviour.page_size = 100
    simulator.entra.revoke(access_tokens=True)
    synced.app.parts.tokens.forget()
    run()

    assert outcomes[0] == ("completed", True)
    assert outcomes[1] == ("failed", False)
    assert outcomes[2] == ("partial", False)
    assert outcomes[3] == ("failed", False)


def test_a_refused_run_and_one_that_could_not_begin_leave_a_line_too(
    synced: Synced, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pc_core")
    change(
        synced,
        "UPDATE partner_center_sync_state SET lease_fence = lease_fence + 1,"
        " lease_task_id = 'another', lease_expires_at = now() + interval '1 min'",
    )

    assert synced.app.sync(trigger="timer").state == "already_running"

    (line,) = events_of(caplog.records, SUMMARY)
    assert (line["state"], line["head_completed_at"]) == ("already_running", None)
    assert not line["success"]
