"""Processes of the command line that begin at once: forks of one that has imported everything.

What runs in them is `python -m pc_core` with its arguments and environment, and nothing else: no
thread, connection or file was open when they came to be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

CLONE = Path(__file__).parents[2]


class Nursery:
    """Begins commands, one at a time.

    Args:
        folder: for the commands' output.
        name: different for each nursery of a folder.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._out = folder / f"{name}.out"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.promise.nursery"],
            cwd=CLONE,
            env={key: value for key, value in os.environ.items() if "HUNTER" not in key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, *arguments: str, environ: Mapping[str, str]) -> int:
        """Begin a command; returns its process id. It waits for `let_go` before it does a thing."""
        order = {"arguments": arguments, "environ": dict(environ), "out": str(self._out)}
        self._say(json.dumps(order))
        pid = int(self._hear())
        # Signals go to this number; 0 would be our own process group.
        assert pid > 1, pid
        return pid

    def let_go(self) -> None:
        """Let the command begin its work."""
        self._say("go")

    def wait(self) -> tuple[int, dict[str, Any] | None]:
        """Wait for the command's end: exit code (negative: the signal) and its JSON, if any."""
        status = os.waitstatus_to_exitcode(int(self._hear()))
        lines = self._out.read_text(encoding="utf-8").strip().splitlines()
        return status, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None

    def run(self, *arguments: str, environ: Mapping[str, str]) -> tuple[int, dict[str, Any] | None]:
        """One command from beginning to end."""
        self.begin(*arguments, environ=environ)
        self.let_go()
        return self.wait()

    def close(self) -> None:
        """End the nursery."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def _serve() -> None:
    import azure.storage.blob
    import msal
    import psycopg_pool
    import requests

    import pc_core.commands
    import pc_core.identity.entra
    import pc_core.identity.sign_in
    import pc_core.identity.token_cache
    import pc_core.partner_center.client
    import pc_core.referral.company_domain
    import pc_core.store
    import pc_core.sync.head
    import pc_core.sync.recompute
    import pc_core.wiring.app
    from pc_core.__main__ import main

    del azure, msal, psycopg_pool, requests, pc_core
    for line in sys.stdin:
        order = json.loads(line)
        gate, key = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(key)
            _be(order, gate, main)
        os.close(gate)
        _answer(pid)
        sys.stdin.readline()
        os.close(key)
        _, status = os.waitpid(pid, 0)
        _answer(status)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _be(order: dict[str, Any], gate: int, main: Callable[[list[str]], int]) -> NoReturn:
    os.read(gate, 1)
    os.environ.clear()
    os.environ.update(order["environ"])
    for descriptor, path in ((1, order["out"]), (2, f"{order['out']}.err")):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
    code = 1
    try:
        code = main(order["arguments"])
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
