"""The workflows of the user's repository: pinned, without secrets, with the least rights."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.folders import CLONE
from tests.infra import templates
from tests.infra.conftest import Cloud

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


# Which environment is meant is told to each in its own way.
OWN = {"ENVIRONMENT", "CONFIRM"}


def job(workflow: str, name: str) -> dict[str, Any]:
    jobs = yaml.safe_load((CLONE / ".github" / "workflows" / workflow).read_text())["jobs"]
    return dict(jobs[name])


def scripts(found: dict[str, Any]) -> list[str]:
    return [step["run"] for step in found["steps"] if "run" in step]


def test_the_preview_sees_what_a_release_would_do() -> None:
    preview, release = job("check.yml", "preview"), job("deploy.yml", "deploy")

    assert {key: value for key, value in preview["env"].items() if key not in OWN} == {
        key: value for key, value in release["env"].items() if key not in OWN
    }
    shared = [script for script in scripts(preview) if script in scripts(release)]
    assert [script.split()[:3] for script in shared[:2]] == [
        ["azd", "auth", "login"],
        ["azd", "env", "new"],
    ]
    assert "azd env refresh" in shared[2]


@pytest.mark.parametrize(
    ("is_there", "failing", "code", "refreshed"),
    [
        (False, {}, 0, False),
        (True, {}, 0, True),
        (True, {"env refresh": "no answer"}, 1, True),
        (True, {"group exists": "no answer"}, 1, False),
    ],
)
def test_only_where_nothing_is_deployed_may_its_values_be_missing(
    cloud: Cloud, is_there: bool, failing: dict[str, str], code: int, refreshed: bool
) -> None:
    cloud.set(answers={"group exists --name rg-prod": is_there}, failing=failing)
    [script] = [each for each in scripts(job("deploy.yml", "deploy")) if "env refresh" in each]

    done = subprocess.run(
        ["bash", "-e", "-c", script],
        env={
            "PATH": f"{cloud.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "FAKE_CLOUD": str(cloud.folder),
            "ENVIRONMENT": "prod",
        },
        check=False,
    )

    assert done.returncode == code
    assert (["azd", "env", "refresh"] in [call[:3] for call in cloud.calls]) is refreshed


@pytest.mark.parametrize("found", [("check.yml", "preview"), ("deploy.yml", "deploy")])
def test_every_variable_is_one_that_somebody_reads(found: tuple[str, str]) -> None:
    parameters = set(re.findall(r"\$\{([A-Z_]+)", templates.text("main.parameters.json")))
    read = parameters | {"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"}

    given = set(job(*found)["env"]) - OWN
    assert given <= read
    # azd finds out itself who deploys, whatever these two say.
    assert not given & {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
