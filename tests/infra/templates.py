"""What the tests read from the Bicep templates: parameters, app settings, alert rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CLONE = Path(__file__).parents[2]
INFRA = CLONE / "infra"


@cache
def text(name: str) -> str:
    """A template's text."""
    return (INFRA / name).read_text(encoding="utf-8")


def defaults() -> dict[str, str]:
    """main.bicep's parameters that have a plain default, by name."""
    found = re.findall(
        r"^param (\w+) (?:string|int|bool) = (?:'([^']*)'|(\S+))$", text("main.bicep"), re.MULTILINE
    )
    return {name: quoted or plain for name, quoted, plain in found}


def parameter_of(setting: str) -> str:
    """The parameter of main.bicep whose description begins with this setting."""
    found = re.findall(rf"@description\('{setting}\b[^\n]*'\)\nparam (\w+) ", text("main.bicep"))
    assert len(found) == 1, setting
    return str(found[0])


def azd_defaults() -> dict[str, str]:
    """What main.parameters.json says where the azd environment says nothing, by parameter."""
    parameters = json.loads(text("main.parameters.json"))["parameters"]
    found = {}
    for name, given in parameters.items():
        match = re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", given["value"])
        assert match is not None, name
        found[name] = match[2] or ""
    return found


def app_settings() -> list[str]:
    """The names of the app settings, in their order."""
    block = re.search(
        r"name: 'appsettings'\n  properties: \{\n(.*?)\n  \}", text("modules/app.bicep"), re.DOTALL
    )
    assert block is not None
    return re.findall(r"^    (\w+):", block[1], re.MULTILINE)


@dataclass(frozen=True)
class Rule:
    """A log alert."""

    name: str
    section: str
    query: str
    operator: str
    threshold: int
    window: str
    frequency: str
    only_while_enabled: bool

    def fires(self, rows: int) -> bool:
        """Whether Azure raises it when the query answers with so many rows."""
        return rows < self.threshold if self.operator == "LessThan" else rows > self.threshold


@cache
def rules() -> dict[str, Rule]:
    """The log alerts of alerts.bicep, by name, with the windows of main.bicep's defaults."""
    bodies = re.findall(
        r"^  \{\n(    name: .*?)\n  \}$", text("modules/alerts.bicep"), re.MULTILINE | re.DOTALL
    )
    windows: dict[str, str] = defaults()
    found = {}
    for body in bodies:
        plain: dict[str, str] = dict(re.findall(r"^    (\w+): '?(.*?)'?$", body, re.MULTILINE))
        file = re.fullmatch(r"loadTextContent\('\.\./(queries/[\w-]+\.kql)'\)", plain["query"])
        assert file is not None, plain["query"]
        assert plain["operator"] in ("LessThan", "GreaterThan")
        found[plain["name"]] = Rule(
            name=plain["name"],
            section=plain["section"],
            query=text(file[1]),
            operator=plain["operator"],
            threshold=int(plain["threshold"]),
            window=windows.get(plain["window"], plain["window"]),
            frequency=plain["frequency"],
            only_while_enabled=plain["onlyWhileEnabled"] == "true",
        )
    return found
