"""What the documents say is what the code does."""

import re
from pathlib import Path

import pytest

from pc_core import __version__
from pc_core.__main__ import parser
from pc_core.config import Settings
from pc_core.web.openapi import document

CLONE = Path(__file__).parents[2]
README = (CLONE / "README.md").read_text(encoding="utf-8")


def table_under(title: str) -> list[list[str]]:
    """The cells of the first table under a heading of the README, without its head."""
    section = README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_the_readme_lists_every_setting_once_and_no_other() -> None:
    listed = [name for row in table_under("Settings") for name in re.findall(r"`([^`]+)`", row[0])]

    assert listed == list(Settings.keys())


def test_the_readme_tells_the_defaults_that_hold() -> None:
    told = {
        row[0].strip("`"): row[1].strip("`")
        for row in table_under("Settings")
        if row[1] != "\N{EN DASH}"
    }
    plain = Settings.from_env({})

    assert Settings.from_env(told) == plain


@pytest.mark.parametrize("title", ["Commands", "Routes"])
def test_the_readme_has_the_table(title: str) -> None:
    assert table_under(title)


def test_the_readme_lists_every_command() -> None:
    listed = {row[0].strip("`").split()[0] for row in table_under("Commands")}
    actions = [action for action in parser()._actions if action.choices]

    assert listed == set(actions[0].choices or ())


def test_the_readme_lists_every_route_and_no_other() -> None:
    listed = {
        route for row in table_under("Routes") for route in re.findall(r"`([A-Z]+ /[^`]*)`", row[0])
    }
    served = {
        f"{method.upper()} {path}"
        for path, operations in document()["paths"].items()
        for method in operations
    }

    assert listed == served


def test_the_readme_explains_codes_that_exist() -> None:
    explained = {
        code for row in table_under("When it breaks") for code in re.findall(r"`([a-z_]+)`", row[0])
    }
    written = "".join(
        path.read_text(encoding="utf-8") for path in (CLONE / "pc_core").rglob("*.py")
    )

    assert len(explained) > 15
    assert {code for code in explained if f'"{code}"' not in written} == set()


def test_the_changelog_knows_this_version() -> None:
    changelog = (CLONE / "CHANGELOG.md").read_text(encoding="utf-8")

    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog


def test_nothing_of_the_local_world_is_packaged() -> None:
    ignored = (CLONE / ".funcignore").read_text(encoding="utf-8").splitlines()

    assert {"dev/", "tests/", "infra/", "docs/", ".git/", "local.settings.json"} <= set(ignored)
    assert "pc_core/" not in ignored
