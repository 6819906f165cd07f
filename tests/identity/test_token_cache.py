"""The encrypted blob on the real Azurite."""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from azure.storage.blob import ContainerClient
from cryptography.fernet import Fernet

from pc_core.errors import FixSetting, SignInNeeded, SignInState, TryLater
from pc_core.identity.blobs import connect_container, new_key, read_keys
from pc_core.identity.flows import FlowStore
from pc_core.identity.token_cache import TokenCacheBlob
from tests.identity.world import BLOB, FixedKeys

FLOW = "flow-0123456789abcdef"


def stored(container: ContainerClient, name: str = BLOB) -> bytes:
    content: bytes = container.download_blob(name).readall()
    return content


def names(container: ContainerClient) -> list[str]:
    return sorted(str(name) for name in container.list_blob_names())


def refused_load(blob: TokenCacheBlob) -> SignInNeeded:
    with pytest.raises(SignInNeeded) as refused:
        blob.load()
    return refused.value


def test_a_missing_container_is_no_cache_and_is_not_created(
    container: ContainerClient, blob: TokenCacheBlob
) -> None:
    assert blob.load() is None
    assert blob.etag() is None
    assert not container.exists()


def test_what_was_saved_comes_back_and_is_encrypted(
    container: ContainerClient, blob: TokenCacheBlob
) -> None:
    container.create_container()

    etag = blob.save(b"tokens", etag=None)

    assert blob.load() == (b"tokens", etag)
    assert blob.etag() == etag
    assert b"tokens" not in stored(container)


def test_only_the_first_of_two_creations_wins(
    container: ContainerClient, blob: TokenCacheBlob
) -> None:
    container.create_container()
    blob.save(b"first", etag=None)

    assert blob.save(b"second", etag=None) is None
    assert (blob.load() or (b"", ""))[0] == b"first"


def test_a_stale_write_changes_nothing(container: ContainerClient, blob: TokenCacheBlob) -> None:
    container.create_container()
    old = blob.save(b"one", etag=None)
    blob.save(b"two", etag=old)

    assert blob.save(b"three", etag=old) is None
    assert (blob.load() or (b"", ""))[0] == b"two"


def test_saving_without_a_container_names_the_remedy(blob: TokenCacheBlob) -> None:
    with pytest.raises(FixSetting) as refused:
        blob.save(b"x", etag=None)

    assert refused.value.code == "storage_container_missing"


def test_replacing_creates_the_container_and_copies_the_old_blob_aside(
    container: ContainerClient, keys: FixedKeys
) -> None:
    at = datetime(2026, 6, 1, 12, 30, 5, tzinfo=UTC)
    blob = TokenCacheBlob(lambda: container, BLOB, keys, now=lambda: at)
    blob.replace(b"old")
    before = stored(container)

    etag = blob.replace(b"new")

    copy = f"{BLOB}.replaced-20260601T123005.000000Z"
    assert names(container) == [BLOB, copy]
    assert stored(container, copy) == before
    assert blob.load() == (b"new", etag)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: b"",
        lambda sealed: sealed[: len(sealed) // 2],
        lambda sealed: b"{}",
        lambda sealed: sealed[:-10] + b"AAAAAAAAAA",
    ],
    ids=["empty", "cut off", "other content", "tampered with"],
)
def test_a_corrupt_blob_is_reported_and_left_untouched(
    container: ContainerClient,
    blob: TokenCacheBlob,
    keys: FixedKeys,
    spoil: Callable[[bytes], bytes],
) -> None:
    blob.replace(b"tokens")
    corrupt = spoil(stored(container))
    container.upload_blob(BLOB, corrupt, overwrite=True)

    error = refused_load(blob)

    assert (error.state, error.code) == (SignInState.SIGN_IN_NEEDED, "token_cache_unreadable")
    assert "left untouched" in str(error)
    assert keys.read_again == 1
    assert stored(container) == corrupt
    assert names(container) == [BLOB]


def test_a_wrong_key_is_reported_without_showing_it(
    container: ContainerClient, blob: TokenCacheBlob
) -> None:
    blob.replace(b"tokens")
    wrong = new_key()

    error = refused_load(TokenCacheBlob(lambda: container, BLOB, FixedKeys(wrong)))

    assert error.code == "token_cache_unreadable"
    assert wrong not in str(error)


def test_a_key_rotated_in_the_key_vault_is_found_by_reading_once_more(
    container: ContainerClient, blob: TokenCacheBlob, keys: FixedKeys
) -> None:
    blob.replace(b"tokens")
    stale = FixedKeys(new_key())
    stale.rotated_to = keys.keys

    found = TokenCacheBlob(lambda: container, BLOB, stale).load()

    assert found is not None
    assert found[0] == b"tokens"
    assert stale.read_again == 1


