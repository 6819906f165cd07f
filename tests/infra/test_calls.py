"""A run's calls in its summary line: how many to whom, how many failed, and how long they took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dev.simulator import Simulator
from dev.simulator.faults import Fault
from pc_core.errors import FixSetting
from pc_core.observe.calls import calling, counting, totals
from pc_core.wiring.app import App
from tests.commands.conftest import app, settings, signed_in
from tests.identity.test_key_vault import Vault, clock, connect, vault

__all__ = ["app", "clock", "settings", "signed_in", "vault"]


def calls_of_a_run(app: App, lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the summary of one more run says of its calls."""
    app.sync(trigger="timer")
    summary = [line for line in lines if line["event"] == "partner_center_sync_summary"][-1]
    calls: dict[str, dict[str, Any]] = summary["calls"]
    return calls


@pytest.fixture
def short_tokens(simulator: Simulator) -> None:
    """Access tokens that are too old for a run, so that each run asks Entra for another."""
    simulator.entra.behaviour.access_token_lifetime_s = 120


def test_a_runs_summary_counts_and_times_its_calls_by_peer(
    short_tokens: None, signed_in: App, simulator: Simulator, lines: list[dict[str, Any]]
) -> None:
    simulator.entra.behaviour.access_token_lifetime_s = 4500
    simulator.clear_requests()

    calls = calls_of_a_run(signed_in, lines)

    arrived = [request.path for request in simulator.requests]
    assert set(calls) == {"partner_center", "entra", "blob", "postgres"}
    assert calls["partner_center"]["count"] == sum(path.startswith("/v1.0/") for path in arrived)
    assert calls["partner_center"]["count"] + calls["entra"]["count"] == len(arrived)
    assert calls["postgres"]["count"] > calls["blob"]["count"] > 0
    assert {peer["failed"] for peer in calls.values()} == {0}
    assert all(0 < peer["duration_s"] < 60 for peer in calls.values())


def test_the_next_run_counts_its_own_calls_alone(
    signed_in: App, simulator: Simulator, lines: list[dict[str, Any]]
) -> None:
    calls_of_a_run(signed_in, lines)
    simulator.clear_requests()

    calls = calls_of_a_run(signed_in, lines)

    assert calls["partner_center"]["count"] == sum(
        request.path.startswith("/v1.0/") for request in simulator.requests
    )


def test_the_leases_heartbeats_count_too(
    signed_in: App, simulator: Simulator, lines: list[dict[str, Any]]
) -> None:
    calls_of_a_run(signed_in, lines)
    quick = calls_of_a_run(signed_in, lines)
    signed_in.parts.__dict__["sync"] = replace(signed_in.parts.sync, lease_s=2.0)
    simulator.faults.add(Fault(kind="latency", target="list", seconds=1.5, times=1))

    slow = calls_of_a_run(signed_in, lines)

    assert slow["postgres"]["count"] >= quick["postgres"]["count"] + 2
    assert slow["partner_center"]["duration_s"] >= 1.5


@pytest.mark.parametrize(
    "fault",
    [Fault(kind="status", target="list", status=503, times=1), Fault(kind="reset", target="list")],
)
def test_a_request_that_is_refused_or_cut_off_is_counted_as_failed(
    signed_in: App, simulator: Simulator, lines: list[dict[str, Any]], fault: Fault
) -> None:
    simulator.faults.add(fault)

    calls = calls_of_a_run(signed_in, lines)

    [_] = [line for line in lines if line["event"] == "partner_center_request_failed"]
    assert calls["partner_center"]["failed"] == 1
    assert calls["partner_center"]["count"] > 1


def test_a_secret_is_a_call_to_the_key_vault_and_a_kept_one_is_none(
    vault: Vault, clock: list[float]
) -> None:
    key_vault = connect(vault, clock)
    with counting():
        key_vault.read("token-cache-key")
        key_vault.read("token-cache-key")
        vault.status = 403
        with pytest.raises(FixSetting):
            key_vault.read("token-cache-key", again=True)
        total = totals()["key_vault"]
    key_vault.close()

    assert (total["count"], total["failed"]) == (2, 1)


def test_where_nothing_counts_a_call_is_only_made() -> None:
    with calling("entra"):
        assert totals() == {}
