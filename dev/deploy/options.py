"""The command line of `python3 -m dev deploy`.

Standard library only, Python 3.9 or newer: it is read before anything is installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

DATABASE_COMMANDS = ("erase", "import-earlier", "migrate", "status")
"""Commands of pc_core that need nothing but the database."""

HOOKS = (
    "grant_reader",
    "postprovision",
    "prepackage",
    "preprovision",
    "register_page_sign_in",
    "register_partner_center",
)

HOOKS_THAT_ONLY_LOOK = ("prepackage", "preprovision")
"""What the former makes lies in the clone."""


def parser() -> argparse.ArgumentParser:
    """Reads a command; its `needs_packages` says whether it needs the packages of the app."""
    deploy = argparse.ArgumentParser(
        prog="python3 -m dev deploy",
        description="The runbook's commands; docs/operations.md says when to use which.",
    )
    commands = deploy.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, text: str, *, changes: bool, needs_packages: bool = True
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(needs_packages=needs_packages)
        command.add_argument(
            "-e", "--environment", required=True, metavar="NAME", help="the azd environment"
        )
        if changes:
            command.add_argument(
                "--dry-run", action="store_true", help="say what would be done, change nothing"
            )
            command.add_argument(
                "--confirm", metavar="NAME", help="the environment's name once more: go on"
            )
        return command

    add("check", "See whether a deployment would go well.", changes=False)
    backing = add("backup", "Back the database up, or prove a backup.", changes=False)
    backing.add_argument(
        "--to", type=Path, default=Path("backups"), metavar="FOLDER", help="default: backups"
    )
    backing.add_argument("--verify", type=Path, metavar="FILE", help="prove this one instead")
    backing.add_argument(
        "--server",
        metavar="NAME",
        help="another server beside this environment's, such as one that Azure has restored",
    )
    looking = add("sql", "Ask the database; read-only until a statement ends that.", changes=False)
    looking.add_argument(
        "statement", nargs="?", metavar="SQL", help="without it, psql waits for questions"
    )
    restoring = add("restore", "Replace the database's content by a backup.", changes=True)
    restoring.add_argument("--from", dest="file", type=Path, required=True, metavar="FILE")
    releasing = add("release", "Check, back up, provision, deploy and try it.", changes=True)
    releasing.add_argument("--to", type=Path, default=Path("backups"), metavar="FOLDER")
    add("smoke", "Try the deployed app, a sync included.", changes=False, needs_packages=False)
    add("on-call", "Prove that this machine and person can follow the runbook.", changes=False)
    own = add("run", "Run a command of pc_core on this environment's database.", changes=True)
    own.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND",
        help=f"one of {', '.join(DATABASE_COMMANDS)}, with its own arguments",
    )
    hook = add("hook", "Run a script of infra/hooks with this environment's values.", changes=True)
    hook.add_argument("script", choices=HOOKS)
    hook.add_argument("arguments", nargs=argparse.REMAINDER, help="its own, such as --dry-run")
    back = add(
        "rollback", "Deploy the package before this one.", changes=True, needs_packages=False
    )
    back.add_argument("--to", type=Path, metavar="FILE", help="this package instead")
    return deploy
