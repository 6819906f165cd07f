"""A release from check to smoke test, and the way back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dev.deploy import check
from dev.deploy.environment import Environment
from dev.deploy.hooks import cloud
from dev.folders import CLONE

PROVISION_WAIT_S = 120.0

CURRENT = "current.txt"
"""Beside the packages: the name of the one that was deployed last, whether it works or not."""


def release(
    environment: Environment,
    *,
    back_up: Callable[[], object],
    smoke: Callable[[datetime], object],
    now: Callable[[], datetime],
) -> None:
    """Check, back up, package, provision (which migrates), deploy, smoke test, in this order.

    Raises:
        HookError: a step failed; those after it were not begun.
    """
    package = packages(environment) / f"{now():%Y%m%dT%H%M%SZ}-{commit()}.zip"
    cloud.say("1. check")
    check.check(environment)
    cloud.say("2. backup")
    if not environment.is_deployed:
        cloud.say("  there is no database yet")
    elif environment.dry_run:
        cloud.say("  would back the database up and restore the backup into a scratch database")
    else:
        back_up()
    cloud.say("3. package")
    if not environment.dry_run:
        package.parent.mkdir(parents=True, exist_ok=True)
    environment.azd("package", "api", "--output-path", str(package))
    cloud.say("4. provision, and migrate the database")
    _provision(environment)
    cloud.say("5. deploy")
    if not environment.dry_run:
        # Noted before: whatever becomes of it, a rollback leads away from it.
        _note_current(environment, package)
    environment.azd("deploy", "api", "--from-package", str(package))
    began = now()
    cloud.say("6. smoke test")
    if environment.dry_run:
        cloud.say("  would ask the app whether it is healthy, closed, scheduled and able to sync")
        return
    # Its values may have come with this deployment.
    smoke_environment = Environment.load(environment.name)
    smoke(began)
    remember(smoke_environment, package)


def _provision(environment: Environment) -> None:
    # A change of settings also writes to the database server, which then refuses its next change
    # for a minute or two: ServerIsBusy, or an administrator that cannot be set.
    try:
        environment.azd("provision")
    except cloud.HookError:
        wait_s = float(os.environ.get("PROVISION_WAIT_S", PROVISION_WAIT_S))
        cloud.say(f"  not provisioned; trying once more in {wait_s:.0f} seconds")
        time.sleep(wait_s)
        environment.azd("provision")


def roll_back(
    environment: Environment,
    *,
    smoke: Callable[[datetime], object],
    now: Callable[[], datetime],
    to: Path | None = None,
) -> None:
    """Deploy the newest other package that has worked; the database stays, and serves both.

    Raises:
        HookError: there is none to go back to, or it does not work.
    """
    package = to or previous(environment)
    if not package.is_file():
        raise cloud.HookError(f"There is no package {package}. Nothing was done.")
    cloud.say(f"Back to {package.name}")
    environment.azd("deploy", "api", "--from-package", str(package))
    began = now()
    if environment.dry_run:
        return
    # Noted only now: if deploying it has failed, the next rollback takes it once more.
    _note_current(environment, package)
    smoke(began)
    remember(environment, package)


def packages(environment: Environment) -> Path:
    """The folder with the packages that were deployed."""
    return environment.folder / "packages"


def previous(environment: Environment) -> Path:
    """The newest package that has passed its smoke test and is not the current one.

    Raises:
        HookError: there is none.
    """
    noted = packages(environment) / CURRENT
    current = noted.read_text("utf-8").strip() if noted.is_file() else ""
    others = [name for name in _worked(environment) if name != current]
    if not others:
        raise cloud.HookError(
            "No other package has passed its smoke test here, so there is none to go back to. "
            "Nothing was done. Name one with --to, or release an older commit."
        )
    return packages(environment) / others[-1]


def remember(environment: Environment, package: Path) -> None:
    """Note that this package works."""
    folder = packages(environment)
    worked = [name for name in _worked(environment) if name != package.name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worked.json").write_text(json.dumps([*worked, package.name], indent=2) + "\n")


def commit() -> str:
    """The short name of the checked out commit, with `-changed` if files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=-changed", "--exclude=*"],
            cwd=CLONE,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _note_current(environment: Environment, package: Path) -> None:
    folder = packages(environment)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CURRENT).write_text(f"{package.name}\n", "utf-8")


def _worked(environment: Environment) -> list[str]:
    file = packages(environment) / "worked.json"
    return list(json.loads(file.read_text("utf-8"))) if file.is_file() else []
