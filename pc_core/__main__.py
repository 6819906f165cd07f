"""The command line, `python -m pc_core`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pc_core import commands


def parser() -> argparse.ArgumentParser:
    """The command line's parser; every command has `--json`, `--log` and `--help`."""
    top = argparse.ArgumentParser(
        prog="python -m pc_core",
        description="Syncs Partner Center referrals to PostgreSQL. Reads its settings from the "
        "environment, and from local.settings.json in the current folder.",
        epilog="Exit codes: 0 success, 1 failure, 2 wrong settings or arguments, 3 nothing was "
        "done (another run is under way, the feature flag is off, or a confirmation is missing).",
    )
    all_commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        command = all_commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line"
        )
        command.add_argument(
            "--log",
            action="store_true",
            help="write the log events to standard error, one JSON object a line",
        )
        return command

    migrate = add("migrate", "Apply the database migrations that this release needs.")
    migrate.add_argument(
        "--status",
        action="store_true",
        help="apply nothing; show the schema's revision and the one that this release expects",
    )
    sign_in = add("sign-in", "Sign in to Partner Center with a device code.")
    sign_in.add_argument(
        "--confirm-account",
        metavar="NAME",
        help="sign-in name of the new account; needed to replace another account",
    )
    sync = add("sync", "Start a sync and wait for its end.")
    sync.add_argument(
        "--mode",
        choices=("incremental", "full"),
        default="incremental",
        help="incremental (default): read what changed; full: read every referral",
    )
    sync.add_argument(
        "--accept-missing",
        action="store_true",
        help="mark referrals that Partner Center no longer has as missing, however many",
    )
    add("status", "Show the status of sign-in, sync and data.")
    add("replay-quarantine", "Process the quarantined referrals again with this release's rules.")
    erase = add("erase", "Erase a customer. Without --yes, show what would be erased.")
    which = erase.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--referral-id",
        action="append",
        metavar="ID",
        help="id of a referral to erase; may be repeated",
    )
    which.add_argument(
        "--domain",
        metavar="DOMAIN",
        type=_company_domain,
        help="erase every referral of this company; www.contoso.com means contoso.com",
    )
    erase.add_argument("--yes", action="store_true", help="erase; this cannot be undone")
    earlier = add("import-earlier", "Import the earlier system's table partner_center_referrals.")
    earlier.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="URL",
        help="libpq URL of the earlier database, which is only read; the password may be in "
        "PGPASSWORD or in a password file",
    )
    earlier.add_argument(
        "--dry-run", action="store_true", help="write nothing; show what would be imported"
    )
    earlier.add_argument(
        "--report",
        metavar="FILE",
        help="create this file and write to it, one JSON object a line, every row that differs or "
        "has values for which the new table has no column",
    )
    return top


def _company_domain(text: str) -> str:
    from pc_core.referral.suffixes import registrable_domain

    found = registrable_domain(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no company's domain, such as contoso.com")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return commands.run(parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
