"""Settings: checked all at once; the message names every wrong key and no value."""

from datetime import timedelta

import pytest

from pc_core.config import Settings
from pc_core.errors import FixSetting

COMPLETE = {
    "HUNTER_PARTNER_CENTER_ENABLED": "true",
    "HUNTER_PARTNER_CENTER_CLIENT_ID": "client",
    "HUNTER_PARTNER_CENTER_TENANT_ID": "tenant",
    "HUNTER_DATABASE_URL": "postgresql://app@localhost/hunter",
    "HUNTER_TOKEN_CACHE_KEY": "a-key",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}


def test_nothing_set_means_switched_off_with_the_documented_defaults() -> None:
    settings = Settings.from_env({})

    assert settings.enabled is False
    assert settings.api_url == "https://api.partner.microsoft.com"
    assert settings.sync_schedule == "0 */10 * * * *"
    assert settings.full_sync_every == timedelta(hours=24)
    assert settings.overlap == timedelta(minutes=15)
    assert settings.directions == frozenset({"Incoming"})
    assert settings.statuses == frozenset({"New", "Active"})
    assert settings.excluded_substatuses == {"Declined", "Lost", "Expired", "Error"}
    assert settings.token_cache_path == "partner-center/token-cache"
    assert settings.retention_days == 400


def test_everything_wrong_is_named_in_one_message_without_its_value() -> None:
    wrong = {
        "HUNTER_PARTNER_CENTER_API_URL": "ftp://hush-1",
        "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE": "hush-2",
        "HUNTER_PARTNER_CENTER_OVERLAP": "hush-3",
        "HUNTER_RETENTION_DAYS": "hush-4",
        "HUNTER_DATABASE_URL": "mysql://user:hush-5@db",
        "HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH": "hush-6",
        "HUNTER_PARTNER_CENTER_PAGE_SIZE": "-7",
    }

    with pytest.raises(FixSetting) as caught:
        Settings.from_env(wrong)

    message = str(caught.value)
    assert all(key in message for key in wrong)
    assert "hush" not in message
    assert caught.value.code == "config_invalid"


@pytest.mark.parametrize("key", [key for key in COMPLETE if not key.endswith("ENABLED")])
def test_once_enabled_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(FixSetting, match=key):
        Settings.from_env({**COMPLETE, key: ""})


def test_once_enabled_a_complete_set_is_accepted() -> None:
    assert Settings.from_env(COMPLETE).enabled is True


def test_an_identity_and_a_key_vault_stand_in_for_secrets() -> None:
    without = {
        key: value
        for key, value in COMPLETE.items()
        if key not in ("AzureWebJobsStorage", "HUNTER_TOKEN_CACHE_KEY")
    }

    settings = Settings.from_env(
        {
            **without,
            "AzureWebJobsStorage__accountName": "account",
            "HUNTER_KEY_VAULT_URL": "https://vault.example",
        }
    )

    assert settings.storage_account == "account"


def test_the_functions_timeout_is_the_hosts() -> None:
    ours, other = Settings.from_env({}), "AzureFunctionsJobHost__functionTimeout"

    assert ours.function_timeout == timedelta(minutes=30)
    assert Settings.from_env({other: "01:00:00"}).function_timeout == timedelta(hours=1)


def test_a_run_has_to_end_before_the_host_ends_it() -> None:
    with pytest.raises(FixSetting, match="RUN_BUDGET must be shorter than functionTimeout"):
        Settings.from_env({**COMPLETE, "HUNTER_PARTNER_CENTER_RUN_BUDGET": "30m"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30s", 30), ("15m", 900), ("24h", 86_400), ("2d", 172_800), ("1.5h", 5_400)],
)
def test_times_are_written_with_their_unit(text: str, seconds: float) -> None:
    settings = Settings.from_env({"HUNTER_PARTNER_CENTER_OVERLAP": text})

    assert settings.overlap == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["-5m", "soon", "5 weeks", "m", "36501d", "99999999999d", "9" * 400]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(FixSetting, match="HUNTER_PARTNER_CENTER_OVERLAP"):
        Settings.from_env({"HUNTER_PARTNER_CENTER_OVERLAP": text})


@pytest.mark.parametrize("days", ["0", "36501", "9999999", "3000000000"])
def test_a_retention_that_no_date_can_be_reckoned_with_is_refused(days: str) -> None:
    with pytest.raises(FixSetting, match="HUNTER_RETENTION_DAYS"):
        Settings.from_env({"HUNTER_RETENTION_DAYS": days})

    assert Settings.from_env({"HUNTER_RETENTION_DAYS": "36500"}).retention_days == 36_500


@pytest.mark.parametrize(
    "url", ["https://api.example", "http://127.0.0.1:8080", "http://localhost"]
)
def test_tls_or_loopback_addresses_are_accepted(url: str) -> None:
    assert Settings.from_env({"HUNTER_PARTNER_CENTER_API_URL": url}).api_url == url


@pytest.mark.parametrize(
    "url", ["http://api.example", "https://user:pw@api.example", "api.example", "http://10.0.0.5"]
)
def test_addresses_that_would_leak_a_token_are_refused(url: str) -> None:
    with pytest.raises(FixSetting, match="HUNTER_PARTNER_CENTER_API_URL"):
        Settings.from_env({"HUNTER_PARTNER_CENTER_API_URL": url})


def test_a_star_admits_everything_and_an_empty_exclusion_excludes_nothing() -> None:
    settings = Settings.from_env(
        {
            "HUNTER_PARTNER_CENTER_DIRECTIONS": "*",
            "HUNTER_PARTNER_CENTER_STATUSES": " New , Active,Closed ",
            "HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES": "",
        }
    )

    assert settings.directions is None
    assert settings.statuses == frozenset({"New", "Active", "Closed"})
    assert settings.excluded_substatuses == frozenset()


def test_the_word_none_excludes_nothing_where_an_empty_value_cannot_pass() -> None:
    name = "HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES"

    assert Settings.from_env({name: "none"}).excluded_substatuses == frozenset()
    assert Settings.from_env({name: "none,Lost"}).excluded_substatuses == {"none", "Lost"}


def test_discovery_is_left_out_only_for_a_local_authority() -> None:
    local = Settings.from_env({"HUNTER_PARTNER_CENTER_AUTHORITY": "https://localhost:8443"})

    assert Settings.from_env({}).instance_discovery is True
    assert local.instance_discovery is False


def test_secrets_do_not_show_in_a_representation() -> None:
    settings = Settings.from_env({**COMPLETE, "HUNTER_API_KEY": "hush-key"})

    assert "hush-key" not in repr(settings)
    assert "a-key" not in repr(settings)
