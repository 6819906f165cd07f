"""`python3 -m dev test`: what CI runs, one step after the other, and what came of each."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import machine, mutants, promise
from dev.folders import CLONE
from dev.services.azurite import ensure_installed
from dev.services.npm import axe
from dev.services.processes import ServiceError
from dev.system_programs import PROGRAMS, Program

EXIT_NO_TESTS = 5  # pytest's
MOST_WORKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A check: a command that succeeds with status 0."""

    title: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a step."""

    step: Step
    status: int
    duration_s: float


STATIC: tuple[Step, ...] = (
    Step(title="format", command=("ruff", "format", "--check", "--quiet", ".")),
    Step(title="lint", command=("ruff", "check", "--quiet", ".")),
    Step(title="types", command=("mypy", "--no-error-summary", ".")),
    Step(title="imports", command=("lint-imports",)),
)


def main(options: argparse.Namespace) -> int:
    """Run every check, or only pytest when there are arguments for it; returns the exit code.

    `--mutants` replays the deliberate damage instead, `--promise` writes what the proofs of the
    promise found; see the modules of these names.
    """
    arguments: list[str] = options.arguments
    is_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    missing = [program for program in PROGRAMS if not program.is_there()]
    try:
        ensure_installed()
        axe()
    except ServiceError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if arguments and arguments[0] == "--mutants":
        return mutants.main(arguments[1:])
    if arguments and arguments[0] == "--promise":
        return promise.main(
            arguments[1:], lambda given: _run(_pytest(given, missing, in_parallel=True)).status
        )
    steps = [] if arguments else list(STATIC)
    steps.append(_pytest(arguments, missing, in_parallel=not arguments))
    results = [_run(step) for step in steps]
    _summarise(results, missing, is_ci=is_ci)
    if missing and is_ci:
        return 1
    failed = [result for result in results if result.status != 0]
    return failed[-1].status if failed else 0


def _pytest(arguments: Sequence[str], missing: Sequence[Program], *, in_parallel: bool) -> Step:
    command = ["pytest"]
    if in_parallel:
        # By file, since fixtures start servers per module; more workers than that only wait.
        workers = min(os.cpu_count() or 1, MOST_WORKERS)
        command += ["--numprocesses", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    given = list(arguments)
    if missing:
        left_out = " and ".join(f"not {program.marker}" for program in missing)
        for index, argument in enumerate(given):
            if argument == "-m" and index + 1 < len(given):
                left_out = f"({given[index + 1]}) and {left_out}"
                del given[index : index + 2]
                break
        command += ["-m", left_out]
    return Step(title="tests", command=(*command, *given))


def _run(step: Step) -> Result:
    print(f"\n── {step.title}: {' '.join(step.command)}", flush=True)
    began_s = time.monotonic()
    program = Path(sys.executable).with_name(step.command[0])
    status = subprocess.run(
        [str(program), *step.command[1:]],
        cwd=CLONE,
        env=machine.environ_without_settings(),
        check=False,
    ).returncode
    duration_s = time.monotonic() - began_s
    print(f"   {'ok' if status == 0 else f'failed ({status})'}", flush=True)
    return Result(step=step, status=status, duration_s=duration_s)


def _summarise(results: Sequence[Result], missing: Sequence[Program], *, is_ci: bool) -> None:
    say: Callable[[str], None] = print
    say("\n── summary")
    for result in results:
        outcome = "ok" if result.status == 0 else "FAILED"
        if result.step.title == "tests" and result.status == EXIT_NO_TESTS:
            outcome = "FAILED: no test was run"
        say(f"   {result.step.title:<8} {result.duration_s:7.1f} s   {outcome}")
    if missing:
        packages = " ".join(program.package for program in missing)
        what = "FAILED: with CI nothing may be missing" if is_ci else "left out"
        for program in missing:
            say(f"   {what}: tests that need {program.title} (marker {program.marker})")
        say(f"   to run them, as root:  apt-get install {packages}")
    sys.stdout.flush()
