"""Register the app that reads Partner Center: delegated permission, public client, consent.

Run it as somebody who may consent for the whole tenant (Cloud Application Administrator or above).
There is no secret: a person signs in once with a device code.
"""

from __future__ import annotations

import sys
from typing import Any

import cloud

APIS = (
    ("4990cffe-04e8-4e8b-808a-1175604b879f", "Microsoft Partner, the audience of the API"),
    ("fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd", "Microsoft Partner Center"),
)
"""Application ids of the two APIs that Microsoft's documentation asks for, the same in every
tenant. The first one is needed; the second is added where the tenant knows it."""

PERMISSION = "user_impersonation"


def find_permission(api: str) -> str | None:
    """The id of an API's delegated permission, as this tenant knows it; None: it does not.

    By name, or else the only one that it offers.
    """
    known = cloud.az("ad", "sp", "list", "--filter", f"appId eq '{api}'")
    if not known:
        return None
    scopes = known[0].get("oauth2PermissionScopes") or []
    named = [scope for scope in scopes if scope["value"] == PERMISSION]
    chosen = named or (scopes if len(scopes) == 1 else [])
    return str(chosen[0]["id"]) if chosen else None


def find_registration(name: str) -> dict[str, Any] | None:
    """The registration of this name, if there is exactly one.

    Raises:
        HookError: there are several.
    """
    found = cloud.az("ad", "app", "list", "--filter", f"displayName eq '{name}'") or []
    if len(found) > 1:
        raise cloud.HookError(f"{len(found)} registrations are called {name}. Nothing was done.")
    return dict(found[0]) if found else None


def main() -> None:
    """Make the registration or complete it, and remember its id in the azd environment."""
    parser = cloud.arguments(__doc__)
    parser.add_argument("--name", default="partner-center-sync", help="display name")
    options = parser.parse_args()
    if options.dry_run:
        cloud.say(f"Would make the registration {options.name}, unless it is there: one tenant,")
        cloud.say("public client flows, no secret; delegated permissions of:")
        for api, title in APIS:
            cloud.say(f"  {title} ({api})")
        cloud.say("Would consent for the tenant, and set HUNTER_PARTNER_CENTER_CLIENT_ID.")
        return
    permissions = {api: find_permission(api) for api, _ in APIS}
    if permissions[APIS[0][0]] is None:
        raise cloud.HookError(
            f"This tenant does not know {APIS[0][1]} ({APIS[0][0]}). Nothing was done. Is it the "
            "tenant that is enrolled in Partner Center? If so, make the API known with "
            f"`az ad sp create --id {APIS[0][0]}` and run this again."
        )
    found = find_registration(options.name)
    if found is None:
        found = dict(
            cloud.az(
                "ad",
                "app",
                "create",
                "--display-name",
                options.name,
                "--sign-in-audience",
                "AzureADMyOrg",
                "--is-fallback-public-client",
                "true",
            )
        )
    client_id = str(found["appId"])
    public = ("--is-fallback-public-client", "true")
    cloud.when_it_has_spread(cloud.az, "ad", "app", "update", "--id", client_id, *public)
    cloud.ensure_service_principal(client_id)
    asked_for = {
        access["id"]
        for resource in found.get("requiredResourceAccess") or []
        for access in resource.get("resourceAccess") or []
    }
    for api, permission in permissions.items():
        if permission is not None and permission not in asked_for:
            add = ("--api", api, "--api-permissions", f"{permission}=Scope")
            cloud.az("ad", "app", "permission", "add", "--id", client_id, *add)
    cloud.when_it_has_spread(
        cloud.az, "ad", "app", "permission", "admin-consent", "--id", client_id
    )
    cloud.say(f"Registration {options.name}: {client_id}, consented.")
    cloud.azd_set("HUNTER_PARTNER_CENTER_CLIENT_ID", client_id)


if __name__ == "__main__":
    sys.exit(cloud.run(main))
