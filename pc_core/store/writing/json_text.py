"""Values as JSON text, for the json parameters of statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import overload

import msgspec


def to_json_text(value: object) -> str | None:
    """A value as JSON text; None stays None, for SQL's NULL."""
    return None if value is None else msgspec.json.encode(value).decode()


def ids_to_json_text(ids: Iterable[str]) -> str | None:
    """Referral ids as a JSON list.

    The ids of quarantined items may hold anything; they must not make the whole page fail.
    """
    return to_json_text([storable(each) for each in ids])


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    """The text with NUL and lone surrogates escaped, which PostgreSQL would refuse."""
    if text is None:
        return None
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode("utf-8")
