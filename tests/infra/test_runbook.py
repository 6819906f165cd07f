"""The runbook as somebody reads it at night: what it says to type is there and is understood."""

from __future__ import annotations

import json
import logging
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dev.deploy import command
from dev.deploy.options import DATABASE_COMMANDS, parser
from dev.folders import CLONE
from dev.simulator.faults import Fault
from pc_core.__main__ import parser as app_parser
from pc_core.config import Settings
from pc_core.observe import events
from tests.infra import templates
from tests.infra.conftest import Cloud
from tests.sync.conftest import make_harness
from tests.sync.harness import Harness

__all__ = ["make_harness"]

RUNBOOK = (CLONE / "docs" / "operations.md").read_text(encoding="utf-8")
README = (CLONE / "README.md").read_text(encoding="utf-8")
QUERIES = sorted([*(CLONE / "infra" / "queries").glob("*.kql"), *(CLONE / "docs").rglob("*.kql")])
SET_BY_THE_READER = {"NEW", "OLD", "TOKEN", "WHO", "PAGE", "PREFIX", "SUBJECT"}
SET_BY_AZD_OR_A_HOOK = {"AZURE_SUBSCRIPTION_ID", "AUTH_CLIENT_ID"}
OF_THE_HOOKS = {"ACCEPT_REDUCTION", "APP_CONNECTIONS", "DEPLOYER_IP"}


