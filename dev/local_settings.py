"""The app's settings for a run on this machine, in the format of local.settings.json."""

import base64
import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dev.services.host import settings_text
from dev.services.processes import kept_secret, write_private
from dev.services.simulator import SimulatorProcess

NAME = "local.settings.json"
PREFIX = "HUNTER_"
DIGEST = "generated-settings.sha256"
SCHEDULE_DEFAULT = "0 */10 * * * *"
NEEDED_LIVE = ("HUNTER_PARTNER_CENTER_CLIENT_ID", "HUNTER_PARTNER_CENTER_TENANT_ID")


class MissingSettings(Exception):
    """local.settings.json lacks something; the message names it."""


def for_local_world(
    state: Path, *, database_url: str, storage: str, simulator: SimulatorProcess
) -> dict[str, str]:
    """Settings that lead to the local services, with keys that stay the same for this clone."""
    values = {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": storage,
        "AzureWebJobsDisableHomepage": "true",
        "HUNTER_PARTNER_CENTER_ENABLED": "true",
        "HUNTER_PARTNER_CENTER_CLIENT_ID": simulator.client_id,
        "HUNTER_PARTNER_CENTER_TENANT_ID": simulator.tenant_id,
        "HUNTER_PARTNER_CENTER_API_URL": simulator.url,
        "HUNTER_PARTNER_CENTER_AUTHORITY": simulator.url,
        "HUNTER_PARTNER_CENTER_SYNC_SCHEDULE": SCHEDULE_DEFAULT,
        "HUNTER_DATABASE_URL": database_url,
        "REQUESTS_CA_BUNDLE": str(simulator.ca_file),
    }
    return with_local_keys(state, values)


def with_local_keys(state: Path, values: Mapping[str, str]) -> dict[str, str]:
    """The settings with keys of this clone where they have none and name no Key Vault."""
    completed = dict(values)
    if not completed.get("HUNTER_KEY_VAULT_URL"):
        if not completed.get("HUNTER_TOKEN_CACHE_KEY"):
            completed["HUNTER_TOKEN_CACHE_KEY"] = kept_secret(
                state / "token-cache-key",
                lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            )
        if not completed.get("HUNTER_API_KEY"):
            completed["HUNTER_API_KEY"] = kept_secret(state / "api-key")
    completed.setdefault("HUNTER_PARTNER_CENTER_SYNC_SCHEDULE", SCHEDULE_DEFAULT)
    return completed


def lacks_storage(values: Mapping[str, str]) -> bool:
    """Whether the settings name no storage account, or Azurite as `func` knows it."""
    if values.get("AzureWebJobsStorage", "") not in {"", "UseDevelopmentStorage=true"}:
        return False
    return not any(key.startswith("AzureWebJobsStorage__") for key in values)


def for_live(clone: Path, local_state: Path) -> dict[str, str]:
    """The values of the clone's local.settings.json, over which HUNTER_ variables win.

    A file that a killed local run has left counts as none.

    Raises:
        MissingSettings: there is no such file, or it lacks what only the user can know.
    """
    path = clone / NAME
    if path.exists() and _was_generated(path, local_state / DIGEST):
        path.unlink()
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        values = {str(key): str(value) for key, value in content["Values"].items()}
    except FileNotFoundError:
        raise MissingSettings(
            f"--live needs {path}. Copy local.settings.example.json to it and fill in at least "
            f"{', '.join(NEEDED_LIVE)}."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MissingSettings(
            f'{path} is not in the format of Core Tools: {{"IsEncrypted": false, "Values": {{…}}}}.'
        ) from None
    values |= _own_variables()
    missing = [key for key in NEEDED_LIVE if not values.get(key)]
    if not lacks_storage(values) and not (
        values.get("HUNTER_TOKEN_CACHE_KEY") or values.get("HUNTER_KEY_VAULT_URL")
    ):
        # A key made here would lock the deployed app out of its own token cache.
        missing.append("HUNTER_TOKEN_CACHE_KEY or HUNTER_KEY_VAULT_URL")
    if missing:
        raise MissingSettings(f"{path} lacks {', '.join(missing)}.")
    return {**values, "HUNTER_PARTNER_CENTER_ENABLED": "true"}


def environ_for(values: Mapping[str, str], clone: Path, *, live: bool) -> dict[str, str]:
    """The environment for the app: its settings, over which HUNTER_ variables of this one win.

    What the clone's local.settings.json names for real services is emptied unless `live`, since
    app and `func` would read it where the environment leaves a setting open.
    """
    emptied = {} if live else dict.fromkeys(keys_of_user(clone), "")
    return {**os.environ, **emptied, **values, **_own_variables()}


def _own_variables() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(PREFIX)}


def database_without_secrets(url: str) -> str:
    """Host and database of a libpq URL, for people to read."""
    parts = urlsplit(url)
    return f"{parts.path.lstrip('/') or 'the default database'} on {parts.hostname}"


@contextlib.contextmanager
def generated(clone: Path, state: Path, values: Mapping[str, str]) -> Iterator[None]:
    """A local.settings.json for `func` while the block runs, unless the user has one.

    The file is removed at the end. One that a killed run has left is recognised by its digest.
    """
    path, digest_file = clone / NAME, state / DIGEST
    if path.exists() and not _was_generated(path, digest_file):
        yield
        return
    text = settings_text(values)
    digest_file.write_text(hashlib.sha256(text.encode()).hexdigest(), encoding="utf-8")
    write_private(path, text)
    try:
        yield
    finally:
        if path.exists() and _was_generated(path, digest_file):
            path.unlink()


def keys_of_user(clone: Path) -> list[str]:
    """The app's settings that the clone's local.settings.json holds; none without the file."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((clone / NAME).read_text(encoding="utf-8-sig"))
        return [key for key in content["Values"] if key.startswith(PREFIX)]
    return []


def _was_generated(path: Path, digest_file: Path) -> bool:
    if not digest_file.exists():
        return False
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest == digest_file.read_text(encoding="utf-8")
