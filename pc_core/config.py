"""The settings. Nothing else reads the environment.

All of them are checked at once, and one message names every wrong key, without its value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from pc_core.errors import FixSetting

_MOST_DAYS = 36_500
"""A hundred years; dates so far from today can still be reckoned with."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PARTS = "parts"
"""The validation's context for commands that need only some of the settings."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _duration(value: object) -> object:
    """`15m`, `24h`, `500ms` or plain seconds as a timedelta."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", value.strip().lower())
    if found is None:
        raise ValueError("must be a time such as 30s, 15m or 24h")
    seconds = float(found[1]) * _UNITS_S[found[2] or "s"]
    if seconds > _MOST_DAYS * _UNITS_S["d"]:
        raise ValueError(f"must be at most {_MOST_DAYS}d")
    return timedelta(seconds=seconds)


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def _words_or_none(value: object) -> object:
    # azd cannot pass an empty value on.
    return frozenset() if value == "none" else _words(value)


def _words_or_all(value: object) -> object:
    if isinstance(value, str) and value.strip() == "*":
        return None
    words = _words(value)
    if not words:
        raise ValueError("must be a comma-separated list, or * for all")
    return words


def _is_loopback(host: str | None) -> bool:
    return host in _LOOPBACK


def _https_url(value: str) -> str:
    parts = urlsplit(value)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an address such as https://host")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("must begin with https:// (http is allowed for loopback alone)")
    return value.rstrip("/")


def _blob_path(value: str) -> str:
    container, _, blob = value.partition("/")
    if not re.fullmatch(r"[a-z0-9](?:-?[a-z0-9]){2,62}", container) or not blob:
        raise ValueError("must be container/blob, e.g. partner-center/token-cache")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    if not re.match(r"postgres(ql)?://", value.get_secret_value()):
        raise ValueError("must be a libpq URL: postgresql://user@host:5432/database?sslmode=…")
    return value


def _schedule(value: str) -> str:
    from pc_core.schedule import check_schedule

    check_schedule(value)
    return value


def _above(low: timedelta) -> AfterValidator:
    def check(value: timedelta) -> timedelta:
        if value < low:
            raise ValueError(f"must be at least {low.total_seconds():g} s")
        return value

    return AfterValidator(check)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Words = Annotated[frozenset[str], BeforeValidator(_words)]
WordsOrAll = Annotated[frozenset[str] | None, BeforeValidator(_words_or_all)]
HttpsUrl = Annotated[str, AfterValidator(_https_url)]


def _key(name: str, default: Any = ...) -> Any:
    return Field(default=default, alias=name)


def _function_timeout() -> timedelta:
    """The functionTimeout of host.json: after so long the host ends an invocation."""
    host = json.loads((Path(__file__).parents[1] / "host.json").read_text(encoding="utf-8"))
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


