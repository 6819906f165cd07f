"""`python3 -m dev run`: the app with everything around it, until Ctrl-C."""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dev import local_settings, locks
from dev.app import App
from dev.asking import Answer
from dev.folders import CLONE, state_folder
from dev.local_settings import MissingSettings
from dev.services.azurite import Azurite
from dev.services.postgres import Postgres
from dev.services.processes import ServiceError, Supervisor
from dev.services.simulator import SimulatorProcess

DATABASE = "hunter"
PORTS = {"postgres": 54329, "azurite": 10100, "simulator": 8443}
WATCH_POLL_S = 0.5
BUSY_RETRY_S = 2.0
COMMAND_TIMEOUT_S = 120.0
LONGEST_FIRST_SYNC_S = 1800.0
SCHEDULE = "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"
QUERIES = """\\
    -c 'SELECT COUNT(*) FROM partner_center_referrals;' \\
    -c 'SELECT referral_id, referral_type, company_name, domain, status, synced_at
        FROM partner_center_referrals ORDER BY synced_at DESC LIMIT 5;'"""


class RunError(Exception):
    """The app could not be brought up; the message says at which step and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The services that the app talks to, as its settings."""

    values: dict[str, str]
    psql: Path | None


def main(options: argparse.Namespace) -> int:
    """Run as asked; returns the exit code."""
    state = state_folder() / ("live" if options.live else "local")
    state.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with locks.try_hold(state / "run.lock") as is_alone:
        if not is_alone:
            _complain("`dev run` is already running for this clone. Stop it first (Ctrl-C there).")
            return 1
        try:
            with Supervisor() as supervisor:
                try:
                    return _run(options, state, supervisor)
                finally:
                    if supervisor.has_children:
                        _say("\nStopping …")
        except (RunError, ServiceError, MissingSettings) as error:
            _complain(str(error))
            return 1
        except KeyboardInterrupt:
            _say("Stopped. Nothing is left running; the data stays for the next run.")
            return 0 if not options.once else 130


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - signal's form
    raise KeyboardInterrupt


def _run(options: argparse.Namespace, state: Path, supervisor: Supervisor) -> int:
    if options.reset:
        _reset(state)
    if options.live:
        world = _live_world(state, supervisor)
    else:
        world = _local_world(state, supervisor, options.referrals)
    environ = local_settings.environ_for(world.values, CLONE, live=options.live)
    _migrate(environ, ask_first=options.live)
    _sign_in(environ, interactive=options.live)
    needs_file = App.func() is not None and not options.live
    with (
        local_settings.generated(CLONE, state, world.values)
        if needs_file
        else contextlib.nullcontext()
    ):
        app = _start_app(options, state, supervisor, world, environ)
        answer = _first_sync(app)
        if not options.live and _needs_sign_in(answer):
            # The simulator has forgotten its sign-ins, say after a kill.
            _sign_in(environ, interactive=False, again=True)
            answer = _first_sync(app)
        succeeded = _report(app, answer)
        if options.once:
            return 0 if succeeded else 1
        _show_what_to_try(app, world)
        _watch(supervisor)
    return 1


# The services


def _reset(state: Path) -> None:
    for entry in state.iterdir():
        if entry.name != "run.lock":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    _say("The local data of earlier runs is gone.")


@contextlib.contextmanager
def _step(title: str) -> Iterator[list[str]]:
    began_s = time.monotonic()
    notes: list[str] = []
    yield notes
    _say(f"  {title:<12} {' '.join(notes):<58} {time.monotonic() - began_s:5.1f} s")


