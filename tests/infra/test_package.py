"""The package: built for Azure's platform, looked over, unpacked, and one sync from it alone."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from dev.simulator import Simulator
from pc_core.wiring.app import App
from tests.commands.conftest import app, settings, signed_in
from tests.infra.conftest import CLONE
from tests.infra.windows import load
from tests.registered import FUNCTIONS

__all__ = ["app", "settings", "signed_in"]

INGREDIENTS = (
    "function_app.py",
    "host.json",
    "requirements.txt",
    ".funcignore",
    "README.md",
    "pc_core",
    "infra/hooks",
    "dev/constraints.txt",
)
HOOK = "infra/hooks/prepackage.py"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the package is made from, with the packages for Azure brought into it."""
    copy = tmp_path_factory.mktemp("project")
    for name in INGREDIENTS:
        source, target = CLONE / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (copy / "local.settings.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, HOOK], cwd=copy, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Packages for Azure" in done.stdout
    return copy


@pytest.fixture(scope="module")
def unpacked(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What azd would publish (all that .funcignore does not name), zipped and unzipped."""
    ignored = [line.rstrip("/") for line in (project / ".funcignore").read_text().split()]
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(folder / "package.zip", "w") as package:
        for file in sorted(project.rglob("*")):
            parts = file.relative_to(project).parts
            if file.is_file() and not any(
                fnmatch.fnmatch(part, pattern) for part in parts for pattern in ignored
            ):
                package.write(file, Path(*parts))
    with zipfile.ZipFile(folder / "package.zip") as package:
        package.extractall(folder / "wwwroot")
    return folder / "wwwroot"


def test_the_package_holds_the_app_and_its_packages_and_nothing_else(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == {
        ".python_packages",
        "function_app.py",
        "host.json",
        "pc_core",
        "requirements.txt",
    }


def test_one_sync_runs_from_the_package_alone(
    unpacked: Path,
    settings: dict[str, str],
    signed_in: App,
    simulator: Simulator,
) -> None:
    packages = unpacked / ".python_packages" / "lib" / "site-packages"

    done = subprocess.run(
        [sys.executable, "-S", "-m", "pc_core", "sync", "--json"],
        cwd=unpacked,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["fetched"] > 0


@pytest.fixture
def hosted(
    unpacked: Path,
    tmp_path: Path,
    settings: dict[str, str],
    signed_in: App,
) -> dict[str, Any]:
    """What the worker library made of the package, in a process that can reach nothing else."""
    host = tmp_path / "host" / "dev"
    shutil.copytree(CLONE / "dev" / "host", host / "host")
    shutil.copy(CLONE / "dev" / "__init__.py", host)

    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", str(CLONE / "tests" / "infra" / "package_host.py")),
            *(str(unpacked), str(host.parent), "postgresql://a@db.example/b?sslmode=verify-full"),
        ],
        cwd=tmp_path,
        env=settings
        | {
            "PATH": os.environ["PATH"],
            "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE": "0 */10 * * * *",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_worker_library_hosts_the_package_alone(
    hosted: dict[str, Any], unpacked: Path, settings: dict[str, str]
) -> None:
    assert hosted["outside"] == []
    assert not [
        each for each in hosted["path"] if "-packages" in each and str(unpacked) not in each
    ]
    assert set(hosted["functions"]) == FUNCTIONS.keys()
    assert hosted["health"][0] == "200"
    assert hosted["health"][1]["partner_center_enabled"] is True
    assert hosted["heavy_at_health"] == []
    assert hosted["failure"] is None
    [summary] = [line for line in hosted["lines"] if line["event"] == "partner_center_sync_summary"]
    assert (summary["state"], summary["trigger"]) == ("completed", "timer")
    with psycopg.connect(settings["HUNTER_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM partner_center_referrals").fetchone()
    assert row == (summary["inserted"],)
    assert summary["inserted"] > 0


def test_the_lines_of_a_run_carry_its_invocation(hosted: dict[str, Any]) -> None:
    of_the_run = [line for line in hosted["lines"] if "task_id" in line]

    assert len(of_the_run) >= 3
    [invocation_id] = {line["invocation_id"] for line in of_the_run}
    assert str(UUID(invocation_id)) == invocation_id


def test_the_package_brings_the_authorities_that_verify_full_asks_for(
    hosted: dict[str, Any], unpacked: Path
) -> None:
    file, is_there = hosted["authorities"]

    assert is_there
    assert Path(file).is_relative_to(unpacked)


def test_packages_for_another_platform_are_refused(project: Path) -> None:
    prepackage = load("prepackage")
    packages = project / ".python_packages" / "lib" / "site-packages"
    assert prepackage.foreign_files(packages) == []
    intruder = packages / "msgspec" / "_core.cpython-312-x86_64-linux-gnu.so"
    intruder.touch()

    found = prepackage.foreign_files(packages)

    intruder.unlink()
    assert found == ["msgspec/_core.cpython-312-x86_64-linux-gnu.so"]
