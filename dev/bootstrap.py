"""Find or install Python 3.13 and keep a virtual environment with the pinned packages.

Standard library only, Python 3.9 or newer. The environment lies in the cache folder under a name
made from the requirement files, so that an unchanged clone finds it in milliseconds and several
clones share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dev import locks
from dev.folders import CLONE, cache_folder

WANTED = (3, 13)
APP = ("requirements.txt",)
APP_AND_TOOLS = ("requirements.txt", "dev/requirements.txt")
CONSTRAINTS = "dev/constraints.txt"
LAYOUT = "1"
UNUSED_DAYS = 30
PROBE_TIMEOUT_S = 20

PROBE = (
    "import json,sys;"
    "from importlib.util import find_spec as f;"
    "print(json.dumps({'version':list(sys.version_info[:3]),'executable':sys.executable,"
    "'venv':bool(f('venv') and f('ensurepip'))}))"
)

HOW_TO_GET_PYTHON = """\
Python 3.13 is needed (the Azure Functions worker library runs on no older one) and was not found.
Install it in one of these ways, then run the same command again:
  Debian 13, Ubuntu 25.04 or newer:  apt-get install python3.13 python3.13-venv
  Fedora:                            dnf install python3.13
  macOS:                             brew install python@3.13
  Windows:                           winget install Python.Python.3.13
  anywhere:                          pyenv install 3.13    or    uv python install 3.13"""


class SetupError(Exception):
    """The environment cannot be made; the message says what is missing and how to get it."""


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def clean_environ() -> dict[str, str]:
    """The environment without what would lead Python or pip away from the virtual environment."""
    misleading = {
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONUSERBASE",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_REQUIRE_VIRTUALENV",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
    }
    environ = {key: value for key, value in os.environ.items() if key not in misleading}
    environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return environ


# Finding Python


def _candidates() -> Iterator[list[str]]:
    yield [sys.executable]
    yield ["python3.13"]
    roots = [os.environ.get("PYENV_ROOT"), str(Path.home() / ".pyenv")]
    for root in dict.fromkeys(root for root in roots if root):
        versions = sorted(Path(root, "versions").glob("3.13*"), reverse=True)
        for version in versions:
            yield [str(version / "bin" / "python3.13")]
    if sys.platform == "win32":
        yield ["py", "-3.13"]
    if sys.platform == "darwin":
        yield ["/opt/homebrew/opt/python@3.13/bin/python3.13"]
        yield ["/usr/local/opt/python@3.13/bin/python3.13"]
        yield ["/Library/Frameworks/Python.framework/Versions/3.13/bin/python3.13"]


def _probe(command: list[str]) -> dict[str, object] | None:
    if not shutil.which(command[0]):
        return None
    try:
        answer = subprocess.run(
            [*command, "-I", "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            env=clean_environ(),
            check=False,
        )
        found = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return found if isinstance(found, dict) else None


def _uv_python(uv: list[str], install: bool) -> str | None:
    steps = [["python", "install", "3.13"]] if install else []
    steps.append(["python", "find", "--no-project", "3.13"])
    answer = ""
    for step in steps:
        try:
            done = subprocess.run(
                [*uv, *step], capture_output=True, text=True, env=clean_environ(), check=False
            )
        except OSError:
            return None
        if done.returncode != 0:
            return None
        answer = done.stdout.strip()
    return answer or None


def _installed() -> Iterator[dict[str, object]]:
    for command in _candidates():
        found = _probe(command)
        if found is not None and tuple(found["version"][:2]) == WANTED:  # type: ignore[index]
            yield found


def find_bare_python() -> Path:
    """A Python 3.13 that this machine has, for work that needs the standard library alone.

    Raises:
        SetupError: there is none.
    """
    for found in _installed():
        return Path(str(found["executable"]))
    raise SetupError(HOW_TO_GET_PYTHON)


def find_python() -> str:
    """The path of a Python 3.13 that can make virtual environments, installed if need be.

    Raises:
        SetupError: there is none and none could be installed.
    """
    without_venv = None
    for found in _installed():
        if found["venv"]:
            return str(found["executable"])
        without_venv = str(found["executable"])
    uv = shutil.which("uv")
    if uv:
        python = _uv_python([uv], install=False)
        if python is None:
            say("  Python 3.13 is missing; uv installs it …")
            python = _uv_python([uv], install=True)
        if python and _probe([python]):
            return python
    if without_venv:
        raise SetupError(
            f"{without_venv} lacks the modules venv and ensurepip. On Debian and Ubuntu: "
            "apt-get install python3.13-venv. Then run the same command again."
        )
    python = _python_from_a_temporary_uv()
    if python:
        return python
    raise SetupError(HOW_TO_GET_PYTHON)


def _python_from_a_temporary_uv() -> str | None:
    say("  Python 3.13 is missing; trying to install it with uv …")
    folder = cache_folder() / "uv"
    try:
        if not _venv_python(folder).exists():
            subprocess.run(
                [sys.executable, "-m", "venv", str(folder)],
                check=True,
                capture_output=True,
                env=clean_environ(),
            )
            subprocess.run(
                [str(_venv_python(folder)), "-m", "pip", "install", "--quiet", "uv"],
                check=True,
                capture_output=True,
                env=clean_environ(),
            )
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    python = _uv_python([str(_venv_python(folder)), "-m", "uv"], install=True)
    return python if python and _probe([python]) else None


# The environment


def _venv_python(folder: Path) -> Path:
    if sys.platform == "win32":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def environment_folder(requirements: tuple[str, ...]) -> Path:
    """Where the environment with the packages of these files lies, made or not."""
    digest = hashlib.sha256()
    for text in (LAYOUT, str(WANTED), sys.platform, platform.machine()):
        digest.update(text.encode() + b"\0")
    for name in (*requirements, CONSTRAINTS):
        digest.update((CLONE / name).read_bytes() + b"\0")
    return cache_folder() / "environments" / digest.hexdigest()[:16]


def _is_complete(folder: Path) -> bool:
    return (folder / "complete").is_file() and _venv_python(folder).exists()


def _remove_unused(environments: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 86400
    for folder in environments.iterdir():
        stamp = folder / "complete"
        if stamp.is_file() and stamp.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def ensure_environment(requirements: tuple[str, ...]) -> Path:
    """The Python of the environment with the packages of these files, made when it is missing.

    Raises:
        SetupError: no Python 3.13, or the packages could not be installed.
    """
    folder = environment_folder(requirements)
    if not _is_complete(folder):
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with locks.hold(
            folder.with_suffix(".lock"),
            on_wait=lambda: say("Another set-up is under way; waiting for it …"),
        ):
            if not _is_complete(folder):
                _create(folder, requirements)
                _remove_unused(folder.parent)
    (folder / "complete").touch()
    return _venv_python(folder)


def _create(folder: Path, requirements: tuple[str, ...]) -> None:
    began = time.monotonic()
    say("Setting up (only the first time, and when requirements change):")
    python = find_python()
    say(f"  Python 3.13: {python}")
    say(f"  virtual environment: {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run(
        [python, "-m", "venv", str(folder)],
        capture_output=True,
        text=True,
        env=clean_environ(),
        check=False,
    )
    if made.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise SetupError(
            f"{python} could not make a virtual environment in {folder}:\n"
            f"{(made.stderr or made.stdout).strip()}"
        )
    _install(folder, requirements)
    (folder / "complete").write_text(python + "\n", encoding="utf-8")
    say(f"  done in {time.monotonic() - began:.0f} s")


def _install(folder: Path, requirements: tuple[str, ...]) -> None:
    size = ", about 250 MB to download" if requirements == APP_AND_TOOLS else ""
    say(f"  packages of {' and '.join(requirements)}{size} …")
    log = folder / "install.log"
    command = [str(_venv_python(folder)), "-m", "pip", "install", "--no-input"]
    for name in requirements:
        command += ["-r", name]
    command += ["-c", CONSTRAINTS]
    on_terminal = sys.stdout.isatty()
    with (
        log.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command,
            cwd=CLONE,
            env=clean_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as pip,
    ):
        for line in pip.stdout or ():
            copy.write(line)
            if on_terminal and line.startswith(("Collecting", "Installing", "  Downloading")):
                print(f"\r    {line.strip()[:72]:<72}", end="", flush=True)
        status = pip.wait()
    if on_terminal:
        print("\r" + " " * 78 + "\r", end="", flush=True)
    if status != 0:
        tail = log.read_text(encoding="utf-8").splitlines()[-15:]
        raise SetupError(
            "pip could not install the packages. Is the package index reachable? "
            "Its last lines:\n    " + "\n    ".join(tail)
        )
