"""Cursors: the place after which a listing continues, as opaque text for that listing alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from pc_core.reading import ForeignCursor


def write_cursor(listing: object, place: Any) -> str:
    """A cursor.

    Args:
        listing: the filter and sort that the cursor is bound to, as JSON types.
        place: the place to continue after, as JSON types.
    """
    body = msgspec.json.encode([_digest(listing), place])
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def read_cursor[T](listing: object, cursor: str, kind: type[T]) -> T:
    """The place in a cursor.

    Raises:
        ForeignCursor: it was not written for this listing.
    """
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, place = msgspec.json.decode(body, type=tuple[str, msgspec.Raw])
        if digest != _digest(listing):
            raise ForeignCursor
        return msgspec.json.decode(place, type=kind)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise ForeignCursor from None


def _digest(listing: object) -> str:
    return hashlib.sha256(msgspec.json.encode(listing)).hexdigest()[:16]
