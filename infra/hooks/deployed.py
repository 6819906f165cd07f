"""What an environment has in Azure already, and what the next deployment would take from it."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import cloud

POSTGRES = "Microsoft.DBforPostgreSQL"
POSTGRES_API = "2025-08-01"
TIERS = ("Burstable", "GeneralPurpose", "MemoryOptimized")

ACCEPTED = "ACCEPT_REDUCTION"
"""The setting that says yes to a reduction, such as `HUNTER_RETENTION_DAYS=100`."""


def group_name(environment: str) -> str:
    """The resource group of an azd environment, as main.bicep names it."""
    return f"rg-partner-center-sync-{environment}"


def wanted(name: str) -> str:
    """A setting of the azd environment, or what main.parameters.json says without one."""
    given = os.environ.get(name, "")
    if given:
        return given
    text = (cloud.PROJECT / "infra" / "main.parameters.json").read_text(encoding="utf-8")
    for each in json.loads(text)["parameters"].values():
        found = re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", each["value"])
        if found is not None and found[1] == name:
            return found[2] or ""
    raise KeyError(name)


def problems(subscription: str) -> list[str]:
    """Why a deployment would hurt what is in Azure, or be refused there.

    Raises:
        HookError: as `cloud.az`.
    """
    environment = os.environ.get("AZURE_ENV_NAME", "")
    if not environment:
        return []
    group = group_name(environment)
    recorded = os.environ.get("AZURE_RESOURCE_GROUP", "")
    if recorded and recorded.lower() != group.lower():
        return [
            (
                f"This environment is deployed in the resource group {recorded}, and this release "
                f"would make another deployment in {group}. Take {recorded} down first (docs/"
                "operations.md, section Taking it down), or use a new azd environment."
            )
        ]
    groups = cloud.az("group", "list", "--query", "[].{name: name, tags: tags}") or []
    ours = [each for each in groups if each["name"].lower() == group.lower()]
    if ours and (ours[0]["tags"] or {}).get("azd-env-name") != environment:
        return [
            (
                f"The resource group {group} exists and belongs to something else: it has no "
                f"tag azd-env-name={environment}. Choose another name with `azd env new`."
            )
        ]
    server = database_server(subscription) if ours else None
    if server is None:
        return location_problems(subscription)
    return [
        *reductions(live_settings(subscription, server)),
        *administrator_problems(subscription, server["name"]),
    ]


def database_server(subscription: str) -> dict[str, Any] | None:
    """The environment's database server as Azure describes it; None: there is none.

    Raises:
        HookError: as `cloud.az`.
    """
    found = _in_group(subscription, f"{POSTGRES}/flexibleServers", POSTGRES_API)
    # A server that Azure has restored for a while stands beside it.
    own = [each for each in found if re.fullmatch(r"psql-[a-z0-9]{13}", each["name"])]
    return own[0] if own else None


def storage_gb(server: dict[str, Any]) -> int:
    """The size of the database's disk."""
    return int(server["properties"]["storage"]["storageSizeGB"])


def live_settings(subscription: str, server: dict[str, Any]) -> dict[str, str]:
    """What holds in Azure now, by the names of the settings."""
    properties = server["properties"]
    mode = properties.get("highAvailability", {}).get("mode", "Disabled")
    found = {
        "DATABASE_SKU_TIER": server["sku"]["tier"],
        "DATABASE_SKU_NAME": server["sku"]["name"],
        "DATABASE_HIGH_AVAILABILITY": "false" if mode == "Disabled" else "true",
        "DATABASE_BACKUP_DAYS": str(properties["backup"]["backupRetentionDays"]),
    }
    for workspace in _in_group(subscription, "Microsoft.OperationalInsights/workspaces"):
        found["LOG_RETENTION_DAYS"] = str(workspace["properties"]["retentionInDays"])
    for site in _in_group(subscription, "Microsoft.Web/sites", "2024-11-01"):
        url = f"{site['id']}/config/appsettings/list?api-version=2024-11-01"
        settings = cloud.az_rest("post", url)["properties"]
        if settings.get("HUNTER_RETENTION_DAYS"):
            found["HUNTER_RETENTION_DAYS"] = settings["HUNTER_RETENTION_DAYS"]
    return found


