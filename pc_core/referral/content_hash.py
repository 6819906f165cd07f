"""The hash that tells whether a referral's content changed."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

_CANONICAL: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number")


_HASH_BYTES: Final = 16


# hashlib gives the interpreter's lock away for pieces longer than this. Beside a busy thread,
# getting it back takes longer than the hashing.
_HASHED_AT_ONCE: Final = 2047


def hash_bytes(data: bytes) -> bytes:
    """The first 16 bytes of SHA-256."""
    hashed = hashlib.sha256(data[:_HASHED_AT_ONCE])
    for start in range(_HASHED_AT_ONCE, len(data), _HASHED_AT_ONCE):
        hashed.update(data[start : start + _HASHED_AT_ONCE])
    return hashed.digest()[:_HASH_BYTES]


def hash_content(item: bytes, content: dict[str, Any]) -> bytes:
    """Hash what has meaning. Removes the rest from `content`, which nobody reads afterwards."""
    content.pop("links", None)
    if _has_annotations(item):
        _drop_annotations(content)
    return hash_bytes(_CANONICAL.encode(content))


def _has_annotations(item: bytes) -> bool:
    # Looking for the one rare byte first is several times faster than for the whole word.
    place = item.find(b"@")
    while place >= 0:
        if item.startswith(_ANNOTATION, place):
            return True
        place = item.find(b"@", place + 1)
    return False


_ANNOTATION: Final = b"@odata."


def _drop_annotations(content: Any) -> None:
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key in [key for key in value if "@odata." in key]:
                del value[key]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
