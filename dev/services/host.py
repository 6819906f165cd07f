"""The local Functions host as a process of its own."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.services.processes import Child, Supervisor, write_private

START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProcess:
    """A running host with an app on it."""

    port: int
    child: Child

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://localhost:{self.port}"

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        folder: Path,
        *,
        app: Path,
        settings: Mapping[str, str],
        added_headers: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        port: int = 0,
        show: bool = False,
    ) -> "HostProcess":
        """Start it with its files and the log `app.log` in `folder`, and wait until it serves.

        Args:
            supervisor: ends it.
            folder: for its files.
            app: the folder with function_app.py.
            settings: as in local.settings.json; variables of `environ` win over them.
            added_headers: what callers from this machine need not send themselves.
            environ: the process's environment; this one's by default.
            port: 0 picks a free one.
            show: its log on this process's output.

        Raises:
            ServiceError: it did not start; the message holds its reason.
        """
        folder.mkdir(parents=True, exist_ok=True)
        port_file = folder / "host.json"
        port_file.unlink(missing_ok=True)
        settings_file, headers_file = folder / "settings.json", folder / "added-headers.json"
        write_private(settings_file, settings_text(settings))
        write_private(headers_file, json.dumps(dict(added_headers or {})))
        command = [
            *(sys.executable, "-m", "dev.host"),
            *("--app", str(app)),
            *("--port", str(port)),
            *("--port-file", str(port_file)),
            *("--settings", str(settings_file)),
            *("--added-headers-file", str(headers_file)),
        ]
        child = supervisor.start("app", command, log=folder / "app.log", environ=environ, show=show)
        child.wait_until(port_file.exists, START_TIMEOUT_S)
        return cls(port=json.loads(port_file.read_text(encoding="utf-8"))["port"], child=child)


def settings_text(values: Mapping[str, str]) -> str:
    """A settings file in the format of local.settings.json."""
    return json.dumps({"IsEncrypted": False, "Values": dict(values)}, indent=2) + "\n"
