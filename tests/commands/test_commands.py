"""What an operator types, what it prints, and how it exits."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dev.simulator import Simulator
from pc_core.wiring.app import App
from tests.commands.conftest import CLONE, Outcome

Command = Callable[..., Outcome]
COMMANDS = ("migrate", "sign-in", "sync", "status", "replay-quarantine", "erase", "import-earlier")


def test_help_names_every_command(command: Command) -> None:
    outcome = command("--help")

    assert outcome.code == 0
    assert all(name in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(command: Command, name: str) -> None:
    outcome = command(name, "--help")

    assert outcome.code == 0
    assert "--json" in outcome.out


def test_wrong_settings_are_named_without_values_and_exit_with_2(command: Command) -> None:
    outcome = command(
        "sync", "--json", HUNTER_PARTNER_CENTER_OVERLAP="hush", HUNTER_RETENTION_DAYS="hush"
    )

    assert outcome.code == 2
    assert outcome.json["error"]["code"] == "config_invalid"
    assert "HUNTER_PARTNER_CENTER_OVERLAP" in outcome.out
    assert "HUNTER_RETENTION_DAYS" in outcome.out
    assert "hush" not in outcome.out + outcome.err


def test_a_database_out_of_reach_is_a_failure_that_says_so(command: Command) -> None:
    outcome = command("sync", HUNTER_DATABASE_URL="postgresql://nobody:hush@127.0.0.1:9/none")

    assert outcome.code == 1
    assert "database_unavailable" in outcome.err
    assert "hush" not in outcome.err


def test_an_empty_database_is_told_apart_and_then_migrated(
    command: Command, empty_database_url: str
) -> None:
    def run(*arguments: str) -> Outcome:
        return command(*arguments, "--json", HUNTER_DATABASE_URL=empty_database_url)

    before, sync = run("migrate", "--status"), run("sync")
    applied, again = run("migrate"), run("migrate")

    assert (before.code, before.json["current"]) == (1, None)
    assert (sync.code, sync.json["error"]["code"]) == (2, "migration_missing")
    assert (applied.code, applied.json["pending"]) == (0, [])
    assert applied.json["current"] == applied.json["expected"]
    assert (again.code, again.json["applied"]) == (0, [])


def test_a_sync_before_the_sign_in_fails_and_asks_for_it(
    command: Command, simulator: Simulator
) -> None:
    outcome = command("sync", "--json")

    assert outcome.code == 1
    assert outcome.json["state"] == "failed"
    assert outcome.json["error"]["kind"] == "sign_in"
    assert not [request for request in simulator.requests if "referrals" in request.path]


def test_a_sign_in_shows_the_code_and_ends_after_the_account_has_read(
    command: Command, simulator: Simulator
) -> None:
    simulator.entra.behaviour.device_interval_s = 1
    simulator.entra.behaviour.auto_approve_after_s = 0.5

    outcome = command("sign-in", "--json")

    assert outcome.code == 0, outcome.err
    assert outcome.json["may_read_referrals"] is True
    assert outcome.json["account"] == simulator.entra.account.username
    assert simulator.device_url in outcome.err
    assert any("referrals" in request.path for request in simulator.requests)
    assert command("sync", "--json").json["state"] == "completed"


def test_a_declined_sign_in_is_a_failure(command: Command, simulator: Simulator) -> None:
    simulator.entra.behaviour.device_interval_s = 1
    simulator.entra.fail_with(65001, grant="device_code")
    simulator.entra.behaviour.auto_approve_after_s = 0.1

    outcome = command("sign-in", "--json")

    assert outcome.code == 1
    assert outcome.json["success"] is False


def test_a_sync_prints_its_result_as_the_last_line(command: Command, signed_in: App) -> None:
    first, text = command("sync", "--json"), command("sync")

    assert first.code == 0
    assert first.json["success"] is True
    assert first.json["task_id"]
    assert first.json["success_count"] == first.json["inserted"] > 0
    assert first.json["skipped_count"] == sum(first.json["skipped_reasons"].values()) > 0
    assert text.code == 0
    assert "completed" in text.out


def test_with_the_flag_off_nothing_is_done_and_said_so(command: Command) -> None:
    outcome = command("sync", "--json", HUNTER_PARTNER_CENTER_ENABLED="false")

    assert outcome.code == 3
    assert (outcome.json["success"], outcome.json["state"]) == (False, "feature_disabled")


def test_status_tells_how_things_stand(command: Command, signed_in: App) -> None:
    command("sync")

    outcome, text = command("status", "--json"), command("status")

    assert outcome.code == 0
    assert outcome.json["sign_in"]["state"] == "ok"
    assert outcome.json["last_success_at"]
    assert outcome.json["counts"]["referrals"] > 0
    assert "last_success_at" in text.out


def test_event_lines_hold_no_personal_data(
    command: Command, signed_in: App, simulator: Simulator
) -> None:
    outcome = command("sync", "--log")

    events = outcome.err
    assert "partner_center_sync_summary" in events
    for wire in simulator.state.truth():
        customer = wire.get("customerProfile") or {}
        people = [*(customer.get("team") or []), *(wire.get("team") or [])]
        for person in people:
            for field in ("email", "phoneNumber", "lastName"):
                value = (person.get(field) or "").strip()
                assert not value or len(value) < 4 or value not in events


def test_an_erased_customer_does_not_come_back(
    command: Command, signed_in: App, database_url: str
) -> None:
    command("sync")
    with psycopg.connect(database_url) as connection:
        domain = connection.execute(
            "SELECT domain FROM partner_center_referrals WHERE domain IS NOT NULL LIMIT 1"
        ).fetchone()
    assert domain is not None

    def left() -> int:
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM partner_center_referrals WHERE domain = %s", domain
            ).fetchone()
        assert row is not None
        return int(row[0])

    dry = command("erase", "--domain", domain[0], "--json")
    after_dry = left()
    real = command("erase", "--domain", f" www.{domain[0].upper()}", "--yes", "--json")
    again = command("sync", "--mode", "full", "--json")

    assert (dry.code, real.code, again.code) == (0, 0, 0), dry.out + real.out + again.out
    assert dry.json["referrals"] == real.json["referrals"] == after_dry > 0
    assert left() == 0
    assert again.json["skipped_reasons"]["erased"] >= after_dry


def test_a_domain_that_no_company_can_have_erases_nothing(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    child = start("erase", "--domain", "com.tr", "--yes")
    _, err = child.communicate(timeout=60)

    assert child.returncode == 2
    assert "no company's domain, such as contoso.com" in err


def test_a_replay_of_an_empty_quarantine_succeeds(command: Command, signed_in: App) -> None:
    outcome = command("replay-quarantine", "--json")

    assert outcome.code == 0
    assert outcome.json["state"] == "completed"


def test_no_command_is_a_usage_error(start: Callable[..., subprocess.Popen[str]]) -> None:
    child = start()
    _, err = child.communicate(timeout=60)

    assert child.returncode == 2
    assert "usage" in err


@pytest.mark.parametrize("enabled", ["true", "false"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("migrate",),
        ("migrate", "--status"),
        ("status",),
        ("erase", "--domain", "customer.example"),
        ("erase", "--domain", "customer.example", "--yes"),
        ("import-earlier", "--from", "{database}", "--dry-run"),
    ],
    ids=" ".join,
)
def test_what_needs_the_database_alone_asks_for_no_other_setting(
    database_url: str, tmp_path: Path, arguments: tuple[str, ...], enabled: str
) -> None:
    given = [each.format(database=database_url) for each in arguments]

    done = subprocess.run(
        [sys.executable, "-m", "pc_core", *given, "--json"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CLONE),
            "HUNTER_PARTNER_CENTER_ENABLED": enabled,
            "HUNTER_DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    if arguments[0] == "import-earlier":
        # It has looked, and found this system's own table.
        assert outcome.json["error"]["code"] == "earlier_table_missing"
        return
    assert outcome.code == 0, outcome.out + outcome.err
    if arguments[0] == "status":
        assert outcome.json["enabled"] is (enabled == "true")


@pytest.mark.parametrize("name", ["sync", "sign-in", "replay-quarantine"])
def test_what_syncs_names_all_that_is_missing_before_it_begins(
    database_url: str, tmp_path: Path, name: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pc_core", name, "--json"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CLONE),
            "HUNTER_PARTNER_CENTER_ENABLED": "true",
            "HUNTER_DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    for setting in ("CLIENT_ID", "TENANT_ID", "AzureWebJobsStorage", "HUNTER_TOKEN_CACHE_KEY"):
        assert setting in done.stdout