def reductions(live: dict[str, str]) -> list[str]:
    """The settings that would take something away and that nobody has accepted."""
    accepted = {each.strip() for each in os.environ.get(ACCEPTED, "").split(",")}
    found = []
    for name, now in live.items():
        new = wanted(name)
        if new.lower() == now.lower() or f"{name}={new}" in accepted:
            continue
        if name == "DATABASE_SKU_TIER":
            is_less = _tier(new) < _tier(now)
        elif name == "DATABASE_SKU_NAME":
            is_less = wanted("DATABASE_SKU_TIER") == live["DATABASE_SKU_TIER"] and _cores(
                new
            ) <= _cores(now)
        elif name == "DATABASE_HIGH_AVAILABILITY":
            is_less = now == "true"
        else:
            is_less = number(new) < number(now)
        if is_less:
            found.append(
                f"{name} is {now} in Azure and would become {new}. To keep it: `azd env set {name} "
                f"{now}`. To reduce it: `azd env set {ACCEPTED} {name}={new}`."
            )
    return found


def administrator_problems(subscription: str, server: str) -> list[str]:
    """Why Azure would refuse the database's administrator."""
    name = os.environ.get("DATABASE_ADMIN_NAME", "")
    principal = os.environ.get("DATABASE_ADMIN_GROUP_ID") or _deployer()
    found = _in_group(
        subscription, f"{POSTGRES}/flexibleServers/{server}/administrators", POSTGRES_API
    )
    recorded = [each["name"] for each in found if each["properties"]["principalName"] == name]
    if not principal or not recorded or principal.lower() in {each.lower() for each in recorded}:
        return []
    return [
        (
            f"{name} administers the database and is not who deploys now (object id {principal}). "
            f"Deploy as {name}, or make a group of both: `azd env set DATABASE_ADMIN_GROUP_ID`, "
            "`azd env set DATABASE_ADMIN_NAME` (docs/operations.md, section First deployment)."
        )
    ]


def location_problems(subscription: str) -> list[str]:
    """Why Azure would refuse a new database server in this region."""
    location = os.environ.get("AZURE_LOCATION", "").replace(" ", "").lower()
    if not location:
        return []
    try:
        answer = cloud.az_rest(
            "get",
            f"/subscriptions/{subscription}/providers/{POSTGRES}/locations/{location}"
            f"/capabilities?api-version={POSTGRES_API}",
        )
    except cloud.HookError as error:
        cloud.say(f"Azure does not say what {location} offers; it refuses what it lacks: {error}")
        return []
    offered = (answer or {}).get("value") or []
    restricted = [each for each in offered if each.get("restricted") == "Enabled"]
    if restricted:
        reason = restricted[0].get("reason") or "no reason was given"
        return [
            (
                f"Azure offers this subscription no PostgreSQL server in {location} ({reason}). "
                "Choose another region (`azd env set AZURE_LOCATION northeurope`), or ask Azure's "
                "support to open this one."
            )
        ]
    sizes = {
        size["name"].lower()
        for each in offered
        for edition in each.get("supportedServerEditions") or []
        for size in edition.get("supportedServerSkus") or []
    }
    size = wanted("DATABASE_SKU_NAME")
    if sizes and size.lower() not in sizes:
        return [f"{location} does not offer the database size {size} to this subscription."]
    return []


def _in_group(subscription: str, kind: str, api: str = "2025-02-01") -> list[dict[str, Any]]:
    group = group_name(cloud.need("AZURE_ENV_NAME"))
    within = f"/subscriptions/{subscription}/resourceGroups/{group}/providers"
    try:
        answer = cloud.az_rest("get", f"{within}/{kind}?api-version={api}")
    except cloud.HookError as error:
        # Before the first deployment there is no group.
        if any(word in str(error) for word in ("NotFound", "Not Found")):
            return []
        raise
    return list((answer or {}).get("value") or [])


def number(text: str) -> int:
    """A setting's number; 0: it is none, which Azure refuses."""
    return int(text) if text.isdecimal() else 0


def _tier(name: str) -> int:
    return TIERS.index(name) if name in TIERS else -1


def _cores(size: str) -> int:
    found = re.match(r"Standard_[A-Za-z]+(\d+)", size)
    return int(found[1]) if found else 0


def _deployer() -> str:
    """The object id of who deploys; empty: it cannot be found out."""
    if given := os.environ.get("AZURE_PRINCIPAL_ID"):
        return given
    try:
        return str(cloud.az("ad", "signed-in-user", "show", "--query", "id") or "")
    except cloud.HookError:
        return ""
