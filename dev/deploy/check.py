"""The pre-flight check: everything that can be known before a deployment changes anything."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from dev.deploy.environment import Environment
from dev.deploy.hooks import cloud, database, deployed, preprovision

PARTNER_API = "4990cffe-04e8-4e8b-808a-1175604b879f"
"""Microsoft Partner, the audience of the referrals API."""

MAY_NOT_LOOK = ("Insufficient privileges", "Authorization_RequestDenied")
"""Microsoft Graph's words to a service principal without a permission to read registrations."""

PROVIDERS = (
    "Microsoft.DBforPostgreSQL",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
)

DEFAULT_SKU = "Standard_B1ms"

QUOTA = (
    "/subscriptions/{{subscriptionId}}/providers/Microsoft.DBforPostgreSQL/locations/{location}"
    "/resourceType/flexibleServers/usages?api-version=2025-08-01"
)
"""Microsoft's "Quota Usages - List"; az puts the subscription in."""


type Checks = Mapping[str, Callable[[Environment], str]]
"""By title: says what it found, or raises HookError."""


def check(environment: Environment) -> None:
    """Look at everything that a deployment needs and say how it stands.

    Raises:
        HookError: something has to be corrected first.
    """
    look_at(_CHECKS, environment)


def look_at(checks: Checks, environment: Environment) -> None:
    """Make these checks, all of them, and say how each stands.

    Raises:
        HookError: one failed.
    """
    failed = 0
    for title, look in checks.items():
        try:
            found = look(environment)
        except cloud.HookError as error:
            failed += 1
            cloud.say(f"  FAILED  {title}: {error}")
        else:
            cloud.say(f"  ok      {title}: {found}")
    if failed:
        raise cloud.HookError(f"{failed} of {len(checks)} checks failed. Nothing was changed.")


def signed_in(_: Environment) -> str:
    """Where az is signed in to."""
    return f"az is signed in to the subscription {cloud.signed_in()['id']}"


def _settings(_: Environment) -> str:
    found = preprovision.problems(cloud.az("account", "show")["user"])
    if found:
        raise cloud.HookError(" ".join(found))
    return "complete, and the alerts' windows fit the schedules"


def _deployment(_: Environment) -> str:
    found = deployed.problems(cloud.signed_in()["id"])
    if found:
        raise cloud.HookError(" ".join(found))
    return "nothing of what is in Azure would be reduced or taken over"


def _registration(_: Environment) -> str:
    client_id = os.environ.get("HUNTER_PARTNER_CENTER_CLIENT_ID")
    if not client_id:
        if os.environ.get("HUNTER_PARTNER_CENTER_ENABLED", "").lower() == "true":
            raise cloud.HookError("HUNTER_PARTNER_CENTER_CLIENT_ID is not set")
        return "none yet, and the feature flag is off"
    try:
        app = cloud.az("ad", "app", "show", "--id", client_id)
        grants = cloud.az("ad", "app", "permission", "list-grants", "--id", client_id)
    except cloud.HookError as error:
        if any(word in str(error) for word in MAY_NOT_LOOK):
            return (
                "Entra ID tells it only to people and to who may read it; what is missing shows at "
                "the first sign-in"
            )
        raise
    if not app.get("isFallbackPublicClient"):
        raise cloud.HookError("public client flows are off, so no device code would be given")
    apis = {access["resourceAppId"] for access in app.get("requiredResourceAccess") or []}
    if PARTNER_API not in apis:
        raise cloud.HookError(
            "the delegated permission on Microsoft Partner is missing; "
            f"{cloud.hook_command('register_partner_center')} adds it"
        )
    if not any(grant.get("consentType") == "AllPrincipals" for grant in grants or []):
        raise cloud.HookError(
            "an administrator has not consented; "
            f"{cloud.hook_command('register_partner_center')} does"
        )
    return "public client, permission and consent are there"


def _region(_: Environment) -> str:
    location = cloud.need("AZURE_LOCATION").replace(" ", "").lower()
    offered = cloud.az("functionapp", "list-flexconsumption-locations", "--query", "[].name")
    names = {name.replace(" ", "").lower() for name in offered or []}
    if location not in names:
        raise cloud.HookError(f"Flex Consumption is not offered in {location}")
    size = os.environ.get("DATABASE_SKU_NAME") or DEFAULT_SKU
    skus = str(cloud.az("postgres", "flexible-server", "list-skus", "--location", location))
    if size.lower() not in skus.lower():
        raise cloud.HookError(f"the database size {size} is not offered in {location}")
    return f"{location} offers Flex Consumption and {size}"


def _quota(environment: Environment) -> str:
    if environment.is_deployed:
        return "the database is there already"
    size = os.environ.get("DATABASE_SKU_NAME") or DEFAULT_SKU
    found = re.match(r"Standard_([A-Z])[A-Z]*(\d+)", size)
    needed = int(found[2]) if found else 1
    names = {"cores"} | ({"standardBSFamily"} if found and found[1] == "B" else set())
    try:
        answer = cloud.az(
            *("rest", "--method", "get", "--url"),
            QUOTA.format(location=cloud.need("AZURE_LOCATION").replace(" ", "").lower()),
        )
    except cloud.HookError as error:
        return f"Azure does not tell; it would refuse the database if there is too little ({error})"
    for usage in (answer or {}).get("value") or []:
        if usage["name"]["value"] not in names:
            continue
        left = usage["limit"] - usage["currentValue"]
        if left < needed:
            raise cloud.HookError(
                f"{size} takes {needed} of the quota {usage['name']['value']}, of which {left} are "
                "left here; ask for more (Portal, Quotas) or take another region"
            )
    return f"there is room for {size}"


def _providers(_: Environment) -> str:
    registered = cloud.az(
        "provider", "list", "--query", "[?registrationState=='Registered'].namespace"
    )
    needed = set(PROVIDERS)
    if os.environ.get("PRIVATE_NETWORK", "").lower() == "true":
        needed |= {"Microsoft.App", "Microsoft.Network"}
    missing = sorted(needed - set(registered or []))
    if missing:
        return (
            f"Azure registers {', '.join(missing)} when it deploys, which takes some minutes; if "
            "you may not register them, ask an owner of the subscription"
        )
    return "all registered"


def _schema(environment: Environment) -> str:
    if not environment.is_deployed:
        return "no database yet"
    from pc_core.store import migrate

    name = cloud.need("DATABASE_NAME")
    with database.open_to_us():
        token = database.administrator_token()
        with database.connect(name, token=token) as connection:
            status = migrate.compare(migrate.read_revision(connection))
    return status.in_words()


_CHECKS: dict[str, Callable[[Environment], str]] = {
    "sign-in": signed_in,
    "settings": _settings,
    "deployment": _deployment,
    "registration": _registration,
    "region": _region,
    "quota": _quota,
    "providers": _providers,
    "schema": _schema,
}
