"""The SQL files as named statements, read once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import LiteralString

_FOLDER = Path(__file__).with_name("sql")
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_statements(room: str, **lists: LiteralString) -> Mapping[str, LiteralString]:
    """The statements of sql/<room>.sql by the name in the `-- name:` line above each.

    Args:
        room: the file's name without its suffix.
        lists: texts for the places written `{name}` in the file.
    """
    text = (_FOLDER / f"{room}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text.format_map(lists) if lists else text)
    return MappingProxyType(
        {
            name: statement.strip().removesuffix(";")
            for name, statement in zip(parts[::2], parts[1::2], strict=True)
        }
    )
