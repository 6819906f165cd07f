"""The database's roles and their grants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pc_core.store.statements import load_statements

if TYPE_CHECKING:
    from psycopg import Connection


def apply_roles(
    connection: Connection[Any], *, app_role: str | None = None, create: bool = True
) -> None:
    """Make the roles, give them the tables and grant what each may; the same again changes nothing.

    Run it before the first migration (then the tables belong to `partner_center_owner` from the
    start) or after it, and again after each later one; `migrate.upgrade` does the latter.

    Args:
        connection: in autocommit; to create roles its user needs CREATEROLE.
        app_role: the role that the app logs in with; it must exist. None: its grants stay.
        create: make the roles that are missing; otherwise what needs them is left out.

    Raises:
        psycopg.Error: the user may not do this.
    """
    statements = load_statements("roles")
    with connection.transaction():
        if create:
            connection.execute(statements["create"])
        connection.execute(statements["own"])
        connection.execute(statements["grant_reader"])
        if app_role is not None:
            connection.execute(
                b"SELECT set_config('partner_center.app_role', %(role)s, true)", {"role": app_role}
            )
            connection.execute(statements["grant_app"])
