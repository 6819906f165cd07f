"""`python3 -m dev run|test|bench|deploy`: sets up what is needed, then works inside it.

Standard library only, Python 3.9 or newer, until it has restarted itself in the environment.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

from dev import bootstrap, folders

DESCRIPTION = "Run, test or measure the Partner Center sync on this machine."

MODULES = {"run": "dev.run", "test": "dev.checks", "bench": "dev.bench"}

TEST_HELP = """\
usage: python3 -m dev test [pytest arguments]
       python3 -m dev test --mutants [WORD ...]
       python3 -m dev test --promise [--tables]
       PROMISE_LONG=1 python3 -m dev test --promise [WORD ...]

Without arguments: everything that CI runs, that is format, lint, types, import rules and all
tests. With arguments: only pytest, with those arguments, as in
    python3 -m dev test tests/dev -x -k timers
With --mutants: break the code in the ways that tests/promise/mutants lists and see the named
tests fail; words choose among them. Without words, docs/promise.md tells the outcome.
With --promise: run the proofs of the promise and write their numbers into docs/promise.md; with
PROMISE_LONG=1 their long forms (words choose among these), with PROMISE_SEED=N another sample.
With --tables: run nothing, only tell what tests/promise/sentences.toml now says.

Tests that need Chromium, PgBouncer or a PostgreSQL with TLS are left out where the program is
missing, and the summary names the line that installs it. With CI=true that is a failure.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dev", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|test|bench|deploy")
    run = commands.add_parser(
        "run",
        help="start the app with everything it needs, sync once, print the page's address",
        description="Start the app with Azurite, PostgreSQL and a simulator of Partner Center "
        "and Entra ID, sync once, and print the page's address. Data stays for the next run.",
    )
    run.add_argument("--once", action="store_true", help="sync, print the result, stop")
    run.add_argument(
        "--live",
        action="store_true",
        help="use the real services named in local.settings.json instead of the local ones",
    )
    run.add_argument(
        "--referrals",
        type=_count,
        default=400,
        metavar="N",
        help="how many referrals the simulator holds (default: 400)",
    )
    run.add_argument("--reset", action="store_true", help="throw the local data away first")
    run.add_argument(
        "--port", type=int, default=7071, help="the app's port when it is free (default: 7071)"
    )
    run.add_argument(
        "--verbose", action="store_true", help="show the app's log here as well as in its file"
    )
    commands.add_parser(
        "test", add_help=False, help="everything that CI runs; extra arguments go to pytest"
    )
    commands.add_parser(
        "bench", add_help=False, help="measure against the usual tool and against the floor"
    )
    commands.add_parser(
        "deploy", add_help=False, help="check, back up, release, try and roll back what is in Azure"
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError("must lie between 1 and 1,000,000")
    return number


def _parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = _parser()
    if argv[:1] in (["test"], ["bench"], ["deploy"]):
        if argv[0] == "test" and argv[1:] in (["-h"], ["--help"]):
            print(TEST_HELP, end="")
            raise SystemExit(0)
        return parser.parse_args(argv[:1]), argv[1:]
    return parser.parse_args(argv), []


def _restart_inside(python: Path, argv: list[str]) -> int:
    command = [str(python), "-m", "dev", *argv]
    environ = bootstrap.clean_environ()
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environ)  # noqa: S606 - a restart needs no shell
    with subprocess.Popen(command, env=environ) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    options, extra = _parse(argv)
    os.umask(0o022)
    os.chdir(folders.CLONE)
    try:
        if Path(sys.prefix).resolve() != bootstrap.environment_folder().resolve():
            return _restart_inside(bootstrap.ensure_environment(), argv)
    except (bootstrap.SetupError, folders.FolderError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the set-up goes on where it can with the next run.", file=sys.stderr)
        return 130
    work = importlib.import_module(MODULES[options.command])
    return int(work.main(options if options.command == "run" else extra))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
