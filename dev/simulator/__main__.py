"""Run the simulator as a process until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

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
    if arguments.prerender:
        simulator.state.render_all()

    stop = Stop()
    with simulator:
        _write_whole(
            arguments.port_file,
            {
                "port": simulator.port,
                "pid": os.getpid(),
                "base_url": simulator.base_url,
                "device_url": simulator.device_url,
                "tenant_id": TENANT_ID,
                "client_id": CLIENT_ID,
            },
        )
        stop.wait()
        if state_file is not None:
            _write_whole(
                state_file,
                {"world": simulator.state.export(), "entra": simulator.entra.export()},
            )
    with contextlib.suppress(FileNotFoundError):
        arguments.port_file.unlink()
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument(
        "--port-file", type=Path, required=True, help="JSON with port, pid, addresses"
    )
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
    parser.add_argument(
        "--prerender", action="store_true", help="render all referrals before serving"
    )
    return parser.parse_args()


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    """Readers see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
