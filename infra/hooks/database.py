"""The way into the database for the hooks: as its Entra administrator, with a token."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import cloud

RULE = "deployer"
RULE_TIMEOUT_S = 300.0
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

    Raises:
        HookError: the rule cannot be made, or not be removed.
    """
    if os.environ.get("PRIVATE_NETWORK", "").lower() == "true":
        yield
        return
    address, rule = our_address(), _rule_url()
    ends = {"startIpAddress": address, "endIpAddress": address}
    cloud.az_rest("put", rule, {"properties": ends})
    try:
        _wait_until_allowed(rule, address)
        yield
    except BaseException:
        # What went wrong first is what has to be heard.
        try:
            _close(rule, address)
        except cloud.HookError as error:
            cloud.say(f"  {error}")
        raise
    _close(rule, address)


def _rule_url() -> str:
    return (
        f"/subscriptions/{cloud.need('AZURE_SUBSCRIPTION_ID')}"
        f"/resourceGroups/{cloud.need('AZURE_RESOURCE_GROUP')}"
        f"/providers/Microsoft.DBforPostgreSQL/flexibleServers/{cloud.need('DATABASE_SERVER')}"
        f"/firewallRules/{RULE}?api-version=2025-08-01"
    )


def _close(rule: str, address: str) -> None:
    try:
        cloud.az_rest("delete", rule)
        _wait_until_allowed(rule, None)
    except cloud.HookError as error:
        raise cloud.HookError(
            f"The firewall of {cloud.need('DATABASE_SERVER')} may still let {address} in; a token "
            f"is needed all the same. Remove the rule: `az rest --method delete --url '{rule}'`. "
            f"({error})"
        ) from None


def _wait_until_allowed(rule: str, address: str | None) -> None:
    """Azure only accepts the order; the next one is refused while it is being carried out."""
    deadline = time.monotonic() + RULE_TIMEOUT_S
    while _allowed(rule) != address:
        if time.monotonic() > deadline:
            raise cloud.HookError(
                f"The firewall rule {RULE} has not been changed for {RULE_TIMEOUT_S:.0f} seconds. "
                "Running the same command again is safe."
            )
        time.sleep(float(os.environ.get("SPREAD_WAIT_S", "3")))


def _allowed(rule: str) -> str | None:
    try:
        found = cloud.az_rest("get", rule)
    except cloud.HookError as error:
        if any(word in str(error) for word in ("NotFound", "Not Found")):
            return None
        raise
    return str(found["properties"]["startIpAddress"])


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
