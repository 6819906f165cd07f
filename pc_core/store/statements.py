"""The SQL files as named statements, read once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

_FOLDER = Path(__file__).with_name("sql")
_NAME = re.compile(rb"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_statements(room: str) -> Mapping[str, bytes]:
    """The statements of sql/<room>.sql by the name in the `-- name:` line above each."""
    _, *parts = _NAME.split((_FOLDER / f"{room}.sql").read_bytes())
    return MappingProxyType(
        {
            name.decode(): text.strip().removesuffix(b";")
            for name, text in zip(parts[::2], parts[1::2], strict=True)
        }
    )
