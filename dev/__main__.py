"""`python3 -m dev run|test|bench|deploy`: sets up what is needed, then works inside it.

Standard library only, Python 3.9 or newer, until it has restarted itself where the work is done:
in an environment with the packages that the command needs, or with a Python 3.13 where it needs
none. Arguments are read first, so that help and refusals need nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dev import bootstrap, folders
from dev.bench import options as bench_options
from dev.deploy import options as deploy_options

DESCRIPTION = "Run, test or measure the Partner Center sync on this machine, or deploy it."

TEST_HELP = """\
usage: python3 -m dev test [pytest arguments]
       python3 -m dev test --mutants [WORD ...]
       python3 -m dev test --promise [--tables]
       PROMISE_LONG=1 python3 -m dev test --promise [WORD ...]

Without arguments: everything that CI runs, that is format, lint, types, import rules and all
tests. With arguments: only pytest, with those arguments, as in
    python3 -m dev test tests/dev -x -k timers
With --mutants: break the code in the ways that tests/promise/mutants lists and see the named
tests fail; words choose among them. Without words, all run and docs/promise.md gets the outcome.
With --promise: run the proofs of the promise and write their numbers into docs/promise.md; with
PROMISE_LONG=1 their long forms (words choose among these), with PROMISE_SEED=N another sample.
With --tables: run nothing, write the tables anew from tests/promise/sentences.toml.

Tests that need Chromium, PgBouncer or a PostgreSQL with TLS are left out where the program is
missing, and the summary names the line that installs it. With CI=true that is a failure.
"""


def _run_parser() -> argparse.ArgumentParser:
    run = argparse.ArgumentParser(
        prog="python3 -m dev run",
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
    return run


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError("must lie between 1 and 1,000,000")
    return number


def _read_test_arguments(argv: list[str]) -> argparse.Namespace:
    if argv in (["-h"], ["--help"]):
        print(TEST_HELP, end="")
        raise SystemExit(0)
    return argparse.Namespace(arguments=argv)


class Command(NamedTuple):
    """A command.

    Attributes:
        help: one line for the list of commands.
        read: reads its arguments; refuses wrong ones, or prints its help, and exits.
        work: the module whose `main` does it with what was read.
        requirements: the files with the packages that it needs.
    """

    help: str
    read: Callable[[list[str]], argparse.Namespace]
    work: str
    requirements: tuple[str, ...]


COMMANDS = {
    "run": Command(
        help="start the app with everything it needs, sync once, print the page's address",
        read=lambda argv: _run_parser().parse_args(argv),
        work="dev.run",
        requirements=bootstrap.APP_AND_TOOLS,
    ),
    "test": Command(
        help="everything that CI runs; extra arguments go to pytest",
        read=_read_test_arguments,
        work="dev.checks",
        requirements=bootstrap.APP_AND_TOOLS,
    ),
    "bench": Command(
        help="measure against the usual tool and against the floor",
        read=lambda argv: bench_options.parser().parse_args(argv),
        work="dev.bench.command",
        requirements=bootstrap.APP_AND_TOOLS,
    ),
    "deploy": Command(
        help="check, back up, release, try and roll back what is in Azure",
        read=lambda argv: deploy_options.parser().parse_args(argv),
        work="dev.deploy.command",
        requirements=bootstrap.APP,
    ),
}


def _read(argv: list[str]) -> tuple[Command, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python3 -m dev", description=DESCRIPTION)
    names = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name, command in COMMANDS.items():
        names.add_parser(name, help=command.help, add_help=False)
    command = COMMANDS[parser.parse_args(argv[:1]).command]
    return command, command.read(argv[1:])


def _other_python(command: Command, options: argparse.Namespace) -> Path | None:
    """The Python that has to do the work; None if this one can."""
    if not getattr(options, "needs_packages", True):
        return None if sys.version_info >= bootstrap.WANTED else bootstrap.find_bare_python()
    here = Path(sys.prefix).resolve()
    for enough in (bootstrap.APP_AND_TOOLS, command.requirements):
        if here == bootstrap.environment_folder(enough).resolve():
            return None
    return bootstrap.ensure_environment(command.requirements)


def _restart_with(python: Path, argv: list[str]) -> int:
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
    command, options = _read(argv)
    os.umask(0o022)
    os.chdir(folders.CLONE)
    try:
        python = _other_python(command, options)
        if python is not None:
            return _restart_with(python, argv)
    except (bootstrap.SetupError, folders.FolderError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the set-up goes on where it can with the next run.", file=sys.stderr)
        return 130
    return int(importlib.import_module(command.work).main(options))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
