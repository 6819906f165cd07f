"""A world for runs in processes of their own, that are killed or frozen at the n-th message."""

from __future__ import annotations

import os
import random
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from dev.services.postgres import Postgres
from dev.simulator import Simulator
from pc_core.sync.report import Mode
from pc_core.sync.under_lease import LEASE_S
from tests.identity.world import new_key
from tests.promise.nursery import Nursery
from tests.promise.scale import LONG, SEED
from tests.promise.wires import Meter, Wire
from tests.sync.harness import Harness, assert_equals_truth

WORLDS = 3
MOST_MESSAGES = 2_000
GRACE_S = 90.0
"""What a loaded machine may take longer than it should, once with a storage that keeps silent until
it is given up (41 s); the promise itself is two minutes."""

PASSING = ("database_busy", "storage_unavailable")
"""Told by a run that has to wait for a frozen one's locks, or for a storage under load."""

OPEN_TRANSACTION_S = 30.0
"""A process frozen within a transaction holds its locks until the server ends it (limits.sql)."""


class KillWorld:
    """A simulator, a database for each trial, and wires between them and the runs.

    Args:
        template: a migrated database.
        name: different for each world of a test session.
    """

    def __init__(
        self, postgres: Postgres, template: str, azurite: str, folder: Path, name: str
    ) -> None:
        self._postgres = postgres
        self._template = template
        self._name = name
        self._synced: str | None = None
        self.away: list[str] = []
        self.simulator = Simulator(referrals=12, seed=7).start()
        self.simulator.behaviour.page_size = 4
        # Older than MSAL likes: each run asks Entra for a token and saves the cache.
        self.simulator.entra.behaviour.access_token_lifetime_s = 200
        self.meter = Meter()
        blob_port = int(re.findall(r"BlobEndpoint=http://127\.0\.0\.1:(\d+)", azurite)[0])
        self._wires = {
            "api": Wire(self.simulator.port, self.meter),
            "blob": Wire(blob_port, self.meter),
            "database": Wire(postgres.port, self.meter),
        }
        url = f"https://localhost:{self._wires['api'].port}"
        self.simulator.entra.base_url = url
        self._environ = {
            **{key: value for key, value in os.environ.items() if "HUNTER" not in key},
            "HUNTER_PARTNER_CENTER_ENABLED": "true",
            "HUNTER_PARTNER_CENTER_CLIENT_ID": self.simulator.client_id,
            "HUNTER_PARTNER_CENTER_TENANT_ID": self.simulator.tenant_id,
            "HUNTER_PARTNER_CENTER_API_URL": url,
            "HUNTER_PARTNER_CENTER_AUTHORITY": url,
            "HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH": f"kill-{secrets.token_hex(6)}/cache",
            "HUNTER_PARTNER_CENTER_PAGE_DELAY": "0s",
            "HUNTER_TOKEN_CACHE_KEY": new_key(),
            "AzureWebJobsStorage": azurite.replace(
                f":{blob_port}/", f":{self._wires['blob'].port}/"
            ),
            "REQUESTS_CA_BUNDLE": str(self.simulator.ca_path),
        }
        self.victims = Nursery(folder, f"{name}-victims")
        self.others = Nursery(folder, f"{name}-others")
        with Trial(self, synced=False) as trial:
            self._sign_in(trial)

    def close(self) -> None:
        """End everything."""
        self.victims.close()
        self.others.close()
        for wire in self._wires.values():
            wire.close()
        self.simulator.stop()
        if self._synced is not None:
            self._postgres.drop_database(self._synced)

    def make_database(self, *, synced: bool) -> str:
        """A fresh database, empty or as a completed run has left it."""
        if synced and self._synced is None:
            self._synced = f"kill_{self._name}_synced"
            self._postgres.create_database(self._synced, template=self._template)
            Trial(self, synced=False, database=self._synced).complete("full")
        name = f"kill_{secrets.token_hex(6)}"
        template = self._synced if synced else self._template
        self._postgres.create_database(name, template=template)
        return name

    def drop_database(self, name: str) -> None:
        """Remove a trial's database."""
        self._postgres.drop_database(name)

    def database_url(self, name: str) -> str:
        """The database itself, without a wire."""
        return self._postgres.url(name)

    def environ(self, name: str) -> Mapping[str, str]:
        """The settings of a run on this database."""
        parts = urlsplit(self._postgres.url(name))
        host = f"{parts.netloc.rpartition(':')[0]}:{self._wires['database'].port}"
        return {**self._environ, "HUNTER_DATABASE_URL": urlunsplit(parts._replace(netloc=host))}

    def _sign_in(self, trial: Trial) -> None:
        behaviour = self.simulator.entra.behaviour
        behaviour.device_interval_s, behaviour.auto_approve_after_s = 1, 0.0
        code, said = self.others.run("sign-in", "--json", environ=trial.environ)
        assert code == 0, said


