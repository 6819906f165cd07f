"""A run in Application Insights: its lines and its calls in one operation, and nobody's data.

The ingestion endpoint is a stand-in with TLS; the identity's token is had by Microsoft's library.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme

from dev.simulator import Simulator
from dev.simulator.faults import Fault
from pc_core.config import Settings
from pc_core.errors import TryLater
from pc_core.observe import calls
from pc_core.observe.calls import MOST_CALLS, Call, Calls
from pc_core.wiring.app import App
from tests.commands.conftest import app, settings, signed_in
from tests.infra.ingestion import KEY, Ingestion, serving
from tests.infra.test_identity import Identity, identity

__all__ = ["app", "identity", "settings", "signed_in"]

OPERATION = "0af7651916cd43dd8448eb211c80319c"
INVOCATION = "b7ad6b7169203331"
TRACE_PARENT = f"00-{OPERATION}-{INVOCATION}-01"


@pytest.fixture
def ingestion(ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingestion]:
    """The endpoint; this process trusts it and the simulator."""
    authority = trustme.CA()
    both = tmp_path / "authorities.pem"
    both.write_bytes(ca.read_bytes() + authority.cert_pem.bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(both))
    with serving(authority) as found:
        yield found


@pytest.fixture
def watched(
    signed_in: App, settings: dict[str, str], ingestion: Ingestion, identity: Identity
) -> Iterator[App]:
    """The signed-in app, with telemetry set up as the template does."""
    identity.issue["https://monitor.azure.com"] = lambda: "a-token-for-telemetry"
    made = App(
        Settings.from_env(
            settings
            | {
                "APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string,
                "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "ClientId=1;Authorization=AAD",
                "AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555",
                "WEBSITE_HOSTNAME": "func-test.azurewebsites.net",
            }
        )
    )
    yield made
    made.close()


def sync(app: App, *, full: bool = False) -> str:
    """One run as the timer starts it."""
    with calls.operation(TRACE_PARENT, name="scheduled_sync"):
        return app.sync(trigger="timer", mode="full" if full else "incremental").state.value


def dependencies(ingestion: Ingestion) -> list[dict[str, Any]]:
    return [envelope["data"]["baseData"] for envelope in ingestion.envelopes]


def test_a_runs_lines_and_calls_share_the_operation_of_its_invocation(
    watched: App, ingestion: Ingestion, identity: Identity, lines: list[dict[str, Any]]
) -> None:
    assert sync(watched) == "completed"

    tags = [envelope["tags"] for envelope in ingestion.envelopes]
    assert {
        (
            tag["ai.operation.id"],
            tag["ai.operation.parentId"],
            tag["ai.operation.name"],
            tag["ai.cloud.role"],
        )
        for tag in tags
    } == {(OPERATION, INVOCATION, "scheduled_sync", "func-test")}
    assert {"partner_center_sync_started", "partner_center_sync_summary"} <= {
        line["event"] for line in lines
    }
    assert {line["operation_id"] for line in lines} == {OPERATION}
    assert {call["type"] for call in dependencies(ingestion)} == {"HTTP", "SQL", "Azure blob"}
    assert {"GET /v1.0/engagements/referrals", "take the lease", "load the token cache"} <= {
        call["name"] for call in dependencies(ingestion)
    }
    assert len({call["id"] for call in dependencies(ingestion)}) == len(tags) > 10
    assert (ingestion.paths, ingestion.authorizations) == (
        ["/v2.1/track"],
        ["Bearer a-token-for-telemetry"],
    )
    assert {asked["resource"] for asked in identity.asked} == {"https://monitor.azure.com"}


def test_the_form_is_that_of_the_ingestion_endpoint(watched: App, ingestion: Ingestion) -> None:
    before = datetime.now(UTC)
    sync(watched)

    for envelope in ingestion.envelopes:
        assert envelope["name"] == "Microsoft.ApplicationInsights.RemoteDependency"
        assert (envelope["iKey"], envelope["sampleRate"]) == (KEY, 100.0)
        assert before <= datetime.fromisoformat(envelope["time"]) <= datetime.now(UTC)
        assert envelope["data"]["baseType"] == "RemoteDependencyData"
        call = envelope["data"]["baseData"]
        assert (call["ver"], call["success"]) == (2, True)
        days, clock = call["duration"].split(".", 1)
        took = datetime.strptime(clock, "%H:%M:%S.%f")  # noqa: DTZ007 - a span, not an instant
        assert (days, took < datetime(1900, 1, 1, 0, 1)) == ("0", True)  # noqa: DTZ001 - as above


def words(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        for each in value.values():
            yield from words(each)
    elif isinstance(value, list):
        for each in value:
            yield from words(each)
    elif isinstance(value, str) and len(value) > 3:
        yield value


def test_nothing_of_a_person_a_customer_or_a_query_is_in_it(
    watched: App, ingestion: Ingestion, simulator: Simulator, settings: dict[str, str]
) -> None:
    simulator.behaviour.page_size = 10
    sync(watched)
    with psycopg.connect(settings["HUNTER_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT referral_id, raw_data FROM partner_center_referrals"
        ).fetchall()
    gone = rows[0][0]
    simulator.state.remove(gone)
    sync(watched, full=True)

    told = "".join(ingestion.bodies)
    personal = {
        word
        for _, raw in rows
        for key in ("customerProfile", "name", "team", "id", "engagementId")
        for word in words(raw.get(key))
    }
    assert len(personal) > 100
    # A postcode's digits may stand within a random id or a duration.
    numbers = set(re.findall(r"\w+", told))
    assert {word for word in personal if word in (numbers if word.isdigit() else told)} == set()
    assert "GET /v1.0/engagements/referrals/{id}" in told
    for forbidden in (gone, "?", "$", "skip", "@", "Bearer", simulator.tenant_id, "postgresql:"):
        assert forbidden not in told
    assert "SELECT" not in told.upper()


def test_what_failed_is_told_with_its_status_and_its_request_id(
    watched: App, ingestion: Ingestion, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="status", target="list", status=503, times=1))
    sync(watched)

    failed = [call for call in dependencies(ingestion) if not call["success"]]
    [seen] = [
        request
        for request in simulator.requests
        if request.headers.get("client-request-id") == failed[0]["properties"]["client-request-id"]
    ]
    assert [(call["name"], call["resultCode"]) for call in failed] == [
        ("GET /v1.0/engagements/referrals", "503")
    ]
    assert seen.path.startswith("/v1.0/engagements/referrals")


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "no_token"])
def test_telemetry_in_trouble_costs_a_run_nothing_but_a_line(
    watched: App,
    ingestion: Ingestion,
    identity: Identity,
    lines: list[dict[str, Any]],
    trouble: str,
) -> None:
    if trouble == "refuses":
        ingestion.status = 401
    elif trouble == "hangs":
        ingestion.delay_s = 30
    else:
        identity.issue.clear()
    began_s = time.monotonic()

    sync(watched)

    [told] = [line for line in lines if line["event"] == "partner_center_calls_not_told"]
    assert told["calls"] > 10
    assert told["problem"]
    assert "a-token-for-telemetry" not in json.dumps(lines)
    assert time.monotonic() - began_s < 20


def test_without_a_connection_string_or_an_operation_nothing_is_sent(
    watched: App, signed_in: App, ingestion: Ingestion, lines: list[dict[str, Any]]
) -> None:
    assert sync(signed_in) == "completed"
    assert watched.sync(trigger="timer").state == "completed"

    assert ingestion.bodies == []
    assert {line.get("operation_id") for line in lines} == {OPERATION, None}


@pytest.mark.parametrize(
    "connection",
    ["no such thing", f"InstrumentationKey={KEY};IngestionEndpoint=http://localhost:1/"],
)
def test_a_connection_string_that_cannot_be_used_does_not_stop_a_run(
    signed_in: App,
    settings: dict[str, str],
    identity: Identity,
    lines: list[dict[str, Any]],
    connection: str,
) -> None:
    broken = App(
        Settings.from_env(
            settings
            | {
                "APPLICATIONINSIGHTS_CONNECTION_STRING": connection,
                "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "ClientId=1;Authorization=AAD",
            }
        )
    )

    assert sync(broken) == "completed"

    broken.close()
    assert "insights_misconfigured" in [line.get("problem") for line in lines]
    assert identity.asked == []


@pytest.mark.parametrize(
    "trace_parent", ["", None, "no", f"00-{'0' * 32}-{INVOCATION}-01", TRACE_PARENT + "0"]
)
def test_a_trace_parent_that_names_nothing_is_no_operation(trace_parent: str | None) -> None:
    with calls.operation(trace_parent, name="f"):
        assert calls.current_operation() is None


def test_a_very_long_run_keeps_its_first_calls_and_what_failed() -> None:
    calls = Calls()

    def call(*, is_success: bool) -> Call:
        return Call(
            kind="SQL",
            target="PostgreSQL",
            name="save a page",
            began_at=datetime.now(UTC) - timedelta(seconds=1),
            is_success=is_success,
        )

    for _ in range(MOST_CALLS + 5):
        calls.add(call(is_success=True))
    for _ in range(MOST_CALLS + 5):
        calls.add(call(is_success=False))

    assert len(calls.kept) == 2 * MOST_CALLS
    assert calls.left_out == 10
    assert sum(not kept.is_success for kept in calls.kept) == MOST_CALLS


def test_a_call_that_an_error_leaves_has_failed_with_its_code() -> None:
    noted = Calls()

    with calls.recording(noted):
        with pytest.raises(TryLater), calls.calling("SQL", "PostgreSQL", "save a page"):
            raise TryLater("Busy.", code="database_busy")
        with pytest.raises(OSError, match="gone"), calls.calling("HTTP", "host", "GET /"):
            raise OSError("gone")
        with calls.calling("HTTP", "host", "GET /") as refused:
            refused.result, refused.is_success = "503", False

    assert [(call.result, call.is_success) for call in noted.kept] == [
        ("database_busy", False),
        ("OSError", False),
        ("503", False),
    ]
