"""`dev run` from the first sync to whatever ends it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dev.folders import CLONE, cache_folder
from dev.local_settings import NAME
from dev.services import ending
from dev.services.azurite import ensure_installed
from dev.services.processes import free_port

RUN = """
import argparse, sys
from dev import run
options = argparse.Namespace(
    live=False, once="once" in sys.argv, referrals=60, reset=False, port=int(sys.argv[1]),
    verbose=False,
)
sys.exit(run.main(options))
"""
FUNC = """#!/bin/sh
test "$1 $2" = "start --port" || exit 2
exec {python} -m dev.host --app . --port "$3" --settings local.settings.json
"""


@pytest.fixture(scope="module")
def home(service_folder: Path) -> Path:
    """A cache folder of its own, so that a developer's own run stays out of it."""
    ensure_installed()
    folder = service_folder / "home"
    folder.mkdir(mode=0o755)
    (folder / "azurite").symlink_to(cache_folder() / "azurite")
    return folder


def start(home: Path, *arguments: str, path: str = "") -> "subprocess.Popen[str]":
    """Start `dev run` with its data in `home`."""
    environ = {key: text for key, text in os.environ.items() if not key.startswith("HUNTER_")}
    environ["PC_DEV_FOLDER"] = str(home)
    if path:
        environ["PATH"] = f"{path}{os.pathsep}{environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(free_port()), *arguments],
        cwd=CLONE,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_once(home: Path, path: str = "") -> str:
    """`dev run --once` to its end; returns its output."""
    with start(home, "once", path=path) as process:
        try:
            output, _ = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 0, output
    return output


def left_running(home: Path) -> list[str]:
    """The commands of processes that still work with `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(home) in command and ending.is_alive(process):
            found.append(command)
    return found


def inserted(output: str) -> int:
    """How many rows the first sync says it has inserted."""
    found = re.search(r"(\d+) inserted", output)
    assert found is not None, output
    return int(found[1])


def test_the_second_run_goes_on_with_the_data_of_the_first(home: Path) -> None:
    assert inserted(run_once(home)) > 0

    again = run_once(home)

    assert inserted(again) == 0
    assert "still signed in" in again
    assert left_running(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_leaves_nothing_behind(home: Path, number: int) -> None:
    with start(home) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
            assert "psql" in "".join(lines)
            assert left_running(home) != []
            process.send_signal(number)
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    deadline = time.monotonic() + 15
    while left_running(home) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert left_running(home) == []
    if number == signal.SIGINT:
        assert process.returncode == 0
        assert "Nothing is left running" in output


def test_func_is_used_where_it_is_installed_and_the_users_settings_stay(
    home: Path, tmp_path: Path
) -> None:
    func = tmp_path / "func"
    func.write_text(FUNC.format(python=sys.executable), encoding="utf-8")
    func.chmod(0o755)
    settings = CLONE / NAME
    before = settings.read_bytes() if settings.exists() else None

    output = run_once(home, path=str(tmp_path))

    assert "(func)" in output
    assert (settings.read_bytes() if settings.exists() else None) == before
