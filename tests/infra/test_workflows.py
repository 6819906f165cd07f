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
OWN = {"ENVIRONMENT", "CONFIRM", "ACCEPT_REDUCTION"}


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
    assert "az account get-access-token" in shared[0]
    assert [script.split()[:3] for script in shared[1:3]] == [
        ["azd", "auth", "login"],
        ["azd", "env", "new"],
    ]
    assert "azd env refresh" in shared[3]
    assert "azd env set" in shared[4]
    # azd leaves hooks out of a preview.
    assert any("hook -e" in script and "preprovision" in script for script in scripts(preview))


def run_script(cloud: Cloud, script: str, **environ: str) -> int:
    """A workflow's script as GitHub runs it; returns its exit code."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        env={
            "PATH": f"{cloud.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "FAKE_CLOUD": str(cloud.folder),
            "ENVIRONMENT": "prod",
            **environ,
        },
        check=False,
    ).returncode


@pytest.mark.parametrize("found", [("check.yml", "preview"), ("deploy.yml", "deploy")])
def test_every_audience_is_asked_for_while_githubs_token_lives(
    cloud: Cloud, found: tuple[str, str]
) -> None:
    steps = job(*found)["steps"]
    login = next(i for i, step in enumerate(steps) if "azure/login" in step.get("uses", ""))

    assert run_script(cloud, steps[login + 1]["run"]) == 0

    asked = {call[call.index("get-access-token") + 2] for call in cloud.calls}
    assert asked == {"arm", "ms-graph", "oss-rdbms", "https://vault.azure.net"}


def test_the_pages_audience_is_asked_for_before_the_release(cloud: Cloud) -> None:
    cloud.set(environment={"AUTH_CLIENT_ID": "33333333-0000-0000-0000-000000000000"})
    all_scripts = scripts(job("deploy.yml", "deploy"))
    [script] = [each for each in all_scripts if "api://" in each]

    assert run_script(cloud, script) == 0
    assert cloud.calls[-1][:5] == [
        *("az", "account", "get-access-token", "--resource"),
        "api://33333333-0000-0000-0000-000000000000",
    ]
    assert all_scripts.index(script) < all_scripts.index(all_scripts[-1])
    cloud.set(environment={})
    assert run_script(cloud, script) == 0


@pytest.mark.parametrize("found", [("check.yml", "preview"), ("deploy.yml", "deploy")])
def test_a_variable_replaces_a_setting_and_a_missing_one_leaves_it(
    cloud: Cloud, found: tuple[str, str]
) -> None:
    [script] = [each for each in scripts(job(*found)) if "azd env set" in each]
    of_azure = {"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_LOCATION"}
    settings = set(job(*found)["env"]) - OWN - of_azure
    before = {"HUNTER_PARTNER_CENTER_ENABLED": "true", "HUNTER_RETENTION_DAYS": "800"}
    cloud.set(environment=before)

    assert run_script(cloud, script, **dict.fromkeys(settings, "")) == 0
    assert cloud.state["environment"] == before
    assert run_script(cloud, script, **{name: f"a-{name}" for name in settings}) == 0
    assert cloud.state["environment"] == before | {name: f"a-{name}" for name in settings}


def test_the_templates_are_compiled_by_a_compiler_that_has_to_be_there() -> None:
    run = scripts(job("check.yml", "templates"))

    assert any("az bicep install --version v" in script for script in run)
    assert any("BICEP=" in script and "test_templates.py" in script for script in run)


def test_the_packages_of_a_release_are_kept() -> None:
    [kept] = [
        step for step in job("deploy.yml", "deploy")["steps"] if "upload" in step.get("uses", "")
    ]

    assert kept["with"]["path"] == ".azure/${{ inputs.environment }}/packages"
    assert kept["with"]["include-hidden-files"] is True


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
    cloud.set(
        answers={"group exists --name rg-partner-center-sync-prod": is_there}, failing=failing
    )
    [script] = [each for each in scripts(job("deploy.yml", "deploy")) if "env refresh" in each]

    assert run_script(cloud, script) == code
    assert (["azd", "env", "refresh"] in [call[:3] for call in cloud.calls]) is refreshed


@pytest.mark.parametrize("found", [("check.yml", "preview"), ("deploy.yml", "deploy")])
def test_every_variable_is_one_that_somebody_reads(found: tuple[str, str]) -> None:
    parameters = {variable for variable, _ in templates.azd_parameters().values()}
    read = parameters | {"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID"}

    given = set(job(*found)["env"]) - OWN
    assert given <= read
    # azd finds out itself who deploys, whatever these two say.
    assert not given & {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
