"""What the tests read of infra/: its alert rules, and what Azure would be told to deploy.

The second needs the Bicep compiler, on the PATH as `bicep` or named by the variable `BICEP`.
Without one those tests are skipped; where the variable is set, the compiler has to be there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CLONE = Path(__file__).parents[2]
INFRA = CLONE / "infra"
SUBSCRIPTION = "77777777-0000-0000-0000-000000000000"
TENANT = "88888888-0000-0000-0000-000000000000"

needs_bicep = pytest.mark.skipif(
    not (os.environ.get("BICEP") or shutil.which("bicep")),
    reason="no Bicep compiler: put `bicep` on the PATH, or name it in the variable BICEP",
)


@cache
def text(name: str) -> str:
    """A file of infra/."""
    return (INFRA / name).read_text(encoding="utf-8")


def azd_parameters() -> dict[str, tuple[str, str]]:
    """By parameter: the variable of the azd environment, and what holds where that is empty."""
    found = {}
    for name, given in json.loads(text("main.parameters.json"))["parameters"].items():
        match = re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", given["value"])
        assert match is not None, name
        found[name] = match[1], match[2] or ""
    return found


def outputs() -> set[str]:
    """The names of the outputs, which azd puts into its environment."""
    return set(re.findall(r"^output (\w+) ", text("main.bicep"), re.MULTILINE))


# Alert rules


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A log alert of alerts.json."""

    name: str
    title: str
    section: str
    severity: int
    operator: str
    threshold: int
    window: str
    frequency: str
    onlyWhileEnabled: bool  # noqa: N815 - the file's names
    dimensions: list[str]

    @property
    def query(self) -> str:
        """Its query's text."""
        return text(f"queries/{self.name}.kql")

    def fires(self, rows: int) -> bool:
        """Whether Azure raises it when the query answers with so many rows."""
        assert self.operator in ("LessThan", "GreaterThan")
        return rows < self.threshold if self.operator == "LessThan" else rows > self.threshold


@cache
def rules() -> dict[str, Rule]:
    """The log alerts by name."""
    return {each["name"]: Rule(**each) for each in json.loads(text("alerts.json"))}


# What would be deployed


def bicep(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the compiler."""
    program = os.environ.get("BICEP") or "bicep"
    return subprocess.run(
        [program, *map(str, arguments)],
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@cache
def compiled() -> dict[str, Any]:
    """main.bicep as the compiler writes it for Azure Resource Manager."""
    done = bicep("build", INFRA / "main.bicep", "--stdout")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Deployment:
    """What would be deployed, with the expressions left that only Azure can evaluate."""

    resources: list[dict[str, Any]]
    outputs: dict[str, Any]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The resources of a type, without its provider's `Microsoft.`."""
        return [each for each in self.resources if each["type"] == f"Microsoft.{kind}"]

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        """The only resource of a type whose name ends so."""
        [found] = [each for each in self.of(kind) if each["name"].endswith(name)]
        return found

    @property
    def settings(self) -> dict[str, str]:
        """The app settings."""
        found: dict[str, str] = self.one("Web/sites/config", "/appsettings")["properties"]
        return found


NEEDED = {
    "AZURE_ENV_NAME": "prod",
    "AZURE_LOCATION": "westeurope",
    "AZURE_PRINCIPAL_ID": "11111111-0000-0000-0000-000000000000",
    "ALERT_EMAIL": "team@example.com",
    "BUDGET_START": "2026-11-01",
}


def deployment(environ: Mapping[str, str] | None = None) -> Deployment:
    """What azd would deploy with these values in its environment."""
    return _deployment(tuple(sorted((NEEDED | dict(environ or {})).items())))


@cache
def _deployment(environ: tuple[tuple[str, str], ...]) -> Deployment:
    given = dict(environ)
    types = {name: each["type"] for name, each in compiled()["parameters"].items()}
    lines = ["using 'main.bicep'"]
    for name, (variable, default) in azd_parameters().items():
        value = given.get(variable) or default
        quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        lines.append(f"param {name} = {quoted if types[name] == 'string' else value}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "infra")
        shutil.copytree(INFRA, copy, ignore=shutil.ignore_patterns("hooks"))
        (copy / "main.bicepparam").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = bicep(
            *("snapshot", copy / "main.bicepparam"),
            *("--subscription-id", SUBSCRIPTION, "--tenant-id", TENANT),
            *("--location", "westeurope"),
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        found = json.loads((copy / "main.snapshot.json").read_text(encoding="utf-8"))
    assert found["diagnostics"] == []
    return Deployment(resources=found["predictedResources"], outputs=found["outputs"])
