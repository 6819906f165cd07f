"""Register the app that people and machines sign in to the page with, and its two roles."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import cloud
from register_partner_center import find_registration

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The application id of the Azure CLI in every tenant; so the runbook's curl gets its token."""

GRAPH = "https://graph.microsoft.com/v1.0/applications(appId='{client_id}')"

# The ids are ours: they name scope and roles within this one registration.
SCOPE = {
    "id": "f7a8c6d5-3b0e-4d39-8f51-2d6a4c9b7e30",
    "value": "user_impersonation",
    "type": "User",
    "isEnabled": True,
    "adminConsentDisplayName": "Use the Partner Center sync",
    "adminConsentDescription": "Call the app as the signed-in user, with the user's roles.",
}
ROLES = (
    {
        "id": "6c1b6a0e-7d0f-4a39-9a43-0f5c3a1c2b71",
        "value": "Referrals.Read",
        "displayName": "Read referrals",
        "description": "Sees referrals, runs and the state of the sync.",
        "allowedMemberTypes": ["User", "Application"],
        "isEnabled": True,
    },
    {
        "id": "b2f0d9b4-31f4-4d7e-8f57-5c0a5e6d7c12",
        "value": "Referrals.Operate",
        "displayName": "Operate the sync",
        "description": "May also start syncs, sign in to Partner Center and read the quarantine.",
        "allowedMemberTypes": ["User", "Application"],
        "isEnabled": True,
    },
)


def with_ours(
    there: list[dict[str, Any]] | None, ours: Sequence[dict[str, Any]], *, key: str = "id"
) -> list[dict[str, Any]]:
    """What somebody has added to a list of the registration, and then what this script puts there.

    Args:
        key: what tells the list's entries apart.
    """
    known = {entry[key] for entry in ours}
    added = [entry for entry in there or [] if entry[key] not in known]
    # Microsoft Graph tells the origin of a role and takes none.
    return [{k: v for k, v in entry.items() if k != "origin"} for entry in added] + [*ours]


def main() -> None:
    """Make the registration or complete it, and remember its id in the azd environment."""
    parser = cloud.arguments(__doc__)
    parser.add_argument("--name", default="partner-center-sync-page", help="display name")
    options = parser.parse_args()
    redirect = f"{cloud.need('APP_URL')}/.auth/login/aad/callback"
    if options.dry_run:
        cloud.say(f"Would make the registration {options.name}, unless it is there: one tenant,")
        cloud.say(f"ID tokens, redirect {redirect},")
        cloud.say("a scope that the Azure CLI may use,")
        cloud.say("roles Referrals.Read and Referrals.Operate, assignment required.")
        cloud.say("Would set AUTH_CLIENT_ID; `azd provision` then turns the sign-in on.")
        return
    found = find_registration(options.name)
    if found is None:
        create = ("--display-name", options.name, "--sign-in-audience", "AzureADMyOrg")
        found = dict(cloud.az("ad", "app", "create", *create))
    client_id = str(found["appId"])
    web, api = found.get("web") or {}, found.get("api") or {}
    uris, redirects = found.get("identifierUris") or [], web.get("redirectUris") or []
    clients = api.get("preAuthorizedApplications")
    exposed = {
        "requestedAccessTokenVersion": 2,
        "oauth2PermissionScopes": with_ours(api.get("oauth2PermissionScopes"), [SCOPE]),
    }
    registration = GRAPH.format(client_id=client_id)
    cloud.when_it_has_spread(
        cloud.az_rest,
        "patch",
        registration,
        {
            "identifierUris": list(dict.fromkeys([*uris, f"api://{client_id}"])),
            "web": {
                "redirectUris": list(dict.fromkeys([*redirects, redirect])),
                "implicitGrantSettings": {"enableIdTokenIssuance": True},
            },
            "appRoles": with_ours(found.get("appRoles"), ROLES),
            "api": exposed,
        },
    )
    # Only a scope that is there already can be granted beforehand.
    azure_cli = {"appId": AZURE_CLI, "delegatedPermissionIds": [SCOPE["id"]]}
    granted = {"preAuthorizedApplications": with_ours(clients, [azure_cli], key="appId")}
    cloud.when_it_has_spread(cloud.az_rest, "patch", registration, {"api": {**exposed, **granted}})
    cloud.ensure_service_principal(client_id)
    cloud.when_it_has_spread(
        cloud.az, "ad", "sp", "update", "--id", client_id, "--set", "appRoleAssignmentRequired=true"
    )
    cloud.say(f"Registration {options.name}: {client_id}.")
    cloud.say("Assign the roles to people under Enterprise applications, then `azd provision`.")
    cloud.azd_set("AUTH_CLIENT_ID", client_id)


if __name__ == "__main__":
    sys.exit(cloud.run(main))
