"""Two instances that renew their tokens at the same moment, as two real processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.identity.world import World

ROUNDS = 50
CLONE = Path(__file__).parents[2]


class Instance:
    """One process; `ask` starts a round, `answer` waits for its end."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.identity.refresher"],
            cwd=CLONE,
            env={**os.environ, "REFRESHER": json.dumps(given)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)


@contextmanager
def two_instances(given: dict[str, Any]) -> Iterator[tuple[Instance, Instance]]:
    both = Instance(given), Instance(given)
    try:
        assert [each.answer() for each in both] == ["ready", "ready"]
        yield both
    finally:
        for each in both:
            each.end()


@pytest.mark.parametrize("old_refresh_tokens", ["valid", "refused"])
def test_no_refresh_token_is_lost_when_two_instances_renew_at_once(
    world: World, azurite: str, container_name: str, old_refresh_tokens: str
) -> None:
    """Also where every refresh token works only once: a lost one would end the sign-in."""
    world.sign_in()
    world.entra.behaviour.old_refresh_tokens = old_refresh_tokens  # type: ignore[assignment]
    given = {
        "container": container_name,
        "storage": azurite,
        "key": world.keys.keys[0],
        "client_id": world.simulator.client_id,
        "tenant_id": world.simulator.tenant_id,
        "authority": world.simulator.authority,
    }
    with two_instances(given) as both:
        rounds = []
        for _ in range(ROUNDS):
            for each in both:
                each.ask("refresh")
            rounds.append([each.answer() for each in both])

    failures = [answer for pair in rounds for answer in pair if " " in answer or not answer]
    renewals = {answer for pair in rounds for answer in pair}
    assert failures == []
    assert len(renewals) >= ROUNDS
    assert world.open_tokens().token(refresh=True).access_token
