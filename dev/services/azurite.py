"""Azurite, Microsoft's local Azure Storage, on the Node of a PyPI wheel."""

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.services import npm
from dev.services.processes import (
    Child,
    Supervisor,
    accepts_connections,
    free_port,
    kept_secret,
)

ACCOUNT = "devstoreaccount1"


def ensure_installed(say: Callable[[str], None] = print) -> Path:
    """The folder that holds Azurite, installed by npm from the lock file when it is missing.

    Raises:
        ServiceError: npm could not install it.
    """
    return npm.ensure_installed("azurite", "Azurite", say)


@dataclass(frozen=True, slots=True, kw_only=True)
class Azurite:
    """A running Azurite: blobs alone, or with queues and tables for the Functions Core Tools."""

    connection_string: str
    blob_port: int
    child: Child

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        folder: Path,
        *,
        in_memory: bool = False,
        blobs_only: bool = True,
        port: int = 0,
    ) -> "Azurite":
        """Start it with its data and log in `folder`, on `port` when that is free.

        Raises:
            ServiceError: it could not be installed or did not start.
        """
        installation = ensure_installed()
        folder.mkdir(parents=True, exist_ok=True)
        key = kept_secret(
            folder / "account-key", lambda: base64.b64encode(secrets.token_bytes(64)).decode()
        )
        services = ("blob",) if blobs_only else ("blob", "queue", "table")
        script = "blob/main.js" if blobs_only else "azurite.js"
        ports = {service: free_port(port if service == "blob" else 0) for service in services}
        command: list[str | Path] = [
            npm.node(),
            installation / "node_modules" / "azurite" / "dist" / "src" / script,
            "--silent",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]
        for service, number in ports.items():
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(number)]
        if in_memory:
            command.append("--inMemoryPersistence")
        else:
            (folder / "data").mkdir(exist_ok=True)
            command += ["--location", folder / "data"]
        child = supervisor.start(
            "azurite",
            command,
            log=folder / "azurite.log",
            environ={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
            folder=folder,
        )
        child.wait_until(lambda: all(map(accepts_connections, ports.values())))
        parts = ["DefaultEndpointsProtocol=http", f"AccountName={ACCOUNT}", f"AccountKey={key}"]
        parts += [
            f"{service.capitalize()}Endpoint=http://127.0.0.1:{number}/{ACCOUNT}"
            for service, number in ports.items()
        ]
        return cls(connection_string=";".join(parts) + ";", blob_port=ports["blob"], child=child)
