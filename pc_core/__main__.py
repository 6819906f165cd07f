"""`python -m pc_core`: everything an operator does without the page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pc_core import commands


def parser() -> argparse.ArgumentParser:
    """The command line; every command knows `--json` and `--help`."""
    top = argparse.ArgumentParser(
        prog="python -m pc_core",
        description="Partner Center sync: settings come from the environment, or from "
        "local.settings.json in this folder.",
        epilog="Exit codes: 0 success, 1 failure, 2 wrong settings or arguments, 3 nothing was "
        "done (already running, feature off, confirmation missing).",
    )
    all_commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        command = all_commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line"
        )
        command.add_argument(
            "--log", action="store_true", help="write the app's event lines to standard error"
        )
        return command

    migrate = add("migrate", "Bring the database's schema up to this release.")
    migrate.add_argument(
        "--status", action="store_true", help="only say which revision is there and which is due"
    )
    sign_in = add("sign-in", "Sign in to Partner Center with a device code.")
    sign_in.add_argument(
        "--confirm-account",
        metavar="NAME",
        help="the sign-in name of the new account, if another one was signed in before",
    )
    sync = add("sync", "Run one sync now.")
    sync.add_argument(
        "--mode",
        choices=("incremental", "full"),
        default="incremental",
        help="full: read every referral, not only what changed",
    )
    sync.add_argument(
        "--accept-missing",
        action="store_true",
        help="accept that referrals are gone from Partner Center, however many",
    )
    add("status", "Say how sign-in, sync and data stand.")
    add("replay-quarantine", "Read the rows in quarantine again with this release's rules.")
    erase = add("erase", "Erase a customer; without --yes it only says what would go.")
    which = erase.add_mutually_exclusive_group(required=True)
    which.add_argument("--referral-id", action="append", metavar="ID", help="may be repeated")
    which.add_argument(
        "--domain",
        metavar="DOMAIN",
        type=_company_domain,
        help="every referral of the company with this domain, or with one above it",
    )
    erase.add_argument("--yes", action="store_true", help="really erase; this cannot be undone")
    earlier = add("import-earlier", "Take over the earlier system's partner_center_referrals.")
    earlier.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="URL",
        help="libpq URL of the earlier database, which is only read; its password may come from "
        "PGPASSWORD or a password file",
    )
    earlier.add_argument("--dry-run", action="store_true", help="only say what would come over")
    earlier.add_argument(
        "--report",
        metavar="FILE",
        help="write every row that differs, or has what the new table has no column for, into "
        "this new file, one JSON object a line",
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
