"""After the resources exist: the secret, the database's roles and its schema.

May be run again at any time: what is there already stays as it is. The token-cache key is made only
where none exists, and is never shown.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import cloud
import database

KEY = "token-cache-key"

APP_CONNECTIONS = 80
"""The most that the app's role may hold: two for each of 40 instances.

HTTP and the timer are scaled apart and bursts exceed that number. Without a limit people could not
get in any more."""


def make_token_cache_key(vault: str) -> None:
    """Put a fresh key into the vault, unless one is there."""
    secrets = cloud.az_once_allowed(
        "keyvault", "secret", "list", "--vault-name", vault, "--query", "[].name"
    )
    if KEY in (secrets or []):
        cloud.say(f"Key Vault: {KEY} is there and stays as it is.")
        return
    deleted = cloud.az(
        "keyvault", "secret", "list-deleted", "--vault-name", vault, "--query", "[].name"
    )
    if KEY in (deleted or []):
        raise cloud.HookError(
            f"{KEY} was deleted from the vault {vault}. A new one would make the saved sign-in "
            f"unreadable, so none was made. Bring it back: `az keyvault secret recover "
            f"--vault-name {vault} --name {KEY}`; or purge it and sign in again afterwards."
        )
    from cryptography.fernet import Fernet

    # By a file: a value on the command line could be read by other users of this machine.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "value")
        file.touch(mode=0o600)
        file.write_bytes(Fernet.generate_key())
        cloud.az(
            "keyvault",
            "secret",
            "set",
            "--vault-name",
            vault,
            "--name",
            KEY,
            "--file",
            str(file),
            "--encoding",
            "utf-8",
            "--query",
            "id",
        )
    cloud.say(f"Key Vault: {KEY} was made.")


def prepare_database() -> None:
    """The app's role, the owner's and the reader's, and the schema."""
    from pc_core.errors import PartnerCenterSyncError
    from pc_core.store import migrate
    from pc_core.store.roles import apply_roles

    name, app = cloud.need("DATABASE_NAME"), cloud.need("APP_IDENTITY_NAME")
    with database.open_to_us():
        token = database.administrator_token()
        with database.connect("postgres", token=token) as connection:
            made = database.make_principal(
                connection, name=app, object_id=cloud.need("APP_IDENTITY_OBJECT_ID"), kind="service"
            )
            restart_due = connection.execute(
                "SELECT FROM pg_settings WHERE name = 'max_connections' AND pending_restart"
            ).fetchone()
            limit_connections(connection, app)
        cloud.say(f"Database: the role {app} {'was made' if made else 'is there'}.")
        if restart_due is not None:
            restart_server()
        with database.connect(name, token=token) as connection:
            # An older release does not know whose the newer tables are.
            if not migrate.compare(migrate.read_revision(connection)).newer:
                apply_roles(connection, app_role=app)
        url = database.url(name, token=token)
        try:
            applied = migrate.upgrade(url, app_role=app)
            status = migrate.status(url)
        except PartnerCenterSyncError as error:
            raise cloud.HookError(f"{error.code}: {error}") from None
    if applied:
        cloud.say(f"Database: applied {', '.join(applied)}.")
    cloud.say(f"Database: the schema is {status.in_words()}.")


def limit_connections(connection: Any, app: str) -> None:
    """Leave connections to people, whatever the app is scaled to."""
    import psycopg
    from psycopg import sql

    limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(
        sql.Identifier(app), sql.Literal(APP_CONNECTIONS)
    )
    try:
        connection.execute(limit)
    except psycopg.errors.InsufficientPrivilege:
        cloud.say(
            f"Database: this server lets nobody limit the connections of {app}. The alert about "
            "connections stands in for the limit."
        )


def restart_server() -> None:
    """Let max_connections take effect."""
    cloud.say("Database: restarting the server once, so that max_connections counts …")
    cloud.az(
        "postgres",
        "flexible-server",
        "restart",
        "--subscription",
        cloud.need("AZURE_SUBSCRIPTION_ID"),
        "--resource-group",
        cloud.need("AZURE_RESOURCE_GROUP"),
        "--name",
        cloud.need("DATABASE_SERVER"),
    )


def plan() -> None:
    """Say what would be done."""
    vault, name = cloud.need("KEY_VAULT_NAME"), cloud.need("DATABASE_NAME")
    app, server = cloud.need("APP_IDENTITY_NAME"), cloud.need("DATABASE_SERVER")
    cloud.say(f"Would look for {KEY} in the vault {vault}, and make one only if there is none.")
    if os.environ.get("PRIVATE_NETWORK", "").lower() != "true":
        cloud.say(f"Would let this machine through the firewall of {server}, and close it again.")
    cloud.say(f"Would make the database role {app} on {server}, if it is missing.")
    cloud.say(f"Would let it hold {APP_CONNECTIONS} connections.")
    cloud.say(f"Would restart {server} only if a new max_connections waits for it.")
    cloud.say(f"Would make and grant the roles of the database {name}, and migrate its schema.")


def main() -> None:
    """Do it all, or say what would be done."""
    options = cloud.arguments(__doc__).parse_args()
    cloud.use_project()
    if options.dry_run:
        plan()
        return
    make_token_cache_key(cloud.need("KEY_VAULT_NAME"))
    prepare_database()
    if os.environ.get("PAGE_SIGN_IN", "").lower() != "true":
        cloud.say(
            "The page is closed to everybody until people can sign in: "
            f"{cloud.hook_command('register_page_sign_in')}, then `azd provision`."
        )


if __name__ == "__main__":
    sys.exit(cloud.run(main))
