"""Where the local tools keep what they install and what they store, outside the clone.

Standard library only, Python 3.9 or newer: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

NAME = "partner-center-dev"
OVERRIDE = "PC_DEV_FOLDER"

CLONE = Path(__file__).resolve().parent.parent


class FolderError(Exception):
    """The cache folder cannot be used; the message says why and what to do."""


def runs_as_root() -> bool:
    """True for the superuser of a POSIX system; never on Windows."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def cache_folder() -> Path:
    """The folder for downloads, environments and data; created when missing.

    As root it lies where other users may pass through, because the database server runs as an
    unprivileged one. `PC_DEV_FOLDER` puts it elsewhere.

    Raises:
        FolderError: somebody else owns it.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        folder = Path(override).expanduser().absolute()
    elif runs_as_root():
        lasting = Path("/var/tmp")  # noqa: S108 - its owner is checked below
        base = lasting if lasting.is_dir() else Path(tempfile.gettempdir())
        folder = base / f"{NAME}-root"
    elif sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        folder = (Path(local) if local else Path.home() / "AppData" / "Local") / NAME
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / NAME
    else:
        xdg = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(xdg) if xdg else Path.home() / ".cache") / NAME
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if hasattr(os, "geteuid"):
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise FolderError(
                f"{folder} belongs to another user or others may write to it, so nothing in it "
                f"can be trusted. Remove it, or set {OVERRIDE} to a folder of your own."
            )
    return folder


def state_folder(clone: Path = CLONE) -> Path:
    """The folder for what this clone keeps between two runs: data, settings, logs."""
    digest = hashlib.sha256(os.fsencode(clone.resolve())).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", clone.name) or "clone"
    folder = cache_folder() / "clones" / f"{name}-{digest}"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder
