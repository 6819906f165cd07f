"""The set-up runs on old Pythons, is quick once done, and says what is wrong."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import locks
from dev.__main__ import COMMANDS
from dev.deploy import options
from dev.folders import CLONE, FolderError, cache_folder, state_folder

BEFORE_THE_RESTART = (
    *("__init__", "__main__", "bootstrap", "folders", "locks"),
    *("bench/__init__", "bench/options", "deploy/__init__", "deploy/options"),
)
OLDEST = (3, 9)


@pytest.mark.parametrize("name", BEFORE_THE_RESTART)
def test_the_set_up_is_written_for_the_oldest_python_and_needs_nothing_installed(
    name: str,
) -> None:
    text = (CLONE / "dev" / f"{name}.py").read_text(encoding="utf-8")

    tree = ast.parse(text, feature_version=OLDEST)

    top_level = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {
        (alias.name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
        for node in top_level
        for alias in node.names
    }
    assert modules <= {*sys.stdlib_module_names, "dev"}


@pytest.mark.parametrize(
    "python",
    sorted(
        {
            path
            for minor in (*range(9, 15), "")
            if (path := shutil.which(f"python3.{minor}" if minor else "python3"))
        }
    ),
)
def test_help_answers_on_every_python_of_this_machine(python: str) -> None:
    probe = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 9))"],
        capture_output=True,
        text=True,
        check=False,
    )
    done = subprocess.run(
        [python, "-m", "dev", "--help"], cwd=CLONE, capture_output=True, text=True, check=False
    )

    is_old_or_absent = probe.stdout.strip() != "True"
    assert is_old_or_absent or (done.returncode == 0 and "run|test|bench" in done.stdout)


def deploy_commands() -> list[str]:
    """The sub-commands of `dev deploy`."""
    [choices] = [action.choices for action in options.parser()._actions if action.choices]
    return [*choices]


@pytest.mark.parametrize(
    "words",
    [*([name] for name in COMMANDS), *(["deploy", name] for name in deploy_commands())],
    ids=" ".join,
)
def test_every_command_has_help_that_needs_nothing_installed(
    tmp_path: Path, words: list[str]
) -> None:
    cache = tmp_path / "cache"

    done = subprocess.run(
        # -S: without the packages that are installed.
        [sys.executable, "-S", "-m", "dev", *words, "--help"],
        cwd=CLONE,
        env={**os.environ, "PC_DEV_FOLDER": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python3 -m dev {' '.join(words)} [")
    assert not cache.exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_work(name: str) -> None:
    assert callable(importlib.import_module(COMMANDS[name].work).main)


def test_every_requirement_is_pinned() -> None:
    for name in ("requirements.txt", "dev/requirements.txt", "dev/constraints.txt"):
        lines = (CLONE / name).read_text(encoding="utf-8").splitlines()
        wanted = [line for line in lines if line and not line.startswith("#")]
        assert wanted
        assert [line for line in wanted if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line)] == []


def test_a_wrong_command_or_number_is_refused_before_anything_is_set_up(tmp_path: Path) -> None:
    environ = {**os.environ, "PC_DEV_FOLDER": str(tmp_path / "cache")}
    for arguments in (["fly"], ["run", "--referrals", "0"], ["run", "--port", "x"]):
        done = subprocess.run(
            [sys.executable, "-m", "dev", *arguments],
            cwd=CLONE,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "usage: python3 -m dev" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_cache_folder_that_others_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setenv("PC_DEV_FOLDER", str(open_to_all))

    with pytest.raises(FolderError, match="PC_DEV_FOLDER"):
        cache_folder()


def test_each_clone_has_a_state_folder_of_its_own_outside_it(tmp_path: Path) -> None:
    one, other = state_folder(CLONE), state_folder(tmp_path)
    try:
        assert one != other
        assert CLONE not in one.parents
        assert state_folder(tmp_path) == other
    finally:
        other.rmdir()


def test_a_lock_has_one_holder_and_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from dev import locks\n"
        "with locks.hold(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        cwd=CLONE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with locks.try_hold(path) as is_free:
            assert not is_free
        holder.kill()
        holder.wait()
        with locks.try_hold(path) as is_free:
            assert is_free
