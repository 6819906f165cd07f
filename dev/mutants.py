"""`python3 -m dev test --mutants`: break the code on purpose, and see the named test fail.

The lists lie in tests/promise/mutants. Each entry names a file, a text in it that occurs once, the
text that replaces it, and the test that has to notice. Copies of the clone are damaged, never the
clone itself.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue

from dev import machine, promise
from dev.folders import CLONE, cache_folder

LISTS = CLONE / "tests" / "promise" / "mutants"
TIMEOUT_S = 300.0
WORKERS = 2
EXIT_TESTS_FAILED = 1  # pytest's
USAGE = "usage: python3 -m dev test --mutants [WORD ...]   (words that name, file or test contain)"


class MutantError(Exception):
    """A list is wrong; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One deliberate damage.

    Attributes:
        name: the list's name and what the damage does.
        file: relative to the clone.
        before: a text that occurs exactly once in it.
        after: what takes its place.
        caught_by: pytest's id of the test that has to fail.
    """

    name: str
    file: str
    before: str
    after: str
    caught_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a mutant: caught, or why not."""

    mutant: Mutant
    trouble: str | None
    duration_s: float


def load(folder: Path = LISTS) -> list[Mutant]:
    """Every mutant of every list.

    Raises:
        MutantError: an entry has other keys than those of `Mutant`, or two have one name.
    """
    mutants: list[Mutant] = []
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []):
            if set(entry) != {"damage", "file", "before", "after", "caught_by"}:
                raise MutantError(f"{path.name}: an entry has the keys {sorted(entry)}")
            damage = entry.pop("damage")
            mutants.append(Mutant(name=f"{path.stem}: {damage}", **entry))
    names = [mutant.name for mutant in mutants]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise MutantError(f"named twice: {', '.join(doubled)}")
    return mutants


def damaged(mutant: Mutant, text: str) -> str:
    """The file's text with the damage done.

    Raises:
        MutantError: the text to replace does not occur exactly once, or nothing would change.
    """
    found = text.count(mutant.before)
    if found != 1 or mutant.before == mutant.after:
        raise MutantError(f"{mutant.name}: its `before` occurs {found} times in {mutant.file}")
    return text.replace(mutant.before, mutant.after)


def main(words: Sequence[str]) -> int:
    """Replay the mutants whose name, file or test holds every word; returns the exit code.

    The outcome of a replay of all goes into docs/promise.md.
    """
    if any(word.startswith("-") for word in words):
        print(USAGE, file=sys.stderr)
        return 2
    try:
        chosen = [mutant for mutant in load() if all(word in _words(mutant) for word in words)]
        for mutant in chosen:
            damaged(mutant, (CLONE / mutant.file).read_text(encoding="utf-8"))
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    if not chosen:
        print("no mutant matches", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        copies: SimpleQueue[_Copy] = SimpleQueue()
        for _ in range(min(WORKERS, len(chosen))):
            copies.put(stack.enter_context(_copy_of_clone()))
        if not _sound(copies, chosen):
            return 1
        verdicts = _replay(copies, chosen)
    missed = sum(verdict.trouble is not None for verdict in verdicts)
    print(f"── {len(chosen) - missed} of {len(chosen)} mutants were caught")
    if not words:
        promise.note_mutants(_by_list(verdicts))
    return 1 if missed else 0


def _words(mutant: Mutant) -> str:
    return f"{mutant.name} {mutant.file} {mutant.caught_by}"


def _sound(copies: "SimpleQueue[_Copy]", chosen: Sequence[Mutant]) -> bool:
    """Whether the named tests pass while nothing is damaged; only then does failing mean much."""
    tests = sorted({mutant.caught_by for mutant in chosen})
    print(f"── {len(tests)} tests on the sound code", flush=True)

    def try_some(some: Sequence[str]) -> bool:
        copy = copies.get()
        status, output = copy.run_tests(*some, timeout_s=TIMEOUT_S * 4)
        copies.put(copy)
        if status != 0:
            print(f"{output}\nthese tests have to pass on the sound code first", file=sys.stderr)
        return status == 0

    half = (len(tests) + 1) // WORKERS
    with ThreadPoolExecutor(max_workers=WORKERS) as workers:
        return all(list(workers.map(try_some, filter(None, (tests[:half], tests[half:])))))


def _by_list(verdicts: Sequence[Verdict]) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for verdict in verdicts:
        name = verdict.mutant.name.partition(":")[0]
        caught, of = counts.get(name, (0, 0))
        counts[name] = (caught + (verdict.trouble is None), of + 1)
    return counts


def _replay(copies: "SimpleQueue[_Copy]", chosen: Sequence[Mutant]) -> list[Verdict]:
    print(f"── {len(chosen)} mutants", flush=True)

    def try_one(mutant: Mutant) -> Verdict:
        copy = copies.get()
        try:
            return copy.try_mutant(mutant)
        finally:
            copies.put(copy)

    verdicts = []
    with ThreadPoolExecutor(max_workers=WORKERS) as workers:
        for verdict in workers.map(try_one, chosen):
            verdicts.append(verdict)
            outcome = "caught" if verdict.trouble is None else f"NOT CAUGHT: {verdict.trouble}"
            print(f"   {verdict.duration_s:6.1f} s   {verdict.mutant.name}   {outcome}", flush=True)
    return verdicts


class _Copy:
    """A copy of the clone, to be damaged and mended again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Bytecode counts as current while time and size of its source stay what they were.
        self._times = count(int(time.time()) + 10, 10)

    def try_mutant(self, mutant: Mutant) -> Verdict:
        """Do the damage, run the named test, mend it."""
        began_s = time.monotonic()
        path = self._folder / mutant.file
        sound = path.read_text(encoding="utf-8")
        self._write(path, damaged(mutant, sound))
        try:
            status, output = self.run_tests(mutant.caught_by, timeout_s=TIMEOUT_S)
        finally:
            self._write(path, sound)
        trouble = None
        if status == 0:
            trouble = f"{mutant.caught_by} passes"
        elif status is None:
            trouble = f"{mutant.caught_by} did not end within {TIMEOUT_S:.0f} s"
        elif status != EXIT_TESTS_FAILED:
            trouble = f"pytest ended with {status}:\n{output}"
        return Verdict(mutant=mutant, trouble=trouble, duration_s=time.monotonic() - began_s)

    def run_tests(self, *tests: str, timeout_s: float) -> tuple[int | None, str]:
        """The exit status of pytest, None if it did not end in time, and what it printed."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        with subprocess.Popen(
            command,
            cwd=self._folder,
            env=machine.environ_without_settings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                # Its servers end with it: its watchdog sees to that.
                process.kill()
                output, _ = process.communicate()
                return None, output
            return process.returncode, output

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        at = next(self._times)
        os.utime(path, (at, at))


@contextmanager
def _copy_of_clone() -> Iterator[_Copy]:
    parent = cache_folder() / "mutants"
    parent.mkdir(mode=0o755, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    try:
        for name in _files_of_clone():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CLONE / name, target)
        yield _Copy(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files_of_clone() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CLONE,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [name for name in listed.split("\0") if name and (CLONE / name).is_file()]
