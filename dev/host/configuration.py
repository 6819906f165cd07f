"""host.json and a settings file in the format of local.settings.json."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.host.errors import HostError

DEFAULT_ROUTE_PREFIX = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfiguration:
    """What this host reads of host.json."""

    route_prefix: str = DEFAULT_ROUTE_PREFIX
    custom_headers: Mapping[str, str] = field(default_factory=dict)


def read_host_json(app: Path) -> HostConfiguration:
    """Read the app's host.json.

    Raises:
        HostError: it is missing or malformed.
    """
    content = _read_object(app / "host.json")
    if content.get("version") != "2.0":
        raise HostError(f'{app / "host.json"} must say "version": "2.0".')
    extensions = content.get("extensions", {})
    http = extensions.get("http", {}) if isinstance(extensions, dict) else {}
    headers = http.get("customHeaders", {})
    return HostConfiguration(
        route_prefix=str(http.get("routePrefix", DEFAULT_ROUTE_PREFIX)).strip("/"),
        custom_headers={str(name): str(value) for name, value in headers.items()},
    )


def read_settings(path: Path) -> dict[str, str]:
    """The values of a settings file.

    Raises:
        HostError: it is missing, malformed or encrypted.
    """
    content = _read_object(path)
    if content.get("IsEncrypted"):
        raise HostError(f"{path} is encrypted, which only `func` can read.")
    return _texts(content.get("Values"), f'{path}, "Values"')


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a JSON object in a file.

    Raises:
        HostError: it is missing or malformed.
    """
    return _texts(_read_object(path), str(path))


def _texts(values: object, where: str) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(text, str) for text in values.values()):
        raise HostError(f"{where} must hold an object with texts only.")
    return {str(key): str(value) for key, value in values.items()}


def resolve(text: str, environ: Mapping[str, str], where: str) -> str:
    """Replace each `%SETTING%` in `text`.

    Raises:
        HostError: a setting is missing.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not environ.get(name):
            raise HostError(f"{where} uses %{name}%, but there is no setting {name}.")
        return environ[name]

    return re.sub(r"%([^%\s]+)%", value, text)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise HostError(f"{path} is no proper JSON: {error}") from None
    if not isinstance(content, dict):
        raise HostError(f"{path} must hold a JSON object.")
    return content
