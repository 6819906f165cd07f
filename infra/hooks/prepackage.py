"""Before the package is zipped: bring the app's packages, built for Azure's Python and platform.

Azure's own build is switched off, because it has used another Python than the app's. What is
installed here is looked over before it counts: its size, that every compiled file is for Linux on
x86-64 and Python 3.13, and (on such a machine) that the app can be imported from it alone.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cloud

TARGET = Path(".python_packages", "lib", "site-packages")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LARGEST_MB = 200
"""Our own limit: today's packages take about 75 MB, and a start has to unpack them all."""

IMPORT = """
import sys
sys.path[:0] = [{project!r}, {packages!r}]
import function_app
import pc_core.commands, pc_core.wiring.app
from pc_core.store import migrate
import psycopg, msal, alembic, cryptography.fernet, azure.identity, azure.storage.blob
import azure.keyvault.secrets
outside = [
    name for name, module in sys.modules.items()
    if "-packages" in (getattr(module, "__file__", None) or "")
    and not module.__file__.startswith({packages!r})
]
assert not outside, outside
print(psycopg.pq.__impl__, len(function_app.app.get_functions()))
"""


def pip_command(target: Path) -> list[str]:
    """The command that brings the packages for the target platform."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    command += ["--disable-pip-version-check", "--target", str(target)]
    for each in PLATFORMS:
        command += ["--platform", each]
    command += ["--python-version", "3.13", "--implementation", "cp", "--only-binary=:all:"]
    command += ["-r", str(cloud.PROJECT / "requirements.txt")]
    return [*command, "-c", str(cloud.PROJECT / "dev" / "constraints.txt")]


def foreign_files(folder: Path) -> list[str]:
    """Compiled files that Azure's Python could not load."""
    suits = re.compile(r"\.(cpython-313-x86_64-linux-gnu|abi3)\.so$|\.so(\.\d+)*$")
    wrong = re.compile(
        r"\.(cpython-(?!313-x86_64-linux-gnu)[^.]+|cp\d+-win[^.]*)\.(so|pyd)$|\.(dylib|pyd|dll)$"
    )
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (wrong.search(path.name) or (".so" in path.suffixes and not suits.search(path.name)))
    ]


def size_mb(folder: Path) -> float:
    """What the folder takes, megabytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def check(folder: Path) -> str:
    """Look the packages over; returns what was found.

    Raises:
        HookError: they would not work in Azure.
    """
    wrong = foreign_files(folder)
    if wrong:
        raise cloud.HookError(f"These files are not for Azure's Python: {', '.join(wrong[:5])}.")
    size = size_mb(folder)
    if size > LARGEST_MB:
        raise cloud.HookError(
            f"The packages take {size:.0f} MB, more than {LARGEST_MB} MB. A cold start would "
            "suffer: take out what is not needed."
        )
    found = f"{size:.0f} MB"
    if (sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 13)):
        return f"{found}; importing them needs Linux on x86-64 and was left out"
    code = IMPORT.format(project=str(cloud.PROJECT), packages=str(folder))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        raise cloud.HookError(f"The app cannot be imported from its packages: {last}")
    return (
        f"{found}; the app and its {done.stdout.split()[1]} functions were imported from them alone"
    )


def main() -> None:
    """Install into a fresh folder, check it, and put it in the place of the old one."""
    options = cloud.arguments(__doc__).parse_args()
    target = cloud.PROJECT / TARGET
    fresh = cloud.PROJECT / ".python_packages.new"
    command = pip_command(fresh)
    if options.dry_run:
        cloud.say("Would run: " + " ".join(command))
        cloud.say(f"Would check size, platform and import, then replace {TARGET}.")
        return
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        done = subprocess.run(command, check=False)
        if done.returncode != 0:
            raise cloud.HookError("pip could not bring the packages; the old ones are untouched.")
        found = check(fresh)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    cloud.say(f"Packages for Azure: {found}.")


if __name__ == "__main__":
    sys.exit(cloud.run(main))
