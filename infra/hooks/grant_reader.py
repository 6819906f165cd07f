"""Let a person, a group or a service principal read the tables: the role partner_center_reader."""

from __future__ import annotations

import sys

import cloud
import database


def main() -> None:
    """Make the principal's database role if it is missing, and grant it."""
    parser = cloud.arguments(__doc__)
    parser.add_argument("--name", required=True, help="user principal name or display name")
    parser.add_argument("--object-id", required=True, help="its object id in Entra ID")
    parser.add_argument("--type", required=True, choices=("user", "group", "service"))
    options = parser.parse_args()
    server, name = cloud.need("DATABASE_SERVER"), cloud.need("DATABASE_NAME")
    if options.dry_run:
        cloud.say(f"Would let {options.name} sign in to {server}, if it cannot yet.")
        cloud.say(f"Would grant it partner_center_reader in {name}.")
        return
    from psycopg import sql

    with database.open_to_us():
        token = database.administrator_token()
        with database.connect("postgres", token=token) as connection:
            made = database.make_principal(
                connection, name=options.name, object_id=options.object_id, kind=options.type
            )
            connection.execute(
                sql.SQL("GRANT partner_center_reader TO {}").format(sql.Identifier(options.name))
            )
    cloud.say(
        f"{options.name} {'was let in and ' if made else ''}may read the tables. It signs in with "
        f"an Entra token as its password, user {options.name}, database {name}."
    )


if __name__ == "__main__":
    sys.exit(cloud.run(main))
