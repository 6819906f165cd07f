"""End processes for certain, and never another process that has got the same number since.

`python -m dev.services.ending` is the watchdog of a `Supervisor`. It reads one line for each
process that is started: its number and the signal that asks it to end. The input ends when the
supervisor closes it, or when the supervisor's process dies, however it dies. Then the watchdog
ends what still runs.

This is the only way in which children follow their starter. It needs nothing but a pipe, so it is
the same on Linux, macOS and Windows, and a child is announced before its program runs (on Windows
just after). One case is not covered: someone kills the watchdog and the starter, both with
SIGKILL. The next start of a durable PostgreSQL then ends the server that still holds its data.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence

import psutil

PATIENCE_S = 5.0
POLL_S = 0.02


def end(processes: Sequence[tuple[psutil.Process, int]], *, patience_s: float = PATIENCE_S) -> None:
    """End each process with its signal, and its whole tree with SIGKILL after `patience_s`."""
    trees: list[psutil.Process] = []
    asked: list[psutil.Process] = []
    for process, gentle_signal in processes:
        with contextlib.suppress(psutil.Error):
            trees += [process, *process.children(recursive=True)]
            if sys.platform == "win32":
                process.terminate()
            else:
                process.send_signal(gentle_signal)
            asked.append(process)
    _wait(asked, patience_s)
    for process in asked:
        if sys.platform != "win32" and is_alive(process):
            with contextlib.suppress(OSError):
                if os.getpgid(process.pid) == process.pid:
                    os.killpg(process.pid, signal.SIGKILL)
    for process in trees:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _wait(trees, patience_s)


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _wait(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def main() -> None:
    """Read the numbers of started processes until the input ends, then end those that are left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    started: list[tuple[psutil.Process, int]] = []
    for line in sys.stdin:
        pid, gentle_signal = line.split()
        with contextlib.suppress(psutil.NoSuchProcess):
            started.append((psutil.Process(int(pid)), int(gentle_signal)))
    end(started)


if __name__ == "__main__":
    main()