def blocks(text: str) -> list[str]:
    """The shell's blocks, without what indents them."""
    return [
        re.sub(rf"^{found[1]}", "", found[2], flags=re.MULTILINE)
        for found in re.finditer(r"^( *)```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    ]


def commands(text: str, beginning: str) -> list[list[str]]:
    """What is to be typed and begins so, in blocks and in the middle of a sentence."""
    lines = [
        line
        for block in blocks(text)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith(beginning)
    ]
    lines += re.findall(
        rf"`({re.escape(beginning)}[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    )
    return [shlex.split(line, comments=True) for line in lines]


# In the README's sentences a command's name alone is a name.
DEPLOY = [
    *commands(RUNBOOK, "python3 -m dev deploy "),
    *(words for words in commands(README, "python3 -m dev deploy ") if len(words) > 5),
]


def test_every_block_is_a_script_that_the_shell_understands() -> None:
    for block in [*blocks(RUNBOOK), *blocks(README)]:
        done = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, block + done.stderr


@pytest.mark.parametrize("words", DEPLOY, ids=" ".join)
def test_every_command_of_dev_deploy_is_understood(words: list[str]) -> None:
    options = parser().parse_args(words[4:])

    assert options.environment == "prod"
    if options.command == "run":
        own = command._own_arguments(options)
        assert own[0] in DATABASE_COMMANDS
        app_parser().parse_args(own)
    if options.command in ("run", "hook"):
        assert command._only_looks(options) or options.confirm == "prod"
    if options.command in ("restore", "release", "rollback") and "--dry-run" not in words:
        assert options.confirm == "prod"


def test_there_are_as_many_commands_as_one_sees() -> None:
    assert len(DEPLOY) > 20
    assert {words[4] for words in DEPLOY} == {
        *("backup", "check", "hook", "on-call", "release", "restore", "rollback", "run", "smoke"),
        "sql",
    }


@pytest.mark.parametrize("words", [words for words in DEPLOY if words[4] == "hook"], ids=" ".join)
def test_every_hook_takes_what_the_runbook_gives_it(cloud: Cloud, words: list[str]) -> None:
    environ = {
        "APP_URL": "https://func-test.azurewebsites.net",
        "DATABASE_SERVER": "psql-test",
        "DATABASE_NAME": "hunter",
    }
    cloud.set(environment=environ)

    done = cloud.run(*words[1:], "--dry-run")

    assert done.code == 0, done.err
    assert "Would" in done.out


@pytest.mark.parametrize(
    "statement", [words[7] for words in DEPLOY if words[4] == "sql"], ids=lambda text: text[:40]
)
def test_every_statement_works_on_the_tables(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url, options="-c default_transaction_read_only=on") as database:
        database.execute(statement.encode())


def test_every_name_that_is_used_comes_from_the_environment() -> None:
    outputs = templates.outputs()
    used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", RUNBOOK))

    assert {"APP_URL", "APP_NAME", "AZURE_RESOURCE_GROUP", "DATABASE_SERVER"} <= used
    assert used - SET_BY_THE_READER - SET_BY_AZD_OR_A_HOOK <= outputs


def test_the_role_that_is_given_to_the_workflow_is_the_operators() -> None:
    hook = (CLONE / "infra" / "hooks" / "register_page_sign_in.py").read_text(encoding="utf-8")
    operator = re.search(r'"id": "([0-9a-f-]{36})",\s+"value": "Referrals.Operate"', hook)

    assert operator is not None
    assert f'\\"appRoleId\\": \\"{operator[1]}\\"' in RUNBOOK


def test_every_setting_that_is_named_exists() -> None:
    parameters = set(re.findall(r"\$\{([A-Z_]+)", templates.text("main.parameters.json")))
    known = {*Settings.keys(), *parameters, *OF_THE_HOOKS}
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)[`=]", RUNBOOK))
    named |= set(re.findall(r"azd env set ([A-Z_]+)", RUNBOOK + README))
    named -= {"NAME"}

    assert len(named) > 15
    assert named <= known


def test_every_link_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}

    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        file, _, anchor = target.partition("#")
        if file.startswith("http"):
            continue
        assert not file or (CLONE / "docs" / file).exists(), target
        assert file or anchor in anchors, target


def test_every_section_about_an_alert_belongs_to_one_and_the_other_way_round() -> None:
    told = set(re.findall(r"^### (Alert: .+)$", RUNBOOK, re.MULTILINE))
    alerts = templates.text("modules/alerts.bicep")
    raised = {rule.section for rule in templates.rules().values()}
    raised |= set(re.findall(r'section "(Alert: [^"$]+)"', alerts))

    assert told == raised
    mentioned = set(re.findall(r"\*(Alert: [^*]+)\*", RUNBOOK))
    assert mentioned <= told


# The queries


def event_of(query: Path) -> str:
    found = re.findall(r'event\) == "(\w+)"', query.read_text(encoding="utf-8"))
    return str(found[0]) if found else ""


def test_every_event_that_a_query_or_the_workbook_looks_for_is_written_by_the_code() -> None:
    code = "".join(path.read_text("utf-8") for path in (CLONE / "pc_core").rglob("*.py"))
    texts = [path.read_text("utf-8") for path in QUERIES]
    texts += [(CLONE / "infra" / "workbook.json").read_text("utf-8"), RUNBOOK]
    named = {name for text in texts for name in re.findall(r"partner_center_\w+", text)}
    tables = set(re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", _schema(), re.MULTILINE))

    wanted = {name for name in named - tables if f'"{name}"' not in code}
    assert wanted <= {"partner_center_reader", "partner_center_"}
    assert len(named) > 8


def _schema() -> str:
    folder = CLONE / "pc_core" / "store" / "migrations" / "versions"
    return "".join(path.read_text("utf-8") for path in folder.glob("*.sql"))


def test_every_member_that_a_query_reads_is_in_the_line(
    make_harness: Callable[..., Harness], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, events.logger.name)
    harness = make_harness(20)
    harness.simulator.faults.add(Fault(kind="status", target="list", status=429, times=1))
    harness.run()
    harness.simulator.faults.add(Fault(kind="html", target="list", times=3))
    harness.run()
    written: dict[str, set[str]] = {}
    for record in caplog.records:
        line: dict[str, Any] = json.loads(record.getMessage())
        written.setdefault(line["event"], set()).update(line)

    tried = set()
    for query in QUERIES:
        event = event_of(query)
        members = set(
            re.findall(r"(?:line|parse_json\(message\))\.(\w+)", query.read_text("utf-8"))
        )
        if event in written:
            tried.add(event)
            assert members <= written[event], query.name

    assert len(tried) >= 3
