"""What the hooks share: the az command, the azd environment, and saying what is done."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
WANTED_PYTHON = (3, 13)

ROLE_PROPAGATION_S = 300.0
"""Azure's role assignments take some minutes to count (Microsoft's documentation)."""


class HookError(Exception):
    """The step cannot be done; the message says what is wrong, what is safe and what to do."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The command line that every hook has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    return parser


def run(main: Callable[[], None]) -> int:
    """Run a hook and return its exit code."""
    if sys.version_info[:2] < WANTED_PYTHON:
        print("This needs Python 3.13 or newer, as the app itself does. Nothing was done.")
        return 1
    try:
        main()
    except HookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def use_project() -> None:
    """Let the app's own code be imported, wherever the hook was started from."""
    if str(PROJECT) not in sys.path:
        sys.path.insert(0, str(PROJECT))


def hook_command(script: str) -> str:
    """What to type to run a script of this folder with its environment's values."""
    name = os.environ.get("AZURE_ENV_NAME") or "NAME"
    return f"`python3 -m dev deploy hook -e {name} --confirm {name} {script}`"


def need(name: str) -> str:
    """An output of the deployment, from the azd environment.

    Raises:
        HookError: it is not set.
    """
    value = os.environ.get(name, "")
    if not value:
        raise HookError(
            f"{name} is not set. Nothing was done. Run this through azd, or with an environment's "
            "values: `python3 -m dev deploy hook -e NAME …`."
        )
    return value


def az(*command: str, secret_output: bool = False) -> Any:
    """Run az and return its answer, parsed; None if it gives none.

    Args:
        secret_output: the answer is one bare value that is never printed.

    Raises:
        HookError: az is missing, not signed in, or refuses.
    """
    program = shutil.which("az")
    if program is None:
        raise HookError(
            "The Azure CLI (az) was not found. Install it and sign in with `az login`; azd alone "
            "cannot do this step."
        )
    output = "tsv" if secret_output else "json"
    done = subprocess.run(
        [program, *command, "--output", output, "--only-show-errors"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise HookError(
            f"`az {' '.join(command[:3])}` failed: {done.stderr.strip() or 'no reason was given'}"
        )
    text = done.stdout.strip()
    if secret_output:
        return text
    return json.loads(text) if text else None


def signed_in() -> dict[str, Any]:
    """The account that az uses: `id` of its subscription, `user` with `name` and `type`.

    Raises:
        HookError: as `az`; or it is on another subscription than the azd environment.
    """
    account: dict[str, Any] = az("account", "show")
    wanted = os.environ.get("AZURE_SUBSCRIPTION_ID", "")
    if wanted and account["id"].lower() != wanted.lower():
        raise HookError(
            f"az is on the subscription {account['id']}, and this environment is in {wanted}. "
            f"Nothing was done. `az account set --subscription {wanted}`; if az does not know it, "
            "`az login` first."
        )
    return account


def az_rest(method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
    """Ask Azure Resource Manager or Microsoft Graph itself, where az's own commands change.

    Args:
        url: whole, or from its first slash on for Azure Resource Manager.

    Raises:
        HookError: as `az`.
    """
    command = ("rest", "--method", method, "--url", url)
    if body is None:
        return az(*command)
    # By a file: quoting JSON for the command line differs between systems.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "body.json")
        file.write_text(json.dumps(body), encoding="utf-8")
        kind = ("--headers", "Content-Type=application/json")
        return az(*command, *kind, "--body", f"@{file}")


def az_once_allowed(*command: str) -> Any:
    """Run az again and again while a fresh role assignment does not count yet.

    Raises:
        HookError: as `az`; or still refused after some minutes.
    """
    deadline = time.monotonic() + float(os.environ.get("ROLE_PROPAGATION_S", ROLE_PROPAGATION_S))
    while True:
        try:
            return az(*command)
        except HookError as error:
            # A network that is closed answers Forbidden too, and will not open by waiting.
            if "ForbiddenByRbac" not in str(error) or time.monotonic() > deadline:
                raise
            say("  not allowed yet (a role assignment takes some minutes); trying again …")
            time.sleep(15)


def when_it_has_spread(ask: Callable[..., Any], *arguments: Any) -> Any:
    """Ask again, by `az` or `az_rest`, while Entra ID does not know everywhere what was made.

    Raises:
        HookError: as they do; or still unknown after about a minute.
    """
    for attempt in range(7):
        try:
            return ask(*arguments)
        except HookError as error:
            unknown = any(word in str(error) for word in ("does not exist", "ResourceNotFound"))
            if not unknown or attempt == 6:
                raise
            time.sleep(float(os.environ.get("SPREAD_WAIT_S", "10")))
    return None


def ensure_service_principal(client_id: str) -> None:
    """Let the tenant know a registration as an enterprise application.

    Raises:
        HookError: as `az`.
    """
    if not az("ad", "sp", "list", "--filter", f"appId eq '{client_id}'"):
        when_it_has_spread(az, "ad", "sp", "create", "--id", client_id)


def azd_set(name: str, value: str) -> None:
    """Put a value into the azd environment, where there is an azd.

    Raises:
        HookError: azd refuses.
    """
    program = shutil.which("azd")
    if program is None:
        say(f"  azd was not found; set {name}={value} yourself")
        return
    environment = os.environ.get("AZURE_ENV_NAME")
    which = ["--environment", environment] if environment else []
    done = subprocess.run(
        [program, "env", "set", name, value, *which], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise HookError(f"`azd env set {name}` failed: {done.stderr.strip()}")
    say(f"  azd environment: {name} is set")
