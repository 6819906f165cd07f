"""host.json and a settings file in the format of local.settings.json."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.host.errors import HostError


def read_route_prefix(app: Path) -> str:
    """What host.json puts before every route.

    Raises:
        HostError: host.json is missing or malformed.
    """
    extensions = _read_object(app / "host.json").get("extensions", {})
    return str(extensions.get("http", {}).get("routePrefix", "api"))


def read_settings(path: Path) -> dict[str, str]:
    """The values of a settings file.

    Raises:
        HostError: it is missing or malformed.
    """
    return _texts(_read_object(path).get("Values"), f'{path}, "Values"')


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a JSON object in a file.

    Raises:
        HostError: it is missing or malformed.
    """
    return _texts(_read_object(path), str(path))


def resolve(text: str, environ: Mapping[str, str]) -> str:
    """Replace each `%SETTING%` in `text`.

    Raises:
        HostError: a setting is missing.
    """

    def value(found: re.Match[str]) -> str:
        if not environ.get(found[1]):
            raise HostError(f"'{found[0]}' does not resolve to a value.")
        return environ[found[1]]

    return re.sub(r"%([^%\s]+)%", value, text)


def _texts(values: object, where: str) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(text, str) for text in values.values()):
        raise HostError(f"{where} must hold an object with texts only.")
    return values


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
