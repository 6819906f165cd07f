"""The simulator, Azurite and a PostgreSQL for each contender, and what each of them used."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from dev import bootstrap, local_settings
from dev.bench.contenders.task import Task
from dev.folders import CLONE
from dev.services.azurite import Azurite
from dev.services.postgres import Postgres
from dev.services.processes import ServiceError, Supervisor
from dev.services.simulator import SimulatorProcess
from dev.simulator import Simulator, connect

DATABASE = "bench"
CONTENDERS_NEED = ("dev/bench/requirements.txt",)
_LONGEST_S = 3600.0
_OWN_TABLES = ("product", "floor", "row_by_row")
# What the machine has anyway: a first start's small buffers would measure the disk instead.
SERVER_OPTIONS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one contender used for one phase.

    Attributes:
        wall_s: from the process's start to its end.
        work_s: the same without the interpreter's start and its imports.
        client_cpu_s: of the process in that time; database_cpu_s and simulator_cpu_s beside it.
        peak_bytes: the process's.
        requests: that arrived at the API.
        wal_bytes: write-ahead log written.
        rows_written: in the table of referrals; None where the contender has tables of its own.
        rows, wrong: compared with the simulator's truth afterwards.
    """

    contender: str
    phase: str
    referrals: int
    latency_ms: float
    wall_s: float
    work_s: float
    client_cpu_s: float
    database_cpu_s: float
    simulator_cpu_s: float
    peak_bytes: int
    requests: int
    wal_bytes: int
    rows_written: int | None
    rows: int = 0
    wrong: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """A contender with a PostgreSQL of its own."""

    contender: str
    server: Postgres
    folder: Path

    @property
    def url(self) -> str:
        """The libpq URL of the contender's database."""
        return self.server.url(DATABASE)

    @property
    def has_own_tables(self) -> bool:
        """Whether the contender writes the product's tables."""
        return self.contender in _OWN_TABLES

    def settle(self) -> None:
        """Leave nothing of the last phase for the server to do during the next one."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def used(self) -> tuple[float, int, int | None]:
        """CPU seconds, bytes of WAL and rows written to the table of referrals so far."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            wal = connection.execute(
                "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
            ).fetchone()
            written = None
            if self.has_own_tables:
                row = connection.execute(
                    "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
                    "WHERE relname = 'partner_center_referrals'"
                ).fetchone()
                written = int(row[0]) if row else 0
        return cpu_s(self.server.child.pid), int(wal[0]) if wal else 0, written