class Trial:
    """One database: a run that is killed or frozen, and what comes after.

    Args:
        synced: whether a completed run had been there before.
    """

    def __init__(self, world: KillWorld, *, synced: bool, database: str | None = None) -> None:
        self.world = world
        self._owns = database is None
        self.database = database or world.make_database(synced=synced)
        self.environ: Mapping[str, str] = world.environ(self.database)
        self.harness = Harness(
            database_url=world.database_url(self.database), simulator=world.simulator
        )
        self.harness.admitted_ever |= self.harness.rows().keys()
        self.harness.note_admitted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.harness.close()
        if self._owns:
            self.world.drop_database(self.database)

    def change(self) -> None:
        """What happens in Partner Center: changes, an arrival, a departure, a return."""
        state, away = self.world.simulator.state, self.world.away
        for one in state.ids()[16:]:
            state.remove(one)
        if away:
            state.restore(away.pop())
        ids = state.ids()
        state.change_some(3)
        self.harness.note_admitted()
        state.close(ids[1], "Lost")
        state.change(ids[1], status="Active", substatus="Accepted")
        gone = next(one for one in ids[2:] if one in self.harness.admitted_ever)
        state.remove(gone)
        away.append(gone)
        fresh = state.add(direction="Incoming", status="New", substatus="Received")
        self.harness.note_admitted()
        assert fresh["id"] in self.harness.admitted_ever

    def kill_at(self, message: int, mode: Mode) -> bool:
        """A run that is killed at this message; returns whether it was still alive to be."""
        return self.kill_command_at(message, "sync", "--mode", mode)

    def kill_command_at(self, message: int, *command: str) -> bool:
        """A command that is killed at this message; returns whether it was still alive to be."""
        pid = self.world.victims.begin(*command, "--json", environ=self.environ)

        def kill() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        self.world.meter.arm(message, kill)
        self.world.victims.let_go()
        code, said = self.world.victims.wait()
        self.world.meter.arm(None, kill)
        assert code in (0, -signal.SIGKILL), said
        return code != 0

    def freeze_at(self, message: int, mode: Mode) -> tuple[int | None, int]:
        """A run that is frozen at this message; returns its process id, None if it has ended.

        It goes on with `wake`.
        """
        pid = self.world.victims.begin("sync", "--json", "--mode", mode, environ=self.environ)
        frozen = threading.Event()

        def freeze() -> None:
            os.kill(pid, signal.SIGSTOP)
            frozen.set()

        self.world.meter.arm(message, freeze)
        self.world.victims.let_go()
        is_frozen = frozen.wait(15)
        self.world.meter.arm(None, freeze)
        return (pid if is_frozen else None), message

    def wake(self, pid: int) -> tuple[int, dict[str, Any] | None]:
        """Let a frozen run go on to its end."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return self.world.victims.wait()

    def heal(self, *, within_s: float = 0.0) -> None:
        """Healthy runs until a sweep that began just now has completed."""
        for _ in range(5):
            # A sweep that had begun before the last change may have met what is gone since.
            was_open = self._sweep_is_open()
            self.complete("full", within_s=within_s)
            if not was_open and not self._sweep_is_open():
                return
        raise AssertionError("each sweep is followed by another")

    def _sweep_is_open(self) -> bool:
        return bool(
            self.harness.query("SELECT 1 FROM partner_center_sync_state WHERE sweep IS NOT NULL")
        )

    def complete(self, mode: Mode, *, within_s: float = 0.0) -> dict[str, Any]:
        """Run until a run completes; the first may have to wait for locks for `within_s`."""
        return self.complete_command("sync", "--mode", mode, within_s=within_s)

    def complete_command(self, *command: str, within_s: float = 0.0) -> dict[str, Any]:
        """The same with any command."""
        is_lease_over = False
        deadline_s = time.monotonic() + within_s + GRACE_S
        while True:
            code, said = self.world.others.run(*command, "--json", environ=self.environ)
            assert said is not None, code
            if code == 0 and said.get("state", "completed") == "completed":
                return said
            code_of_failure = (said.get("error") or {}).get("code")
            waits = "already_running" in (said.get("state"), code_of_failure)
            if waits and not is_lease_over:
                is_lease_over = True
                self.let_lease_pass()
            waits = waits or code_of_failure in PASSING
            assert waits or said.get("state") == "partial", said
            assert time.monotonic() < deadline_s, said
            time.sleep(0.2)

    def let_lease_pass(self) -> None:
        """Let as much time pass for the lease as it lasts, without waiting for it."""
        self.harness.query(
            "UPDATE partner_center_sync_state"
            " SET lease_expires_at = lease_expires_at - make_interval(secs => %s) RETURNING 1",
            LEASE_S,
        )

    def assert_healed(self) -> None:
        """The table equals the truth, no lease is held, no run is open, the counts agree."""
        harness = self.harness
        assert_equals_truth(harness)
        (state,) = harness.query(
            "SELECT lease_task_id, lease_holder, lease_expires_at, head::text, sweep::text "
            "FROM partner_center_sync_state"
        )
        assert set(state.values()) == {None}
        assert not harness.query("SELECT 1 FROM partner_center_sweep_seen")
        runs = harness.query(
            "SELECT task_id, state, finished_at, started_at, counts FROM partner_center_sync_runs"
        )
        assert {run["state"] for run in runs} <= {"completed", "interrupted", "partial", "failed"}
        for run in runs:
            counts = run["counts"]
            piles = ("inserted", "updated", "unchanged", "skipped", "quarantined")
            assert counts["fetched"] == sum(counts[pile] for pile in piles)
            assert run["finished_at"] is not None
        total = {name: sum(run["counts"][name] for run in runs) for name in piles}
        rows = harness.rows()
        assert total["inserted"] == len(rows)
        updates = harness.query(
            "SELECT DISTINCT task_id, referral_id, changed_at "
            "FROM partner_center_referral_changes WHERE field <> 'missing_since'"
        )
        assert total["updated"] == len(updates)
        marked, back = (
            sum(run["counts"][name] for run in runs) for name in ("marked_missing", "reappeared")
        )
        assert marked - back == sum(row["missing_since"] is not None for row in rows.values())


def try_all(
    worlds: Sequence[KillWorld], numbers: Sequence[int], attempt: Callable[[KillWorld, int], None]
) -> None:
    """One attempt for each number, in whichever world is free, until one fails."""
    free: SimpleQueue[KillWorld] = SimpleQueue()
    for world in worlds:
        free.put(world)

    def once(number: int) -> None:
        world = free.get()
        try:
            attempt(world, number)
        except Exception as error:
            error.add_note(f"at message {number}")
            raise
        finally:
            free.put(world)

    with ThreadPoolExecutor(max_workers=len(worlds)) as pool:
        asked = [pool.submit(once, number) for number in numbers]
        done, _ = wait(asked, return_when=FIRST_EXCEPTION)
        pool.shutdown(wait=False, cancel_futures=True)
        for one in done:
            one.result()


def sample(messages: int, size: int, why: str) -> list[int]:
    """Every message in the long form, else some of them, the first and the last included."""
    if LONG:
        return list(range(1, messages + 1))
    chance = random.Random(f"{SEED}:{why}")  # noqa: S311 - the same sample for a seed
    chosen = chance.sample(range(2, messages), size - 2)
    return [1, *sorted(chosen), messages]
