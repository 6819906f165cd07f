"""Before anything is created: refuse what would deploy and then not do what it should."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import cloud
import deployed


def problems(user: Mapping[str, str]) -> list[str]:
    """Everything in the azd environment that has to be corrected first.

    Args:
        user: who deploys, with `name` and `type`, as az says.
    """
    import windows

    from pc_core.config import Settings
    from pc_core.errors import FixSetting

    found = []
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", os.environ.get("ALERT_EMAIL", "")):
        found.append(
            "ALERT_EMAIL is not an e-mail address: the alarms would reach nobody. "
            "`azd env set ALERT_EMAIL team@example.com`"
        )
    names = set(Settings.keys())
    given = {key: value for key, value in os.environ.items() if key in names and value}
    # What only the deployment knows is not due yet.
    checked = {key: value for key, value in given.items() if key.startswith("HUNTER_")}
    checked.pop("HUNTER_PARTNER_CENTER_ENABLED", None)
    try:
        settings = Settings.from_env(checked)
    except FixSetting as error:
        return [*found, str(error)]
    if given.get("HUNTER_PARTNER_CENTER_ENABLED", "").lower() == "true" and not settings.client_id:
        found.append(
            "HUNTER_PARTNER_CENTER_ENABLED is true, but HUNTER_PARTNER_CENTER_CLIENT_ID is not "
            f"set. {cloud.hook_command('register_partner_center')} makes the registration."
        )
    windows_found = (
        windows.silence_problem(
            settings.sync_schedule,
            os.environ.get("SILENCE_WINDOW", "") or "PT30M",
            datetime.now(UTC),
        ),
        windows.sweep_problem(
            settings.full_sync_every, os.environ.get("SWEEP_WINDOW", "") or "P2D"
        ),
    )
    found += [problem for problem in windows_found if problem]
    if (
        os.environ.get("DATABASE_HIGH_AVAILABILITY", "").lower() == "true"
        and (os.environ.get("DATABASE_SKU_TIER", "") or "Burstable") == "Burstable"
    ):
        found.append("DATABASE_HIGH_AVAILABILITY needs another DATABASE_SKU_TIER than Burstable.")
    admin = os.environ.get("DATABASE_ADMIN_NAME", "")
    if os.environ.get("DATABASE_ADMIN_GROUP_ID"):
        if admin in ("", user["name"]):
            found.append("DATABASE_ADMIN_NAME must be the display name of DATABASE_ADMIN_GROUP_ID.")
    elif user["type"] == "servicePrincipal" and not admin:
        found.append(
            "DATABASE_ADMIN_NAME is not set: a service principal has no user name that Azure "
            "could tell; set its display name."
        )
    return found


def keep_storage(subscription: str, *, is_dry_run: bool) -> None:
    """Deploy the size that the database's disk has grown to: it cannot shrink."""
    server = deployed.database_server(subscription) if os.environ.get("AZURE_ENV_NAME") else None
    if server is None:
        return
    size = deployed.storage_gb(server)
    if size <= deployed.number(deployed.wanted("DATABASE_STORAGE_GB")):
        return
    if is_dry_run:
        cloud.say(f"Would set DATABASE_STORAGE_GB to {size}, which the disk has grown to.")
        return
    cloud.say(f"The database's disk has grown to {size} GB.")
    cloud.azd_set("DATABASE_STORAGE_GB", str(size))


def main() -> None:
    """Check, refuse what would hurt, and set the size of the disk."""
    options = cloud.arguments(__doc__).parse_args()
    cloud.use_project()
    account = cloud.signed_in()
    found = problems(account["user"]) + deployed.problems(account["id"])
    if found:
        raise cloud.HookError(
            "Nothing was deployed. Correct this first:\n"
            + "\n".join(f"  - {each}" for each in found)
        )
    keep_storage(account["id"], is_dry_run=options.dry_run)
    cloud.say("Settings and alert windows fit together.")


if __name__ == "__main__":
    sys.exit(cloud.run(main))
