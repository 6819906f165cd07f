"""Sign-ins under way, encrypted on the real Azurite."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pc_core.identity.account import Account, SignInProgress
from pc_core.identity.blobs import BlobCipher
from pc_core.identity.flows import Asking, Confirming, Ended, FlowStore, Proving, Stage
from pc_core.identity.token import NewTokens
from tests.identity.world import BLOB, World

FLOW = "flow-0123456789abcdef"
NAME = f"sign-in-flows/{FLOW}"
AT = datetime(2026, 6, 1, 12, 0, 5, tzinfo=UTC)
TOKENS = NewTokens(
    cache="{}",
    access_token="an-access-token",
    account=Account(account_id="object.tenant", username="ada@partner.example", tenant_id="tenant"),
    has_refresh_token=True,
)
# As the release before these types wrote them.
WAITING: dict[str, Any] = {
    "interval_s": 5,
    "next_ask_at": "2026-06-01T12:00:05+00:00",
    "expires_at": "2026-06-01T12:15:05.250000+00:00",
}
EARLIER: list[dict[str, Any]] = [
    {"stage": "asking", "flow": {"device_code": "d", "expires_at": 1.5, "interval": 5}, **WAITING},
    {
        "stage": "proving",
        "tokens": {
            "cache": "{}",
            "access_token": "an-access-token",
            "has_refresh_token": True,
            "account": {
                "account_id": "object.tenant",
                "username": "ada@partner.example",
                "tenant_id": "tenant",
            },
        },
        **WAITING,
    },
    {
        "stage": "ended",
        "progress": {
            "state": "failed",
            "username": None,
            "may_read_referrals": False,
            "detail": "No.",
            "reason_code": "api_forbidden",
        },
    },
]
EARLIER.append({**EARLIER[1], "stage": "confirming"})
EXPIRES_AT = datetime(2026, 6, 1, 12, 15, 5, 250_000, tzinfo=UTC)
STAGES: list[Stage] = [
    Asking(
        flow={"device_code": "d", "expires_at": 1.5, "interval": 5},
        interval_s=5,
        next_ask_at=AT,
        expires_at=EXPIRES_AT,
    ),
    Proving(tokens=TOKENS, interval_s=5, next_ask_at=AT, expires_at=EXPIRES_AT),
    Ended(
        progress=SignInProgress(
            state="failed", may_read_referrals=False, detail="No.", reason_code="api_forbidden"
        )
    ),
    Confirming(tokens=TOKENS, interval_s=5, next_ask_at=AT, expires_at=EXPIRES_AT),
]


def put(world: World, content: bytes) -> None:
    """Store a flow as some release has written it."""
    world.container.create_container()
    world.container.upload_blob(NAME, BlobCipher(world.keys).encrypt(content))


def ended(detail: str) -> Ended:
    return Ended(progress=SignInProgress(state="failed", detail=detail))


def test_a_flow_is_kept_encrypted_and_changed_by_compare_and_swap(world: World) -> None:
    first = world.flows.save(FLOW, ended("secret"), etag=None)

    second = world.flows.save(FLOW, ended("other"), etag=first)

    assert world.flows.save(FLOW, ended("late"), etag=first) is None
    assert world.flows.load(FLOW) == (ended("other"), second)
    assert b"other" not in world.saved(NAME)


@pytest.mark.parametrize("number", range(4))
def test_the_release_before_and_this_one_read_each_others_flows(world: World, number: int) -> None:
    put(world, json.dumps(EARLIER[number]).encode())

    found = world.flows.load(FLOW)
    assert found is not None
    assert found[0] == STAGES[number]
    world.flows.save(FLOW, found[0], etag=found[1])
    written = json.loads(BlobCipher(world.keys).decrypt(world.saved(NAME)) or b"")

    assert with_instants(written) == with_instants(EARLIER[number])


def with_instants(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") else value
        for name, value in record.items()
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"stage": "unheard of"}',
        b'{"stage": "asking", "flow": {}}',
        json.dumps({**EARLIER[0], "interval_s": "5 s"}).encode(),
        json.dumps({**EARLIER[1], "tokens": {"cache": "{}"}}).encode(),
    ],
    ids=["empty", "no object", "unknown stage", "members missing", "wrong type", "no token"],
)
def test_a_record_that_this_release_cannot_read_is_no_flow(world: World, content: bytes) -> None:
    put(world, content)

    assert world.flows.load(FLOW) is None


def test_a_flow_under_another_key_is_no_flow(world: World) -> None:
    world.container.create_container()
    world.container.upload_blob(NAME, b"encrypted by nobody")

    assert world.flows.load(FLOW) is None


@pytest.mark.parametrize("flow_id", ["", "../token-cache", "a/b", "x" * 65, "unknown-0123456789"])
def test_an_unknown_flow_is_none_and_deleting_it_is_no_error(world: World, flow_id: str) -> None:
    world.container.create_container()

    assert world.flows.load(flow_id) is None
    world.flows.delete(flow_id)


def test_without_a_container_there_are_no_flows(world: World) -> None:
    world.flows.delete_stale()

    assert world.flows.load(FLOW) is None


def test_stale_flows_are_deleted_and_nothing_else(world: World) -> None:
    world.blob.replace(b"tokens")
    world.flows.save(FLOW, ended("done"), etag=None)
    world.flows.delete_stale()
    kept = world.names()

    in_two_hours = datetime.now(UTC) + timedelta(hours=2)
    later = FlowStore(lambda: world.container, world.keys, now=lambda: in_two_hours)
    later.delete_stale()

    assert kept == [NAME, BLOB]
    assert world.names() == [BLOB]
