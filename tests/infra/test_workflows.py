"""The workflows of the user's repository: pinned, without secrets, with the least rights."""

import re
from pathlib import Path

import pytest
import yaml

from dev.folders import CLONE

WORKFLOWS = sorted((CLONE / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_says_which_version_that_is(workflow: Path) -> None:
    used = re.findall(r"uses: *(.+)", workflow.read_text())

    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", each) for each in used)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_there_is_no_secret_and_no_right_that_is_not_needed(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())

    assert "secrets." not in workflow.read_text()
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert (
            job.get("permissions", {}).items() <= {"contents": "read", "id-token": "write"}.items()
        )
        assert "timeout-minutes" in job


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_what_somebody_types_never_becomes_part_of_a_command(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]

    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert not [command for command in commands if "${{" in command]


def test_the_same_action_has_one_version_everywhere() -> None:
    used = {
        each
        for workflow in WORKFLOWS
        for each in re.findall(r"uses: *([^@]+@[0-9a-f]+)", workflow.read_text())
    }

    assert len({each.partition("@")[0] for each in used}) == len(used)