class Settings(BaseModel):
    """Every setting by the name of its environment variable; see the README's table."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    enabled: bool = _key("HUNTER_PARTNER_CENTER_ENABLED", False)
    client_id: str | None = _key("HUNTER_PARTNER_CENTER_CLIENT_ID", None)
    tenant_id: str | None = _key("HUNTER_PARTNER_CENTER_TENANT_ID", None)
    api_url: HttpsUrl = _key("HUNTER_PARTNER_CENTER_API_URL", "https://api.partner.microsoft.com")
    scope: str = _key("HUNTER_PARTNER_CENTER_SCOPE", "https://api.partner.microsoft.com/.default")
    authority: HttpsUrl = _key(
        "HUNTER_PARTNER_CENTER_AUTHORITY", "https://login.microsoftonline.com"
    )
    token_cache_path: Annotated[str, AfterValidator(_blob_path)] = _key(
        "HUNTER_PARTNER_CENTER_TOKEN_CACHE_PATH", "partner-center/token-cache"
    )
    sync_schedule: Annotated[str, AfterValidator(_schedule)] = _key(
        "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE", "0 */10 * * * *"
    )
    full_sync_every: Annotated[Duration, _above(timedelta(minutes=1))] = _key(
        "HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY", timedelta(hours=24)
    )
    overlap: Duration = _key("HUNTER_PARTNER_CENTER_OVERLAP", timedelta(minutes=15))
    retention_days: int = Field(default=400, ge=1, le=_MOST_DAYS, alias="HUNTER_RETENTION_DAYS")
    directions: WordsOrAll = _key("HUNTER_PARTNER_CENTER_DIRECTIONS", frozenset({"Incoming"}))
    statuses: WordsOrAll = _key("HUNTER_PARTNER_CENTER_STATUSES", frozenset({"New", "Active"}))
    excluded_substatuses: Annotated[frozenset[str], BeforeValidator(_words_or_none)] = _key(
        "HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES",
        frozenset({"Declined", "Lost", "Expired", "Error"}),
    )
    own_domains: Words = _key("HUNTER_PARTNER_CENTER_OWN_DOMAINS", frozenset())
    page_size: int | None = Field(
        default=None, ge=1, le=1000, alias="HUNTER_PARTNER_CENTER_PAGE_SIZE"
    )
    run_budget: Annotated[Duration, _above(timedelta(seconds=5))] = _key(
        "HUNTER_PARTNER_CENTER_RUN_BUDGET", timedelta(minutes=8)
    )
    request_timeout: Annotated[Duration, _above(timedelta(milliseconds=100))] = _key(
        "HUNTER_PARTNER_CENTER_REQUEST_TIMEOUT", timedelta(seconds=30)
    )
    retry_budget: Duration = _key("HUNTER_PARTNER_CENTER_RETRY_BUDGET", timedelta(seconds=90))
    page_delay: Duration = _key("HUNTER_PARTNER_CENTER_PAGE_DELAY", timedelta(milliseconds=200))
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = _key(
        "HUNTER_DATABASE_URL", None
    )
    key_vault_url: HttpsUrl | None = _key("HUNTER_KEY_VAULT_URL", None)
    token_cache_key: SecretStr | None = _key("HUNTER_TOKEN_CACHE_KEY", None)
    api_key: SecretStr | None = _key("HUNTER_API_KEY", None)
    public_hosts: Words = _key("HUNTER_PUBLIC_HOSTS", frozenset())

    function_timeout: Annotated[timedelta, _above(timedelta(minutes=1))] = Field(
        default_factory=_function_timeout, alias="AzureFunctionsJobHost__functionTimeout"
    )
    storage_connection: SecretStr | None = _key("AzureWebJobsStorage", None)
    storage_blob_uri: str | None = _key("AzureWebJobsStorage__blobServiceUri", None)
    storage_account: str | None = _key("AzureWebJobsStorage__accountName", None)
    storage_client_id: str | None = _key("AzureWebJobsStorage__clientId", None)
    identity_client_id: str | None = _key("AZURE_CLIENT_ID", None)
    auth_enabled: bool = _key("WEBSITE_AUTH_ENABLED", False)
    site_host: str | None = _key("WEBSITE_HOSTNAME", None)

    @model_validator(mode="after")
    def _complete_once_enabled(self, info: ValidationInfo) -> Self:
        if not self.enabled or info.context == _PARTS:
            return self
        needed = {
            "HUNTER_PARTNER_CENTER_CLIENT_ID": self.client_id,
            "HUNTER_PARTNER_CENTER_TENANT_ID": self.tenant_id,
            "HUNTER_DATABASE_URL": self.database_url,
            "AzureWebJobsStorage": self.storage_connection
            or self.storage_blob_uri
            or self.storage_account,
            "HUNTER_TOKEN_CACHE_KEY (or HUNTER_KEY_VAULT_URL)": self.token_cache_key
            or self.key_vault_url,
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise ValueError(f"needed once enabled: {', '.join(missing)}")
        if self.run_budget >= self.function_timeout:
            raise ValueError(
                "HUNTER_PARTNER_CENTER_RUN_BUDGET must be shorter than functionTimeout of host.json"
            )
        return self

    @property
    def instance_discovery(self) -> bool:
        """Whether Microsoft's discovery knows the authority; it does not know loopback."""
        return not _is_loopback(urlsplit(self.authority).hostname)

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, for_sync: bool = True) -> Settings:
        """Read and check all settings.

        Args:
            for_sync: once the feature is enabled, demand everything that a sync needs. Without
                it, each part demands its own settings when it is used.

        An empty value counts as not set. The exception is
        HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES, where it means none.

        Raises:
            FixSetting: naming every wrong key and what is wrong with it, never a value.
        """
        may_be_empty = "HUNTER_PARTNER_CENTER_EXCLUDED_SUBSTATUSES"
        given = {key: value for key, value in env.items() if value.strip() or key == may_be_empty}
        try:
            return cls.model_validate(given, context=None if for_sync else _PARTS)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: "
                f"{problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise FixSetting(
                f"Wrong settings: {problems}. Nothing was started. Correct the app settings "
                "(locally: local.settings.json); the README's table lists them.",
                code="config_invalid",
            ) from None

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The names of all settings, as environment variables, in the order of the table."""
        return tuple(str(info.alias) for info in cls.model_fields.values())


def load_settings(*, local_settings: bool = False, for_sync: bool = True) -> Settings:
    """The settings of this process.

    Args:
        local_settings: take what the environment lacks from `local.settings.json` in the current
            folder, as Functions Core Tools do; for the command line.
        for_sync: as in `Settings.from_env`.

    Raises:
        FixSetting: naming every wrong key.
    """
    env: dict[str, str] = dict(os.environ)
    file = Path("local.settings.json")
    if local_settings and file.exists():
        try:
            values = json.loads(file.read_text(encoding="utf-8-sig"))["Values"]
            env = {**{str(key): str(value) for key, value in values.items()}, **env}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FixSetting(
                "local.settings.json is not in the form of Functions Core Tools (a JSON object "
                f"with Values): {type(error).__name__}. Nothing was started; "
                "local.settings.example.json shows the form.",
                code="config_invalid",
            ) from None
    return Settings.from_env(env, for_sync=for_sync)
