"""A hash that tells whether a referral's content has changed."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

_CANONICAL: Final = msgspec.json.Encoder(order="deterministic", decimal_format="number")
_HASH_BYTES: Final = 16
_ANNOTATION: Final = b"@odata."
# hashlib releases the interpreter's lock for longer pieces. Getting it back from a busy thread
# takes longer than the hashing.
_PIECE_BYTES: Final = 2047


def hash_bytes(data: bytes) -> bytes:
    """The first 16 bytes of SHA-256."""
    hashed = hashlib.sha256(data[:_PIECE_BYTES])
    for start in range(_PIECE_BYTES, len(data), _PIECE_BYTES):
        hashed.update(data[start : start + _PIECE_BYTES])
    return hashed.digest()[:_HASH_BYTES]


def hash_content(item: bytes, content: dict[str, Any]) -> bytes:
    """Hash what has meaning: everything but `links` and `@odata.*`, which `content` loses."""
    content.pop("links", None)
    if _has_annotations(item):
        _drop_annotations(content)
    return hash_bytes(_CANONICAL.encode(content))


def _has_annotations(item: bytes) -> bool:
    # Searching for the one rare byte first is several times faster than for the whole word.
    place = item.find(b"@")
    while place >= 0:
        if item.startswith(_ANNOTATION, place):
            return True
        place = item.find(b"@", place + 1)
    return False


def _drop_annotations(content: Any) -> None:
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for key in [key for key in value if "@odata." in key]:
                del value[key]
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
