"""The simulator of Partner Center and Entra ID as a process of its own."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.services.processes import Child, Supervisor, free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorProcess:
    """A running simulator; Partner Center and Entra ID answer at `url`, `ca_file` verifies it."""

    url: str
    tenant_id: str
    client_id: str
    ca_file: Path
    child: Child

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        folder: Path,
        *,
        referrals: int = 400,
        port: int = 0,
        keeps_state: bool = False,
        arguments: tuple[str, ...] = (),
    ) -> "SimulatorProcess":
        """Start it with its files in `folder`, on `port` when that is free.

        With `keeps_state` it starts with the referrals and sign-ins of its last run, unless that
        had another number of referrals.

        Raises:
            ServiceError: it did not start.
        """
        folder.mkdir(parents=True, exist_ok=True)
        port_file, ca_file = folder / "port.json", folder / "ca.pem"
        port_file.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "dev.simulator"),
            *("--port", str(free_port(port))),
            *("--port-file", str(port_file)),
            *("--ca-file", str(ca_file)),
            *("--referrals", str(referrals)),
            *(("--state-dir", str(_state(folder, referrals))) if keeps_state else ()),
            *arguments,
        ]
        child = supervisor.start("simulator", command, log=folder / "simulator.log")
        child.wait_until(port_file.exists)
        found = json.loads(port_file.read_text(encoding="utf-8"))
        return cls(
            url=f"https://localhost:{found['port']}",
            tenant_id=found["tenant_id"],
            client_id=found["client_id"],
            ca_file=ca_file,
            child=child,
        )


def _state(folder: Path, referrals: int) -> Path:
    state = folder / f"state-{referrals}"
    for other in folder.glob("state-*"):
        if other != state:
            shutil.rmtree(other)
    state.mkdir(mode=0o700, exist_ok=True)
    return state