def _local_world(state: Path, supervisor: Supervisor, referrals: int) -> World:
    _say(f"Local world, kept in {state}")
    ports = _Ports(state / "ports.json")
    with _step("PostgreSQL") as notes:
        server, database_url = _postgres(state, supervisor, ports)
        notes.append(f"127.0.0.1:{server.port}, database {DATABASE}")
    with _step("Azurite") as notes:
        azurite = _azurite(state, supervisor, ports)
        notes.append("Azure Storage for the token cache")
    with _step("Simulator") as notes:
        simulator = SimulatorProcess.start(
            supervisor,
            state / "simulator",
            referrals=referrals,
            port=ports["simulator"],
            keeps_state=True,
            arguments=("--auto-approve-after-s", "1"),
        )
        ports["simulator"] = int(simulator.url.rpartition(":")[2])
        notes.append(f"{referrals} referrals at {simulator.url}")
    values = local_settings.for_local_world(
        state,
        database_url=database_url,
        storage=azurite.connection_string,
        simulator=simulator,
    )
    return World(values=values, psql=server.psql())


def _live_world(state: Path, supervisor: Supervisor) -> World:
    values = local_settings.for_live(CLONE, state.with_name("local"))
    _say("Real services, as named in local.settings.json")
    ports = _Ports(state / "ports.json")
    psql = None
    if local_settings.lacks_storage(values):
        with _step("Azurite") as notes:
            azurite = _azurite(state, supervisor, ports)
            values["AzureWebJobsStorage"] = azurite.connection_string
            notes.append("stands in for Azure Storage, which the settings do not name")
    if not values.get("HUNTER_DATABASE_URL"):
        with _step("PostgreSQL") as notes:
            server, values["HUNTER_DATABASE_URL"] = _postgres(state, supervisor, ports)
            psql = server.psql()
            notes.append("local, since the settings name no database")
    return World(values=local_settings.with_local_keys(state, values), psql=psql)


