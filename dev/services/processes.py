"""Child processes that never outlive the process that started them."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from dev.folders import CLONE, runs_as_root
from dev.services import ending

LOG_TAIL_LINES = 20
READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.02


class ServiceError(Exception):
    """A server did not start; the message says which, and what its log says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An unprivileged account of a POSIX system, for servers that refuse to run as root."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """What makes `subprocess` run a command as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give `path` to this account."""
        os.chown(path, self.uid, self.gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A running child process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    gentle_signal: int

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until `is_ready` says so.

        Raises:
            ServiceError: the process has ended, or is not ready after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if self.process.poll() is not None:
                raise ServiceError(
                    f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{self.name} was not ready after {timeout_s:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(READY_POLL_S)

    def log_tail(self) -> str:
        """The last lines of its log, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])


@dataclass(slots=True)
class Supervisor:
    """Starts children, and ends them when it is closed or when this process dies.

    `dev.services.ending` says how the second is done.
    """

    _children: list[Child] = field(default_factory=list, init=False)
    _watchdog: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        folder: Path = CLONE,
        account: Account | None = None,
        gentle_signal: int = signal.SIGTERM,
        show: bool = False,
    ) -> Child:
        """Start `command` in a session of its own, as `account` when that is given.

        Its output goes to the file `log`, with `show` to this process's output instead.
        """
        announcements = self._open_watchdog()

        def announce(pid: int) -> None:
            os.write(announcements, f"{pid} {int(gentle_signal)}\n".encode())

        how: dict[str, Any] = {} if account is None else account.popen_arguments()
        if sys.platform == "win32":
            how["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        else:
            how["start_new_session"] = True
            # Runs in the child before its program: from its first moment the watchdog knows it.
            how["preexec_fn"] = lambda: announce(os.getpid())
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env=None if environ is None else dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=None if show else output,
                stderr=None if show else subprocess.STDOUT,
                **how,
            )
        if sys.platform == "win32":
            announce(process.pid)
        child = Child(name=name, process=process, log=log, gentle_signal=gentle_signal)
        self._children.append(child)
        return child

    @property
    def has_children(self) -> bool:
        """Whether anything that it started has not been stopped."""
        return bool(self._children)

    def first_dead(self) -> Child | None:
        """A child that has ended by itself, if there is one."""
        return next((child for child in self._children if child.process.poll() is not None), None)

    def stop(self, child: Child) -> None:
        """End one child and wait for it."""
        if child.process.poll() is None:
            ending.end([(psutil.Process(child.pid), child.gentle_signal)])
        child.process.wait()
        self._children.remove(child)

    def close(self) -> None:
        """End every child, the last started first, and the watchdog."""
        for child in reversed(self._children.copy()):
            self.stop(child)
        if self._watchdog is not None:
            self._watchdog.communicate()
            self._watchdog = None

    def _open_watchdog(self) -> int:
        """The pipe to the watchdog, which is started for the first child."""
        if self._watchdog is None:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-m", ending.__name__],
                cwd=CLONE,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert self._watchdog.stdin is not None  # noqa: S101 - it was asked for above
        return self._watchdog.stdin.fileno()


def unprivileged_account() -> Account | None:
    """The account for servers that refuse to run as root; None when this process is not root.

    Raises:
        ServiceError: the system has no account named nobody.
    """
    if not runs_as_root():
        return None
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ServiceError(
            "PostgreSQL does not run as root and this system has no account named nobody. "
            "Run the command as an ordinary user."
        ) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def free_port(wanted: int = 0) -> int:
    """A loopback TCP port that is free now: `wanted` if it is, else one that the system picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise ServiceError("No TCP port is free on 127.0.0.1.")


def accepts_connections(port: int) -> bool:
    """Whether something listens on the loopback TCP port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing it in one step."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def write_owned(path: Path, content: bytes, account: Account | None) -> None:
    """Write a file anew that only `account` can read, or this process's account when None."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    if account is not None:
        account.own(path)


def kept_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The secret in the file `path`, made at the first call."""
    if not path.exists():
        write_private(path, make())
    return path.read_text(encoding="utf-8")
