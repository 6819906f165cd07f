"""What a jsonb column can hold, and the escaping of what it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pc_core.referral.referral import MAX_DEPTH, MAX_ITEM_BYTES
from pc_core.referral.values import RefusalError


def check_storable(item: bytes, content: Any) -> None:
    """Refuse what is JSON but no jsonb. Costs next to nothing where there is nothing to find."""
    if len(item) > MAX_ITEM_BYTES:
        detail = f"has {len(item)} bytes, more than {MAX_ITEM_BYTES}"
        raise RefusalError("too_large", None, detail)
    if len(item) > 2 * MAX_DEPTH and item.count(b"[") + item.count(b"{") > MAX_DEPTH:
        for path, _, depth in walk_content(content):
            if depth > MAX_DEPTH:
                detail = f"is nested more than {MAX_DEPTH} levels deep"
                raise RefusalError("nested_too_deeply", path, detail)
    # The escape may also be an escaped backslash before the letters u0000, which is harmless.
    if b"\\u0000" in item:
        check_texts(content)


def check_texts(content: Any) -> None:
    """Refuse texts and keys that jsonb cannot hold."""
    for path, value, _ in walk_content(content):
        if isinstance(value, str):
            if "\0" in value:
                raise RefusalError(
                    "nul_character", path, f"text of {len(value)} characters holds NUL"
                )
            if not value.isascii() and SURROGATE.search(value):
                detail = f"text of {len(value)} characters holds half a surrogate pair"
                raise RefusalError("lone_surrogate", path, detail)
        elif isinstance(value, Unbelievable):
            raise RefusalError(value.reason, path, value.detail)


SURROGATE: Final = re.compile("[\ud800-\udfff]")


def walk_content(content: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value and every key below `content`, in order, as (path, value, depth)."""
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        yield path, value, depth
        below: list[tuple[str, Any, int]] = []
        if isinstance(value, dict):
            for key, member in value.items():
                here = f"{path}.{_safe_key(key)}".removeprefix(".")[:_MAX_PATH_CHARS]
                below += [(here, key, depth), (here, member, depth + 1)]
        elif isinstance(value, list):
            below = [
                (f"{path}[{place}]"[:_MAX_PATH_CHARS], member, depth + 1)
                for place, member in enumerate(value)
            ]
        waiting.extend(reversed(below))


_MAX_PATH_CHARS: Final = 200


def _safe_key(key: str) -> str:
    """A wire field's name, fit for logs and text columns."""
    return key if key.isascii() and key.isprintable() else ascii(key)[1:-1]


class Unbelievable(NamedTuple):
    """Stands in a tolerantly read item for a number that cannot be kept."""

    reason: str
    detail: str


# A character that stands for "escape" and hardly ever stands in a text; it escapes itself too.
_ESCAPE: Final = "\N{SYMBOL FOR ESCAPE}"


_ESCAPED: Final = re.compile(f"{_ESCAPE}([0-9a-f]{{2}})")


_TO_ESCAPE: Final = re.compile(f"[\0{_ESCAPE}\udc80-\udcff]")


def escape_raw(item: bytes) -> str:
    """Any bytes as a text without NUL and lone surrogates; `restore_raw` turns it back."""
    text = item.decode("utf-8", "surrogateescape")
    return _TO_ESCAPE.sub(
        lambda match: "".join(
            f"{_ESCAPE}{byte:02x}" for byte in match.group().encode("utf-8", "surrogateescape")
        ),
        text,
    )


def restore_raw(raw_text: str) -> bytes:
    """The exact bytes that `Malformed.raw_text` was made from."""
    parts = _ESCAPED.split(raw_text)
    return b"".join(
        bytes.fromhex(part) if place % 2 else part.encode("utf-8")
        for place, part in enumerate(parts)
    )
