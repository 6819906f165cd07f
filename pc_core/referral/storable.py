"""What a jsonb column cannot hold, and how such items are kept as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pc_core.referral.referral import MAX_DEPTH, MAX_ITEM_BYTES
from pc_core.referral.values import InvalidItem

_MAX_PATH_CHARS: Final = 200

SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which UTF-8 and therefore PostgreSQL cannot hold."""

# Stands for "escape" and hardly ever occurs in a text; where it does, it is escaped too.
_ESCAPE: Final = "\N{SYMBOL FOR ESCAPE}"
_ESCAPED: Final = re.compile(f"{_ESCAPE}([0-9a-f]{{2}})")
_TO_ESCAPE: Final = re.compile(f"[\0{_ESCAPE}\udc80-\udcff]")


class InvalidNumber(NamedTuple):
    """Takes the place of a number that cannot be stored in a leniently parsed item."""

    reason: str
    detail: str


def check_storable(item: bytes, content: Any) -> None:
    """Raise InvalidItem for valid JSON that is no valid jsonb; cheap for ordinary items."""
    if len(item) > MAX_ITEM_BYTES:
        detail = f"has {len(item)} bytes, more than {MAX_ITEM_BYTES}"
        raise InvalidItem("too_large", None, detail)
    if len(item) > 2 * MAX_DEPTH and item.count(b"[") + item.count(b"{") > MAX_DEPTH:
        for path, _, depth in iter_values(content):
            if depth > MAX_DEPTH:
                detail = f"is nested more than {MAX_DEPTH} levels deep"
                raise InvalidItem("nested_too_deeply", path, detail)
    # May also be an escaped backslash before the letters u0000, which is harmless.
    if b"\\u0000" in item:
        check_texts(content)


def check_texts(content: Any) -> None:
    """Raise InvalidItem for texts and keys that jsonb cannot hold, and for an InvalidNumber."""
    for path, value, _ in iter_values(content):
        if isinstance(value, str):
            if "\0" in value:
                detail = f"text of {len(value)} characters holds NUL"
                raise InvalidItem("nul_character", path, detail)
            if not value.isascii() and SURROGATE.search(value):
                detail = f"text of {len(value)} characters holds half a surrogate pair"
                raise InvalidItem("lone_surrogate", path, detail)
        elif isinstance(value, InvalidNumber):
            raise InvalidItem(value.reason, path, value.detail)


def iter_values(content: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value and key in `content`, in order, as (path, value, depth)."""
    pending: list[tuple[str, Any, int]] = [("", content, 0)]
    while pending:
        path, value, depth = pending.pop()
        yield path, value, depth
        children: list[tuple[str, Any, int]] = []
        if isinstance(value, dict):
            for key, member in value.items():
                here = f"{path}.{_printable(key)}".removeprefix(".")[:_MAX_PATH_CHARS]
                children += [(here, key, depth), (here, member, depth + 1)]
        elif isinstance(value, list):
            children = [
                (f"{path}[{place}]"[:_MAX_PATH_CHARS], member, depth + 1)
                for place, member in enumerate(value)
            ]
        pending.extend(reversed(children))


def _printable(key: str) -> str:
    return key if key.isascii() and key.isprintable() else ascii(key)[1:-1]


def escape_raw(item: bytes) -> str:
    """Any bytes as a text without NUL and lone surrogates; `restore_raw` reverses it."""
    text = item.decode("utf-8", "surrogateescape")
    return _TO_ESCAPE.sub(
        lambda match: "".join(
            f"{_ESCAPE}{byte:02x}" for byte in match.group().encode("utf-8", "surrogateescape")
        ),
        text,
    )


def restore_raw(raw_text: str) -> bytes:
    """The exact bytes that `escape_raw` made `raw_text` from."""
    parts = _ESCAPED.split(raw_text)
    return b"".join(
        bytes.fromhex(part) if place % 2 else part.encode("utf-8")
        for place, part in enumerate(parts)
    )
