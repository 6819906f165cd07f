"""Whether this machine, and whoever is signed in to it, can do what the runbook asks for."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from dev.deploy import check, release, smoke
from dev.deploy.environment import Environment
from dev.deploy.hooks import cloud, database

PROGRAMS = ("az", "azd", "pg_dump", "pg_restore", "psql")

VALUES = (
    *("APP_NAME", "APP_URL", "AZURE_RESOURCE_GROUP", "AZURE_SUBSCRIPTION_ID"),
    *("DATABASE_HOST", "DATABASE_SERVER", "DATABASE_ADMIN_NAME", "KEY_VAULT_NAME"),
)
"""Outputs of the deployment that the runbook's commands use."""

ACTIONS: Mapping[str, str] = {
    "Microsoft.Web/sites/restart/action": "restart the app",
    "Microsoft.Web/sites/publish/action": "deploy a package",
    "Microsoft.Resources/deployments/write": "change a setting",
    "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules/write": "get to the database",
    "Microsoft.DBforPostgreSQL/flexibleServers/write": "restore the database to an instant",
    "Microsoft.Insights/logs/traces/read": "read the app's log lines",
}
"""What the runbook does in the resource group, by the name of Azure's permission."""

OPERATE = "Referrals.Operate"


def prove(environment: Environment) -> None:
    """Try everything that the runbook needs, changing nothing but the firewall for a moment.

    Raises:
        HookError: something of it would not work at night.
    """
    check.look_at(_CHECKS, environment)
    cloud.say("Everything in the runbook can be done from here.")


def _programs(_: Environment) -> str:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise cloud.HookError(f"not installed here: {', '.join(missing)}")
    return ", ".join(PROGRAMS)


def _values(environment: Environment) -> str:
    missing = [name for name in VALUES if not os.environ.get(name)]
    if missing:
        raise cloud.HookError(
            f"not known here: {', '.join(missing)}; `azd env refresh -e {environment.name}`"
        )
    return "the deployment's values are here"


def _rights(_: Environment) -> str:
    group = (
        f"/subscriptions/{cloud.need('AZURE_SUBSCRIPTION_ID')}"
        f"/resourceGroups/{cloud.need('AZURE_RESOURCE_GROUP')}"
    )
    answer = cloud.az_rest(
        "get", f"{group}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    )
    missing = [
        f"{what} ({action})"
        for action, what in ACTIONS.items()
        if not _allowed(action, answer["value"])
    ]
    if missing:
        raise cloud.HookError(
            f"you may not {'; '.join(missing)}. Contributor on the resource group gives all of it"
        )
    return "restart, deploy, settings, firewall, restore and logs"


def _allowed(action: str, permissions: list[dict[str, Any]]) -> bool:
    def named(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), each.lower()) for each in patterns)

    return any(
        named(each.get("actions") or []) and not named(each.get("notActions") or [])
        for each in permissions
    )


def _app(_: Environment) -> str:
    probe = smoke.Probe(url=cloud.need("APP_URL").rstrip("/"), credential={})
    status, answer = probe.ask("/healthz/ready")
    if status not in (200, 503) or "checks" not in answer:
        raise cloud.HookError(f"/healthz/ready answers {status}; is the app deployed?")
    return f"/healthz/ready answers {status}"


def _operate(_: Environment) -> str:
    probe = smoke.open_probe()
    status, _answer = probe.ask(f"{smoke.API}/status")
    if status != 200:
        raise cloud.HookError(f"the status answers {status}: assign the role {OPERATE} to you")
    token = probe.credential.get("Authorization", "").removeprefix("Bearer ")
    if token and OPERATE not in _roles(token):
        raise cloud.HookError(f"you may read and not operate: assign the role {OPERATE} to you")
    return "the page's role is there"


def _roles(token: str) -> list[str]:
    claims = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return list(found.get("roles") or [])


def _vault(_: Environment) -> str:
    vault = cloud.need("KEY_VAULT_NAME")
    cloud.az("keyvault", "secret", "list", "--vault-name", vault, "--query", "[].name")
    return f"{vault} lets you in"


def _database(_: Environment) -> str:
    with database.open_to_us():
        token = database.administrator_token()
        with database.connect(cloud.need("DATABASE_NAME"), token=token) as connection:
            row = connection.execute("SELECT count(*) FROM partner_center_referrals").fetchone()
    return f"{row[0]} referrals, as {cloud.need('DATABASE_ADMIN_NAME')}"


def _package(environment: Environment) -> str:
    folder = release.packages(environment)
    kept = sorted(folder.glob("*.zip"))
    if not kept:
        raise cloud.HookError(
            f"{folder} has no package that a rollback could deploy. A release from GitHub keeps "
            f"them with its run: `gh run download RUN --dir {folder}`"
        )
    return f"{len(kept)} kept, the newest is {kept[-1].name}"


_CHECKS: check.Checks = {
    "programs": _programs,
    "sign-in": check.signed_in,
    "values": _values,
    "rights in Azure": _rights,
    "app": _app,
    "role on the page": _operate,
    "vault": _vault,
    "database": _database,
    "packages": _package,
}
