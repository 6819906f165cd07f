"""The database's roles and their grants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pc_core.store.statements import load_statements

if TYPE_CHECKING:
    from psycopg import Connection


def apply_roles(
    connection: Connection[Any], *, app_role: str | None = None, create: bool = True
) -> None:
    """Create the roles, make the owner role own the tables, and grant each role its rights.

    Calling it again changes nothing. Call it before the first migration (then the new tables belong
    to `partner_center_owner`) or after it. `migrate.upgrade` calls it after each migration.

    Args:
        connection: in autocommit; to create roles its user needs CREATEROLE.
        app_role: the role that the app logs in with; it must exist. None: its grants stay.
        create: create missing roles; otherwise the grants for them are left out.

    Raises:
        psycopg.Error: the user lacks the rights for this.
    """
    statements = load_statements("roles")
    with connection.transaction():
        if create:
            connection.execute(statements["create"])
        connection.execute(statements["own"])
        connection.execute(statements["grant_reader"])
        if app_role is not None:
            connection.execute(
                "SELECT set_config('partner_center.app_role', %(role)s, true)", {"role": app_role}
            )
            connection.execute(statements["grant_app"])
