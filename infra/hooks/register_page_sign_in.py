"""Register the app that people and machines sign in to the page with, and its two roles."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import cloud
from register_partner_center import find_registration

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


def main() -> None:
    """Make the registration or complete it, and remember its id in the azd environment."""
    parser = cloud.arguments(__doc__)
    parser.add_argument("--name", default="partner-center-sync-page", help="display name")
    options = parser.parse_args()
    redirect = f"{cloud.need('APP_URL')}/.auth/login/aad/callback"
    if options.dry_run:
        cloud.say(f"Would make the registration {options.name}, unless it is there: one tenant,")
        cloud.say(f"ID tokens, redirect {redirect},")
        cloud.say("roles Referrals.Read and Referrals.Operate, assignment required.")
        cloud.say("Would set AUTH_CLIENT_ID; `azd provision` then turns the sign-in on.")
        return
    found = find_registration(options.name)
    with tempfile.TemporaryDirectory() as folder:
        roles = Path(folder, "roles.json")
        roles.write_text(json.dumps(ROLES), encoding="utf-8")
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
                )
            )
        client_id = str(found["appId"])
        cloud.az(
            "ad",
            "app",
            "update",
            "--id",
            client_id,
            "--enable-id-token-issuance",
            "true",
            "--web-redirect-uris",
            redirect,
            "--identifier-uris",
            f"api://{client_id}",
            "--app-roles",
            f"@{roles}",
        )
    if not cloud.az("ad", "sp", "list", "--filter", f"appId eq '{client_id}'"):
        cloud.az("ad", "sp", "create", "--id", client_id)
    cloud.az("ad", "sp", "update", "--id", client_id, "--set", "appRoleAssignmentRequired=true")
    cloud.say(f"Registration {options.name}: {client_id}.")
    cloud.say("Assign the roles to people under Enterprise applications, then `azd provision`.")
    cloud.azd_set("AUTH_CLIENT_ID", client_id)


if __name__ == "__main__":
    sys.exit(cloud.run(main))
