"""The benchmark's own environment, for what nothing but the benchmark needs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from dev import locks
from dev.bootstrap import clean_environ
from dev.folders import CLONE, cache_folder
from dev.services.processes import ServiceError

REQUIREMENTS = CLONE / "dev" / "bench" / "requirements.txt"


def ensure_environment() -> Path:
    """The Python with the packages of dev/bench/requirements.txt, installed if need be.

    Raises:
        ServiceError: pip could not install them.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder() / "environments" / f"bench-{digest}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    complete = folder / "bench-complete"
    if complete.is_file():
        return python
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locks.hold(folder.with_suffix(".lock")):
        if complete.is_file():
            return python
        print("Installing what is compared with (only the first time) …", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)],
        ):
            done = subprocess.run(
                command,
                env=clean_environ(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                raise ServiceError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        complete.touch()
    return python
