"""What the commands of `python3 -m dev deploy` do."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from dev.deploy import backup, check, on_call, release, smoke
from dev.deploy.environment import Environment, confirm
from dev.deploy.hooks import cloud, database
from dev.deploy.options import DATABASE_COMMANDS, HOOKS_THAT_ONLY_LOOK
from dev.folders import CLONE

SMOKE_LOOKS_BACK = timedelta(minutes=30)


def main(options: argparse.Namespace) -> int:
    """Run one command; returns the exit code."""
    try:
        environment = Environment.load(
            options.environment, dry_run=getattr(options, "dry_run", False)
        )
        if hasattr(options, "confirm") and not _only_looks(options):
            confirm(environment, options.confirm)
        _run(environment, options)
    except cloud.HookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _run(environment: Environment, options: argparse.Namespace) -> None:
    match options.command:
        case "check" | "on-call" as look:
            (check.check if look == "check" else on_call.prove)(environment)
        case "sql":
            _look(options.statement)
        case "backup" if options.verify:
            with _database() as url:
                backup.prove(options.verify, backup.load_manifest(options.verify), url)
            cloud.say(f"{options.verify} can be restored, and holds what was backed up.")
        case "backup":
            if options.server:
                _turn_to(options.server)
            _back_up(environment, options.to)
        case "restore":
            _restore(environment, options.file)
        case "release":
            release.release(
                environment,
                back_up=lambda: _back_up(environment, options.to),
                smoke=_smoke,
                now=backup.utc_now,
            )
        case "smoke":
            _smoke(backup.utc_now() - SMOKE_LOOKS_BACK)
        case "run":
            _run_own(environment, _own_arguments(options))
        case "hook":
            _run_hook(environment, options.script, options.arguments)
        case "rollback":
            release.roll_back(environment, smoke=_smoke, now=backup.utc_now, to=options.to)


def _own_arguments(options: argparse.Namespace) -> list[str]:
    given = [each for each in options.arguments if each != "--"]
    if not given or given[0] not in DATABASE_COMMANDS:
        raise cloud.HookError(f"Name one of {', '.join(DATABASE_COMMANDS)} after --.")
    return given


def _only_looks(options: argparse.Namespace) -> bool:
    if options.command == "hook":
        return options.script in HOOKS_THAT_ONLY_LOOK or "--dry-run" in options.arguments
    if options.command != "run":
        return False
    from pc_core.__main__ import parser

    # Its own parser knows what an abbreviated option means.
    own = parser().parse_args(_own_arguments(options))
    return bool(
        own.command == "status"
        or (own.command == "erase" and not own.yes)
        or (own.command == "migrate" and own.status)
        or (own.command == "import-earlier" and own.dry_run)
    )


def _run_own(environment: Environment, arguments: Sequence[str]) -> None:
    if environment.dry_run:
        cloud.say(f"Would run: python -m pc_core {' '.join(arguments)}")
        return
    with _database() as url:
        done = subprocess.run(
            [sys.executable, "-m", "pc_core", *arguments],
            cwd=CLONE,
            env={**os.environ, "HUNTER_DATABASE_URL": url},
            check=False,
        )
    if done.returncode != 0:
        raise cloud.HookError(f"`pc_core {arguments[0]}` ended with {done.returncode}.")


def _run_hook(environment: Environment, script: str, arguments: Sequence[str]) -> None:
    dry = ["--dry-run"] if environment.dry_run else []
    done = subprocess.run(
        [sys.executable, str(CLONE / "infra" / "hooks" / f"{script}.py"), *arguments, *dry],
        cwd=CLONE,
        env={**os.environ, "AZURE_ENV_NAME": environment.name},
        check=False,
    )
    if done.returncode != 0:
        raise cloud.HookError(f"{script} ended with {done.returncode}.")


def _look(statement: str | None) -> None:
    program = shutil.which("psql")
    if program is None:
        raise cloud.HookError("psql was not found; install PostgreSQL's client programs.")
    with _database() as url:
        place, secret = backup.without_password(url)
        asked = () if statement is None else ("--command", statement)
        done = subprocess.run(
            [program, place, "--no-psqlrc", "--pset=pager=off", *asked],
            env={
                **os.environ,
                **secret,
                "PGOPTIONS": "-c default_transaction_read_only=on",
                "PGAPPNAME": "partner-center-runbook",
            },
            check=False,
        )
    if done.returncode != 0:
        raise cloud.HookError(f"psql ended with {done.returncode}.")


def _turn_to(server: str) -> None:
    """Work on another server of the same resource group."""
    _, dot, domain = cloud.need("DATABASE_HOST").partition(".")
    os.environ["DATABASE_SERVER"], os.environ["DATABASE_HOST"] = server, f"{server}{dot}{domain}"


def _smoke(since: datetime) -> None:
    smoke.smoke(smoke.open_probe(), since=since)


def _back_up(environment: Environment, folder: Path) -> None:
    with _database() as url:
        file = backup.make(url, folder, label=environment.name, now=backup.utc_now())
    cloud.say(f"  {file}: restored into a scratch database and compared, table by table.")


def _restore(environment: Environment, file: Path) -> None:
    if environment.dry_run:
        manifest = backup.load_manifest(file)
        rows = ", ".join(
            f"{name} {found[0]}"
            for name, found in manifest["contents"].items()
            if name != backup.DEFINITIONS
        )
        cloud.say(f"Would replace the database's content by that of {manifest['made_at']}: {rows}.")
        return
    with _database() as url:
        backup.restore(file, url, app_role=cloud.need("APP_IDENTITY_NAME"))
    cloud.say(f"The database holds what {file.name} holds. The next run brings what is newer.")


@contextmanager
def _database() -> Iterator[str]:
    with database.open_to_us():
        yield database.url(cloud.need("DATABASE_NAME"), token=database.administrator_token())