def run_child(command: Sequence[str], environ: Mapping[str, str], *, called: str) -> None:
    """Run a process of the benchmark's to its end.

    Raises:
        ServiceError: it failed; with the end of what it printed.
    """
    done = subprocess.run(
        command,
        cwd=CLONE,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError(f"{called} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, of its living children and of those that have ended."""
    process = psutil.Process(pid)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system
            if each is process:
                total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that runs while contenders are measured."""

    supervisor: Supervisor
    folder: Path
    simulator: SimulatorProcess
    client: Simulator
    azurite: Azurite
    referrals: int
    page_size: int
    latency_ms: float = 0.0
    _servers: int = 0

    @classmethod
    @contextlib.contextmanager
    def set(cls, folder: Path, *, referrals: int, page_size: int = 200) -> Iterator[Stage]:
        """Start the simulator, with its pages rendered beforehand, and Azurite.

        Raises:
            ServiceError: one of them did not start.
        """
        with Supervisor() as supervisor:
            simulator = SimulatorProcess.start(supervisor, folder / "simulator", referrals=1)
            client = connect(simulator.url, simulator.ca_file, timeout_s=_LONGEST_S)
            azurite = Azurite.start(supervisor, folder / "azurite", in_memory=True)
            stage = cls(
                supervisor=supervisor,
                folder=folder,
                simulator=simulator,
                client=client,
                azurite=azurite,
                referrals=referrals,
                page_size=page_size,
            )
            stage.renew()
            yield stage

    def renew(self) -> None:
        """Begin anew with a world in which nothing has changed for a while.

        What one round has changed would lie in the next one's overlap, and be read again.
        """
        self.client.reset(self.referrals)
        self.client.entra.behaviour.auto_approve_after_s = 0.5
        self.client.behaviour.page_size = self.page_size
        # Clients other than ours follow links as they are; the documented form is odd.
        self.client.behaviour.next_link_form = "absolute"
        self.client.state.render_all()

    def set_latency(self, latency_ms: float) -> None:
        """Let every answer take at least so long from now on."""
        self.client.behaviour.latency_s = latency_ms / 1000
        self.latency_ms = latency_ms

    def set_page_size(self, page_size: int) -> None:
        """Serve and ask for pages of this size from now on."""
        self.client.behaviour.page_size = page_size
        self.page_size = page_size

    @contextlib.contextmanager
    def arena(self, contender: str) -> Iterator[Arena]:
        """A fresh PostgreSQL for a contender, ready for its first load."""
        self._servers += 1
        folder = self.folder / f"{contender}-{self._servers}"
        server = Postgres.start(
            self.supervisor,
            folder / "postgres",
            durable=True,
            options=SERVER_OPTIONS,
            name=f"postgres-{contender}",
        )
        try:
            server.create_database(DATABASE)
            arena = Arena(contender=contender, server=server, folder=folder)
            if arena.has_own_tables:
                from pc_core.store import migrate

                migrate.upgrade(arena.url)
            if contender == "product":
                self._sign_in(arena)
            arena.settle()
            yield arena
        finally:
            self.supervisor.stop(server.child)

    def measure(self, arena: Arena, phase: str) -> Measurement:
        """Run a contender once and say what everybody used.

        Raises:
            ServiceError: it failed.
        """
        measures = arena.folder / "measures.json"
        command, environ = self._command(arena, phase, measures)
        self.client.clear_requests()
        simulator_cpu_s = self.client.measure_process()["cpu_s"] or 0.0
        database_cpu_s, wal, written = arena.used()
        began_s = time.monotonic()
        run_child(command, environ, called=f"{arena.contender}, in the phase {phase},")
        wall_s = time.monotonic() - began_s
        own = json.loads(measures.read_text(encoding="utf-8"))
        database_cpu_after_s, wal_after, written_after = arena.used()
        simulator_cpu_after_s = self.client.measure_process()["cpu_s"] or 0.0
        return Measurement(
            contender=arena.contender,
            phase=phase,
            referrals=self.referrals,
            latency_ms=self.latency_ms,
            wall_s=wall_s,
            work_s=own["work_s"],
            client_cpu_s=own["work_cpu_s"],
            database_cpu_s=database_cpu_after_s - database_cpu_s,
            simulator_cpu_s=simulator_cpu_after_s - simulator_cpu_s,
            peak_bytes=own["peak_bytes"],
            requests=sum("/referrals" in one.path for one in self.client.requests),
            wal_bytes=wal_after - wal,
            rows_written=None if written is None or written_after is None
            else written_after - written,
        )  # fmt: skip

    def task(self, arena: Arena, *, first: bool, measures: Path) -> Task:
        """What a contender other than the product is told."""
        return Task(
            api_url=self.simulator.url,
            ca_file=str(self.simulator.ca_file),
            token=self.client.entra.issue_access_token(),
            database_url=arena.url,
            page_size=self.page_size,
            first=first,
            folder=str(arena.folder),
            measures=str(measures),
        )

    def product_environ(self, arena: Arena) -> dict[str, str]:
        """The product's settings: every referral admitted, no politeness between pages."""
        values = local_settings.for_local_world(
            self.folder,
            database_url=arena.url,
            storage=self.azurite.connection_string,
            simulator=self.simulator,
        )
        values |= {
            "HUNTER_PARTNER_CENTER_DIRECTIONS": "*",
            "HUNTER_PARTNER_CENTER_STATUSES": "*",
            "HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES": "",
            "HUNTER_PARTNER_CENTER_PAGE_SIZE": str(self.page_size),
            "HUNTER_PARTNER_CENTER_PAGE_DELAY": "0",
            "HUNTER_PARTNER_CENTER_RUN_BUDGET": "59m",
            "AzureFunctionsJobHost__functionTimeout": "01:00:00",
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HUNTER_")}
        return {**kept, **values}

    def _sign_in(self, arena: Arena) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pc_core", "sign-in", "--json"],
            cwd=CLONE,
            env=self.product_environ(arena),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceError(f"The sign-in failed:\n{done.stdout}\n{done.stderr}")

    def _command(
        self, arena: Arena, phase: str, measures: Path
    ) -> tuple[list[str], dict[str, str]]:
        if arena.contender == "product":
            environ = {**self.product_environ(arena), "BENCH_MEASURES": str(measures)}
            return [sys.executable, "-m", "dev.bench.contenders.product"], environ
        task = self.task(arena, first=phase == "first_load", measures=measures)
        file = arena.folder / "task.json"
        task.write(file)
        python = sys.executable
        environ = {
            **os.environ,
            "REQUESTS_CA_BUNDLE": task.ca_file,
            "PYTHONPATH": str(CLONE),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        if arena.contender.startswith("dlt"):
            python = str(bootstrap.ensure_environment(CONTENDERS_NEED))
        return [python, "-m", f"dev.bench.contenders.{arena.contender}", str(file)], environ
