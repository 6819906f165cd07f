"""The function app as a running process: under `func` where it is installed, else dev.host."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev import asking
from dev.asking import Answer
from dev.folders import CLONE
from dev.services.host import HostProcess
from dev.services.processes import Child, Supervisor, free_port

START_TIMEOUT_S = 180.0
SYNC_TIMEOUT_S = 240.0  # above the 230 s after which Azure itself gives up
HEALTH_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The running app. `api_key` is what callers must send; None where the host adds it."""

    url: str
    api_key: str | None
    is_func: bool
    child: Child

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.child.log

    @staticmethod
    def func() -> str | None:
        """The path of the Functions Core Tools, when they are installed."""
        return shutil.which("func")

    @classmethod
    def start(
        cls,
        supervisor: Supervisor,
        state: Path,
        *,
        environ: Mapping[str, str],
        values: Mapping[str, str],
        port: int,
        show: bool = False,
    ) -> "App":
        """Start the app and wait until its health answers.

        Raises:
            ServiceError: it did not start.
        """
        func = cls.func()
        port = free_port(port)
        api_key = environ.get("HUNTER_API_KEY")
        if func is None:
            host = HostProcess.start(
                supervisor,
                state / "app",
                app=CLONE,
                settings=values,
                added_headers={} if api_key is None else {"X-API-Key": api_key},
                environ=environ,
                port=port,
                show=show,
            )
            app = cls(url=host.url, api_key=None, is_func=False, child=host.child)
        else:
            child = supervisor.start(
                "app",
                [func, "start", "--port", str(port)],
                log=state / "app" / "app.log",
                environ=environ,
                show=show,
            )
            url = f"http://localhost:{port}"
            app = cls(url=url, api_key=api_key, is_func=True, child=child)
        app.child.wait_until(
            lambda: app.ask("GET", "/healthz", HEALTH_TIMEOUT_S).status == 200, START_TIMEOUT_S
        )
        return app

    def sync(self) -> Answer:
        """POST a sync, as the runbook does by hand."""
        return self.ask("POST", "/api/v1/partner-center/referrals/sync", SYNC_TIMEOUT_S)

    def ask(self, method: str, path: str, timeout_s: float) -> Answer:
        """Send a request, as an operator."""
        headers = {} if self.api_key is None else {"X-API-Key": self.api_key}
        return asking.ask(method, self.url + path, headers=headers, timeout_s=timeout_s)
