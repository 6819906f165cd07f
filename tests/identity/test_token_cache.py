"""The encrypted blob on the real Azurite."""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet

from pc_core.errors import FixSetting, SignInNeeded, SignInState, TryLater
from pc_core.identity.blobs import connect_container, read_keys
from pc_core.identity.credential import identity_credential
from pc_core.identity.token_cache import TokenCacheBlob
from tests.identity.world import BLOB, FixedKeys, World, new_key


def refused_load(blob: TokenCacheBlob) -> SignInNeeded:
    with pytest.raises(SignInNeeded) as refused:
        blob.load()
    return refused.value


def test_a_missing_container_is_no_cache_and_is_not_created(world: World) -> None:
    assert world.blob.load() is None
    assert world.blob.etag() is None
    assert not world.container.exists()


def test_what_was_saved_comes_back_and_is_encrypted(world: World) -> None:
    world.container.create_container()

    etag = world.blob.save(b"tokens", etag=None)

    assert world.blob.load() == (b"tokens", etag)
    assert world.blob.etag() == etag
    assert b"tokens" not in world.saved()


def test_only_the_first_of_two_creations_wins(world: World) -> None:
    world.container.create_container()
    world.blob.save(b"first", etag=None)

    assert world.blob.save(b"second", etag=None) is None
    assert (world.blob.load() or (b"", ""))[0] == b"first"


def test_a_stale_write_changes_nothing(world: World) -> None:
    world.container.create_container()
    old = world.blob.save(b"one", etag=None)
    world.blob.save(b"two", etag=old)

    assert world.blob.save(b"three", etag=old) is None
    assert (world.blob.load() or (b"", ""))[0] == b"two"


def test_saving_without_a_container_names_the_remedy(world: World) -> None:
    with pytest.raises(FixSetting) as refused:
        world.blob.save(b"x", etag=None)

    assert refused.value.code == "storage_container_missing"


def test_replacing_creates_the_container_and_copies_the_old_blob_aside(world: World) -> None:
    at = datetime(2026, 6, 1, 12, 30, 5, tzinfo=UTC)
    blob = TokenCacheBlob(lambda: world.container, BLOB, world.keys, now=lambda: at)
    blob.replace(b"old")
    before = world.saved()

    etag = blob.replace(b"new")

    copy = f"{BLOB}.replaced-20260601T123005.000000Z"
    assert world.names() == [BLOB, copy]
    assert world.saved(copy) == before
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
    world: World, spoil: Callable[[bytes], bytes]
) -> None:
    world.blob.replace(b"tokens")
    corrupt = spoil(world.saved())
    world.container.upload_blob(BLOB, corrupt, overwrite=True)

    error = refused_load(world.blob)

    assert (error.state, error.code) == (SignInState.SIGN_IN_NEEDED, "token_cache_unreadable")
    assert "left untouched" in str(error)
    assert world.keys.read_again == 1
    assert world.saved() == corrupt
    assert world.names() == [BLOB]


def test_a_wrong_key_is_reported_without_showing_it(world: World) -> None:
    world.blob.replace(b"tokens")
    wrong = new_key()

    error = refused_load(TokenCacheBlob(lambda: world.container, BLOB, FixedKeys(wrong)))

    assert error.code == "token_cache_unreadable"
    assert wrong not in str(error)


def test_a_key_rotated_in_the_key_vault_is_found_by_reading_once_more(world: World) -> None:
    world.blob.replace(b"tokens")
    stale = FixedKeys(new_key())
    stale.rotated_to = world.keys.keys

    found = TokenCacheBlob(lambda: world.container, BLOB, stale).load()

    assert found is not None
    assert found[0] == b"tokens"
    assert stale.read_again == 1


def test_an_old_key_behind_the_new_one_still_reads_and_the_new_one_writes(world: World) -> None:
    world.blob.replace(b"tokens")
    newest = new_key()
    both = TokenCacheBlob(lambda: world.container, BLOB, FixedKeys(newest, *world.keys.keys))

    content, etag = both.load() or (b"", "")
    both.save(content, etag=etag)

    assert Fernet(newest).decrypt(world.saved()) == b"tokens"


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


def test_a_storage_account_out_of_reach_is_transient() -> None:
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
    client = connect_container("cache", account="account0001", credential=identity_credential(None))

    assert client.url == "https://account0001.blob.core.windows.net/cache"
    client.close()
