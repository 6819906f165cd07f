"""End processes for certain: gently first, then not, and only the ones that were meant."""

import os
import signal
import sys
import time

import psutil

CREATED_TOLERANCE_S = 2.0
PATIENCE_S = 5.0
POLL_S = 0.02


def find(pid: int, created_at_s: float) -> psutil.Process | None:
    """The process `pid` if it is still the one that was created then (seconds since 1970).

    A number that the system has given to another process since is not found. The tolerance allows
    for a clock that was set meanwhile.
    """
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - created_at_s) <= CREATED_TOLERANCE_S
    except psutil.Error:
        return None
    return process if is_same and is_alive(process) else None


def end(processes: list[tuple[psutil.Process, int]], patience_s: float = PATIENCE_S) -> None:
    """End each process with its signal, and its whole tree with SIGKILL after `patience_s`."""
    trees: list[psutil.Process] = []
    for process, gentle_signal in processes:
        try:
            trees += [process, *process.children(recursive=True)]
            if sys.platform == "win32":
                process.terminate()
            else:
                process.send_signal(gentle_signal)
        except psutil.Error:
            continue
    _wait([process for process, _ in processes], patience_s)
    for process, _ in processes:
        if sys.platform != "win32" and is_alive(process):
            _end_group(process.pid)
    for process in trees:
        try:
            process.kill()
        except psutil.Error:
            continue
    _wait(trees, patience_s)


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _wait(processes: list[psutil.Process], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _end_group(pid: int) -> None:
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    except OSError:
        return