class _Ports:
    """The ports of the last run, so that addresses stay the same where they can."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = dict(PORTS)
        with contextlib.suppress(OSError, ValueError):
            self._known |= json.loads(path.read_text(encoding="utf-8"))

    def __getitem__(self, name: str) -> int:
        return self._known[name]

    def __setitem__(self, name: str, port: int) -> None:
        self._known[name] = port
        self._path.write_text(json.dumps(self._known), encoding="utf-8")


def _postgres(state: Path, supervisor: Supervisor, ports: _Ports) -> tuple[Postgres, str]:
    server = Postgres.start(supervisor, state / "postgres", durable=True, port=ports["postgres"])
    ports["postgres"] = server.port
    if not server.has_database(DATABASE):
        server.create_database(DATABASE)
    return server, server.url(DATABASE)


def _azurite(state: Path, supervisor: Supervisor, ports: _Ports) -> Azurite:
    azurite = Azurite.start(
        supervisor, state / "azurite", blobs_only=App.func() is None, port=ports["azurite"]
    )
    ports["azurite"] = azurite.blob_port
    return azurite


# The app's own commands


def _command(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, "-m", "pc_core", *arguments],
            cwd=CLONE,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"python -m pc_core {arguments[0]} has not ended after {COMMAND_TIMEOUT_S:.0f} s."
        ) from None


def _fail(step: str, done: subprocess.CompletedProcess[str]) -> NoReturn:
    text = (done.stderr.strip() or done.stdout.strip()).splitlines()
    raise RunError(f"{step} failed:\n" + "\n".join(f"    {line}" for line in text[-20:]))


def _migrate(environ: Mapping[str, str], *, ask_first: bool) -> None:
    with _step("Database") as notes:
        if ask_first:
            before = _command(environ, "migrate", "--status")
            if before.returncode == 0:
                notes.append("its tables are current")
                return
            where = local_settings.database_without_secrets(environ["HUNTER_DATABASE_URL"])
            if not _agrees(f"{before.stdout.strip()}\nApply the migrations to {where}?"):
                raise RunError("The database needs its migrations first: python -m pc_core migrate")
        done = _command(environ, "migrate")
        if done.returncode != 0:
            _fail("python -m pc_core migrate", done)
        lines = done.stdout.strip().splitlines()
        notes.append(lines[-1] if lines else "its tables are current")


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _sign_in(environ: Mapping[str, str], *, interactive: bool, again: bool = False) -> None:
    with _step("Sign-in") as notes:
        if not again and _is_signed_in(environ):
            notes.append("still signed in")
            return
        if interactive:
            command = [sys.executable, "-m", "pc_core", "sign-in"]
            if subprocess.run(command, cwd=CLONE, env=dict(environ), check=False).returncode != 0:
                raise RunError("The sign-in did not succeed; its output above says why.")
        else:
            done = _command(environ, "sign-in", "--json")
            if done.returncode != 0:
                _fail("python -m pc_core sign-in", done)
        notes.append("signed in by device code")


def _is_signed_in(environ: Mapping[str, str]) -> bool:
    done = _command(environ, "status", "--json")
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        state = json.loads(done.stdout.splitlines()[-1])["sign_in"]["state"]
        return state in {"ok", "transient"}
    return False


# The app


def _start_app(
    options: argparse.Namespace,
    state: Path,
    supervisor: Supervisor,
    world: World,
    environ: Mapping[str, str],
) -> App:
    with _step("App") as notes:
        app = App.start(
            supervisor,
            state,
            environ=environ,
            values=world.values,
            port=options.port,
            show=options.verbose,
        )
        notes.append(f"{app.url} ({'func' if app.is_func else 'dev.host'})")
    return app


def _needs_sign_in(answer: Answer) -> bool:
    return answer.status == 503 and _code(answer) == "sign_in_needed"


def _code(answer: Answer) -> str:
    error = answer.content.get("error")
    return str(answer.content.get("code") or (error.get("code") if isinstance(error, dict) else ""))


def _first_sync(app: App) -> Answer:
    began_s = time.monotonic()
    _say("\nFirst sync …")
    while True:
        answer = app.sync()
        waited_s = time.monotonic() - began_s
        is_busy = answer.status == 409 and _code(answer) == "already_running"
        if waited_s > LONGEST_FIRST_SYNC_S or not (is_busy or answer.status == 202):
            return answer
        if is_busy:
            time.sleep(BUSY_RETRY_S)
        else:
            _say(f"  so far: {_counts(answer)}")


def _report(app: App, answer: Answer) -> bool:
    if answer.status == 200 and answer.content.get("success") is True:
        _say(f"  {_counts(answer)}")
        return True
    _say(f"  It did not succeed: HTTP {answer.status}\n    {json.dumps(answer.content)[:1000]}")
    _say(f"  The app's log says more: {app.log}")
    return False


def _counts(answer: Answer) -> str:
    counts = answer.content
    names = ("fetched", "inserted", "updated", "unchanged", "skipped", "quarantined")
    text = ", ".join(f"{counts[name]} {name}" for name in names if counts.get(name) is not None)
    reasons = counts.get("skipped_reasons")
    if isinstance(reasons, dict) and reasons:
        text += " (" + ", ".join(f"{key} {value}" for key, value in sorted(reasons.items())) + ")"
    return f"{text}; {counts.get('duration_s')} s"


def _show_what_to_try(app: App, world: World) -> None:
    header = "" if app.api_key is None else f" -H 'X-API-Key: {app.api_key}'"
    schedule = world.values["HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"]
    _say(
        f"""
The page:      {app.url}/mini-ui/
By itself:     syncs on the schedule {os.environ.get(SCHEDULE, schedule)!r} (UTC)
Its log:       {app.log}

The runbook's checks, to copy:
  curl -s {app.url}/healthz | jq .partner_center_enabled
  curl -s -X POST {app.url}/api/v1/partner-center/referrals/sync \\
    -H 'Content-Type: application/json'{header}"""
    )
    url = world.values.get("HUNTER_DATABASE_URL", "")
    if world.psql is not None:
        _say(f"  {shlex.quote(str(world.psql))} {shlex.quote(url)} {QUERIES}")
    _say("\nCtrl-C stops everything.")


def _watch(supervisor: Supervisor) -> None:
    while True:
        dead = supervisor.first_dead()
        if dead is not None:
            raise RunError(f"{dead.name} has ended by itself. Its last lines:\n{dead.log_tail()}")
        time.sleep(WATCH_POLL_S)


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(f"\n{text}", file=sys.stderr, flush=True)
