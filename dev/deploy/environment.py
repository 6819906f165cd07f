"""The azd environment that a command works on, and the commands that it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dev.deploy.hooks import cloud
from dev.folders import CLONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An azd environment by its name.

    Attributes:
        folder: where its packages are kept; azd keeps its own files beside them.
        dry_run: changes are named and not made.
    """

    name: str
    folder: Path
    dry_run: bool = False

    @classmethod
    def load(cls, name: str, *, dry_run: bool = False) -> Environment:
        """Read its values into this process's environment, where hooks look for them.

        Raises:
            HookError: azd is missing or knows no such environment.
        """
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", name) is None:
            raise cloud.HookError(f"{name!r} cannot be an azd environment's name.")
        found = cls(name=name, folder=CLONE / ".azure" / name, dry_run=dry_run)
        for line in found.azd("env", "get-values", changes=False).splitlines():
            key, _, value = line.partition("=")
            os.environ[key] = value[1:-1].replace('\\"', '"') if value[:1] == '"' else value
        return found

    @property
    def is_deployed(self) -> bool:
        """Whether there are resources already."""
        return bool(os.environ.get("DATABASE_HOST"))

    def azd(self, *command: str, changes: bool = True) -> str:
        """Run azd for this environment and return what it printed; a dry run names it only.

        Raises:
            HookError: azd is missing or fails.
        """
        program = shutil.which("azd")
        if program is None:
            raise cloud.HookError("azd was not found; install the Azure Developer CLI.")
        whole = [program, *command, "--environment", self.name, "--no-prompt"]
        if changes and self.dry_run:
            cloud.say(f"  would run: azd {' '.join(whole[1:])}")
            return ""
        done = subprocess.run(
            whole,
            cwd=CLONE,
            stdin=subprocess.DEVNULL,
            stdout=None if changes else subprocess.PIPE,
            stderr=None if changes else subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = f": {done.stderr.strip()}" if done.stderr else "; its own words are above."
            elsewhere = (
                f" On another machine than the one that deployed: `azd env new {self.name}`, then "
                f"`azd env refresh -e {self.name}`."
                if command[:2] == ("env", "get-values")
                else ""
            )
            raise cloud.HookError(f"`azd {' '.join(command[:2])}` failed{reason}{elsewhere}")
        return done.stdout or ""


def confirm(environment: Environment, given: str | None) -> None:
    """Go on only if the caller has named the environment that will be changed.

    Raises:
        HookError: something else was given, or nothing.
    """
    if environment.dry_run or given == environment.name:
        return
    wrong = "no confirmation was given" if given is None else f"{given!r} is not its name"
    raise cloud.HookError(
        f"This changes the environment {environment.name}, and {wrong}. Nothing was done. "
        f"Add --confirm {environment.name} after -e {environment.name}."
    )
