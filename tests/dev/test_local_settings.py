"""The settings of a local run lead to local services only, and a user's file stays as it is."""

import json
from pathlib import Path

import pytest

from dev import local_settings
from dev.local_settings import MissingSettings

REAL = {
    "HUNTER_PARTNER_CENTER_CLIENT_ID": "real-client",
    "HUNTER_PARTNER_CENTER_TENANT_ID": "real-tenant",
    "HUNTER_KEY_VAULT_URL": "https://vault.example",
    "AzureWebJobsStorage__accountName": "real",
}


def write(clone: Path, values: dict[str, str]) -> str:
    """A user's local.settings.json; returns its text."""
    text = json.dumps({"IsEncrypted": False, "Values": values})
    (clone / local_settings.NAME).write_text(text, encoding="utf-8")
    return text


def test_a_local_run_takes_nothing_from_the_users_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, REAL)
    monkeypatch.setenv("HUNTER_PARTNER_CENTER_OVERLAP", "1m")
    monkeypatch.setenv("HUNTER_PARTNER_CENTER_SYNC_SCHEDULE", "*/5 * * * * *")
    values = {
        "HUNTER_PARTNER_CENTER_CLIENT_ID": "local",
        "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE": "0 */10 * * * *",
    }

    environ = local_settings.environ_for(values, tmp_path, live=False)

    assert environ["HUNTER_PARTNER_CENTER_CLIENT_ID"] == "local"
    assert environ["HUNTER_KEY_VAULT_URL"] == ""
    assert environ["HUNTER_PARTNER_CENTER_OVERLAP"] == "1m"
    assert environ["HUNTER_PARTNER_CENTER_SYNC_SCHEDULE"] == "*/5 * * * * *"


def test_keys_are_made_once_and_differ_between_clones(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()

    first = local_settings.with_local_keys(one, {})

    assert local_settings.with_local_keys(one, {}) == first
    assert local_settings.with_local_keys(other, {})["HUNTER_API_KEY"] != first["HUNTER_API_KEY"]
    assert local_settings.with_local_keys(one, {"HUNTER_API_KEY": "mine"})["HUNTER_API_KEY"] == (
        "mine"
    )


def test_a_generated_file_is_removed_and_a_users_file_is_not_touched(tmp_path: Path) -> None:
    clone, state = tmp_path / "clone", tmp_path / "state"
    clone.mkdir()
    state.mkdir()
    path = clone / local_settings.NAME

    with local_settings.generated(clone, state, {"A": "1"}):
        assert json.loads(path.read_text())["Values"] == {"A": "1"}
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()

    text = write(clone, REAL)
    with local_settings.generated(clone, state, {"A": "1"}):
        assert path.read_text() == text
    assert path.read_text() == text


def test_a_generated_file_that_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / local_settings.NAME
    left = local_settings.generated(tmp_path, tmp_path, {"A": "old"})
    left.__enter__()

    with local_settings.generated(tmp_path, tmp_path, {"A": "new"}):
        assert json.loads(path.read_text())["Values"] == {"A": "new"}

    assert not path.exists()


def test_live_takes_a_generated_leftover_for_no_settings(tmp_path: Path) -> None:
    local_settings.generated(tmp_path, tmp_path, REAL).__enter__()

    with pytest.raises(MissingSettings, match="--live needs"):
        local_settings.for_live(tmp_path, tmp_path)


def test_live_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingSettings, match=r"local\.settings\.example\.json"):
        local_settings.for_live(tmp_path, tmp_path)

    write(tmp_path, {"AzureWebJobsStorage__accountName": "real"})
    with pytest.raises(MissingSettings) as caught:
        local_settings.for_live(tmp_path, tmp_path)
    for key in (*local_settings.NEEDED_LIVE, "HUNTER_TOKEN_CACHE_KEY", "HUNTER_KEY_VAULT_URL"):
        assert key in str(caught.value)

    (tmp_path / local_settings.NAME).write_text("{", encoding="utf-8")
    with pytest.raises(MissingSettings, match="format"):
        local_settings.for_live(tmp_path, tmp_path)


def test_live_uses_the_services_that_the_file_names(tmp_path: Path) -> None:
    write(tmp_path, REAL)

    values = local_settings.for_live(tmp_path, tmp_path)

    assert values.items() >= REAL.items()
    assert values["HUNTER_PARTNER_CENTER_ENABLED"] == "true"
    assert not local_settings.lacks_storage(values)
    assert local_settings.lacks_storage({"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert "HUNTER_TOKEN_CACHE_KEY" not in local_settings.with_local_keys(tmp_path, values)


def test_a_database_is_named_without_its_password() -> None:
    url = "postgresql://user:secret@db.example:5432/hunter?sslmode=require"

    assert local_settings.database_without_secrets(url) == "hunter on db.example"