def test_an_old_key_behind_the_new_one_still_reads_and_the_new_one_writes(
    container: ContainerClient, blob: TokenCacheBlob, keys: FixedKeys
) -> None:
    blob.replace(b"tokens")
    newest = new_key()
    both = TokenCacheBlob(lambda: container, BLOB, FixedKeys(newest, *keys.keys))

    content, etag = both.load() or (b"", "")
    both.save(content, etag=etag)

    assert Fernet(newest).decrypt(stored(container)) == b"tokens"


@pytest.mark.parametrize("separator", [",", " ", "\n", ", "])
def test_several_keys_stand_in_one_setting(separator: str) -> None:
    one, two = new_key(), new_key()

    assert read_keys(f" {one}{separator}{two} ") == (one, two)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "token_cache_key_missing"),
        (" , ", "token_cache_key_missing"),
        ("not-a-fernet-key", "token_cache_key_invalid"),
        ("c2hvcnQ=", "token_cache_key_invalid"),
        ("ğüş", "token_cache_key_invalid"),
    ],
)
def test_a_wrong_key_setting_is_explained_without_its_value(text: str | None, code: str) -> None:
    with pytest.raises(FixSetting) as refused:
        read_keys(text)

    assert refused.value.code == code
    assert "HUNTER_TOKEN_CACHE_KEY" in str(refused.value)
    assert (text or "").strip(" ,") not in str(refused.value) or not (text or "").strip(" ,")


def blob_behind(port: int) -> TokenCacheBlob:
    connection = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
    )
    return TokenCacheBlob(
        lambda: connect_container("cache", connection_string=connection),
        BLOB,
        FixedKeys(new_key()),
    )


def test_a_storage_account_out_of_reach_is_a_passing_trouble() -> None:
    with pytest.raises(TryLater) as failed:
        blob_behind(1).load()

    assert failed.value.code == "storage_unavailable"


def test_a_storage_account_that_keeps_silent_is_given_up_within_a_minute() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began_s = time.monotonic()
        with pytest.raises(TryLater) as failed:
            blob_behind(mute.getsockname()[1]).load()

    assert failed.value.code == "storage_unavailable"
    assert time.monotonic() - began_s < 60


def test_a_refused_key_is_a_wrong_setting(azurite: str) -> None:
    parts = dict(part.split("=", 1) for part in azurite.strip(";").split(";"))
    parts["AccountKey"] = "c29tZWJvZHkgZWxzZSdzIGtleQ=="
    wrong = ";".join(f"{name}={value}" for name, value in parts.items())
    blob = TokenCacheBlob(
        lambda: connect_container("cache", connection_string=wrong), BLOB, FixedKeys(new_key())
    )

    with pytest.raises(FixSetting) as refused:
        blob.load()

    assert refused.value.code == "storage_denied"
    assert parts["AccountKey"] not in str(refused.value)


@pytest.mark.parametrize("connection", [None, "nonsense", "Endpoint=x;Key=y"])
def test_a_connection_string_that_is_none_is_a_wrong_setting(connection: str | None) -> None:
    with pytest.raises(FixSetting) as refused:
        connect_container("cache", connection_string=connection)

    assert refused.value.code == "storage_misconfigured"


def test_an_identity_based_account_needs_no_secret() -> None:
    client = connect_container("cache", account="account0001", client_id="c0ffee")

    assert client.url == "https://account0001.blob.core.windows.net/cache"
    client.close()


# --- sign-ins under way --------------------------------------------------------------------------


@pytest.fixture
def flows(container: ContainerClient, keys: FixedKeys) -> FlowStore:
    return FlowStore(lambda: container, keys)


def test_a_flow_is_kept_encrypted_and_changed_by_compare_and_swap(
    container: ContainerClient, flows: FlowStore
) -> None:
    first = flows.save(FLOW, {"device_code": "secret"}, etag=None)

    second = flows.save(FLOW, {"device_code": "other"}, etag=first)

    assert flows.save(FLOW, {"device_code": "late"}, etag=first) is None
    assert flows.load(FLOW) == ({"device_code": "other"}, second)
    assert b"other" not in stored(container, f"sign-in-flows/{FLOW}")


@pytest.mark.parametrize("flow_id", ["", "../token-cache", "a/b", "x" * 65, "unknown-0123456789"])
def test_an_unknown_flow_is_none_and_deleting_it_is_no_error(
    container: ContainerClient, flows: FlowStore, flow_id: str
) -> None:
    container.create_container()

    assert flows.load(flow_id) is None
    flows.delete(flow_id)


def test_without_a_container_there_are_no_flows(flows: FlowStore) -> None:
    flows.delete_stale()

    assert flows.load(FLOW) is None


def test_stale_flows_are_forgotten_and_nothing_else(
    container: ContainerClient, keys: FixedKeys, blob: TokenCacheBlob, flows: FlowStore
) -> None:
    blob.replace(b"tokens")
    flows.save(FLOW, {}, etag=None)
    flows.delete_stale()
    kept = names(container)

    later = FlowStore(lambda: container, keys, now=lambda: datetime(2099, 1, 1, tzinfo=UTC))
    later.delete_stale()

    assert kept == [f"sign-in-flows/{FLOW}", BLOB]
    assert names(container) == [BLOB]
