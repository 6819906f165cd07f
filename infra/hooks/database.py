"""The way into the database for the hooks: as its Entra administrator, with a token."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import cloud

RULE = "deployer"
LOOKUP = "https://api.ipify.org"


def url(database: str, *, token: str) -> str:
    """A libpq URL with the token in it, never to be printed.

    libpq's own variables fill in the rest: PGPORT, PGSSLROOTCERT.
    """
    import certifi

    user, host = quote(cloud.need("DATABASE_ADMIN_NAME"), safe=""), cloud.need("DATABASE_HOST")
    roots = os.environ.get("PGSSLROOTCERT") or certifi.where()
    return (
        f"postgresql://{user}:{quote(token, safe='')}@{host}/{quote(database, safe='')}"
        f"?sslmode=verify-full&sslrootcert={quote(roots, safe='')}&connect_timeout=15"
    )


def administrator_token() -> str:
    """A token that is the administrator's password for about an hour."""
    token: str = cloud.az(
        "account",
        "get-access-token",
        "--resource-type",
        "oss-rdbms",
        "--query",
        "accessToken",
        secret_output=True,
    )
    return token


@contextmanager
def open_to_us() -> Iterator[None]:
    """Let this machine through the server's firewall for as long as it is needed.

    The rule is removed whatever happens; in a private network there is none to make.
    """
    if os.environ.get("PRIVATE_NETWORK", "").lower() == "true":
        yield
        return
    place = (
        "--resource-group",
        cloud.need("AZURE_RESOURCE_GROUP"),
        "--name",
        cloud.need("DATABASE_SERVER"),
        "--rule-name",
        RULE,
    )
    address = our_address()
    try:
        cloud.az(
            "postgres",
            "flexible-server",
            "firewall-rule",
            "create",
            *place,
            "--start-ip-address",
            address,
            "--end-ip-address",
            address,
        )
        yield
    finally:
        cloud.az("postgres", "flexible-server", "firewall-rule", "delete", *place, "--yes")


def our_address() -> str:
    """This machine's public address: DEPLOYER_IP, or what a lookup service sees.

    Raises:
        HookError: the service does not answer.
    """
    given = os.environ.get("DEPLOYER_IP")
    if given:
        return given
    try:
        with urllib.request.urlopen(LOOKUP, timeout=10) as answer:
            return str(answer.read(64).decode("ascii").strip())
    except (urllib.error.URLError, OSError, UnicodeDecodeError):
        raise cloud.HookError(
            f"This machine's public address is not known ({LOOKUP} does not answer). Nothing was "
            "done. Set it: `azd env set DEPLOYER_IP 203.0.113.7`."
        ) from None


def connect(database: str, *, token: str) -> Any:
    """A connection in autocommit.

    Raises:
        HookError: the server is out of reach or refuses.
    """
    import psycopg

    try:
        return psycopg.connect(url(database, token=token), autocommit=True)
    except psycopg.OperationalError as error:
        where = (
            "The database is in a private network: run this hook on a machine inside it."
            if os.environ.get("PRIVATE_NETWORK", "").lower() == "true"
            else "A fresh firewall rule or administrator takes a minute to count: run it again."
        )
        reason = str(error).replace(token, "…").splitlines()[0]
        raise cloud.HookError(f"No connection to {database}: {reason}. {where}") from None


def make_principal(connection: Any, *, name: str, object_id: str, kind: str) -> bool:
    """Let an Entra principal sign in to the server; returns whether its role is new.

    Args:
        connection: to the database postgres, as the Entra administrator.
        kind: `user`, `group` or `service`.
    """
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    if found is not None:
        return False
    connection.execute(
        "SELECT pgaadauth_create_principal_with_oid(%s, %s, %s, false, false)",
        [name, object_id, kind],
    )
    return True
