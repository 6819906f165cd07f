"""Faults on demand: each arrives as it was ordered, at the request it was ordered for."""

from __future__ import annotations

import base64
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from dev.simulator import Fault, Simulator
from tests.simulator.conftest import Walker, decode


def test_a_fault_waits_for_its_target_and_its_turn(simulator: Simulator, walker: Walker) -> None:
    item = f"/v1.0/engagements/referrals/{simulator.state.ids()[0]}"
    simulator.faults.add(
        Fault(kind="status", status=500, target="list", at=2, times=2),
        Fault(kind="status", status=502, target="item"),
    )
    lists = [walker.get().status_code for _ in range(4)]
    items = [walker.get(path=item).status_code for _ in range(2)]

    assert lists == [200, 500, 500, 200]
    assert items == [502, 200]
    assert simulator.faults.pending() == []


def test_a_lasting_fault_lasts_until_it_is_cleared(simulator: Simulator, walker: Walker) -> None:
    simulator.faults.add(Fault(kind="access_denied", times=None))
    answers = [walker.get() for _ in range(3)]
    simulator.faults.clear()

    assert [a.status_code for a in answers] == [403, 403, 403]
    assert answers[0].json()["error"]["code"] == "accessDenied"
    assert walker.get().status_code == 200


@pytest.mark.parametrize(("kind", "character"), [("lone_surrogate", "\ud83d"), ("nul", "\x00")])
def test_one_row_may_hold_a_character_that_others_choke_on(
    simulator: Simulator, walker: Walker, kind: Any, character: str
) -> None:
    simulator.faults.add(Fault(kind=kind, row=3))
    rows = decode(walker.get())["value"]

    assert [at for at, row in enumerate(rows) if character in (row["name"] or "")] == [3]
    assert len(rows) == 25


def test_an_unknown_fault_is_refused_at_once() -> None:
    wrong: Any = "meteor"
    with pytest.raises(ValueError, match="meteor"):
        Fault(kind=wrong)
    with pytest.raises(ValueError, match="meteor"):
        Fault(kind="reset", target=wrong)
