"""Run the simulator as a process until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from dev.services.processes import write_private
from dev.services.stopping import Stop
from dev.simulator.entra import CLIENT_ID, TENANT_ID
from dev.simulator.server import Simulator
from dev.simulator.world import World


def main() -> int:
    """Parse the command line, serve, and clean up."""
    arguments = _parse()
    state_dir: Path | None = arguments.state_dir
    state_file = None if state_dir is None else state_dir / "state.json"
    kept: dict[str, Any] | None = None
    if state_file is not None and state_file.exists():
        kept = json.loads(state_file.read_text(encoding="utf-8"))
    world = (
        World.from_export(kept["world"])
        if kept
        else World(arguments.referrals, seed=arguments.seed)
    )
    simulator = Simulator(
        port=arguments.port, ca_path=arguments.ca_file, state_dir=state_dir, world=world
    )
    if kept:
        simulator.entra.restore(kept["entra"])
    simulator.behaviour.page_size = arguments.page_size
    simulator.entra.behaviour.auto_approve_after_s = arguments.auto_approve_after_s
    stop = Stop()
    with simulator:
        found = {
            "port": simulator.port,
            "base_url": simulator.base_url,
            "tenant_id": TENANT_ID,
            "client_id": CLIENT_ID,
        }
        write_private(arguments.port_file, json.dumps(found))
        stop.wait()
        if state_file is not None:
            kept = {"world": simulator.state.export(), "entra": simulator.entra.export()}
            write_private(state_file, json.dumps(kept, ensure_ascii=False))
    with contextlib.suppress(FileNotFoundError):
        arguments.port_file.unlink()
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--port-file", type=Path, required=True, help="JSON with port and address")
    parser.add_argument("--ca-file", type=Path, required=True, help="where the CA's PEM goes")
    parser.add_argument("--referrals", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--state-dir",
        type=Path,
        help="keep CA, world and sign-ins here; a world found here goes before --referrals",
    )
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument(
        "--auto-approve-after-s", type=float, help="device codes approve themselves then"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
