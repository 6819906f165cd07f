"""A referral's row in the text form that PostgreSQL's COPY reads.

Laid out here and not by the driver, so that it can be done in another thread while the database is
busy with the page before.
"""

from __future__ import annotations

import re
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from pc_core.row import COLUMNS, Row, fold

COLUMN_LIST: Final = ", ".join(
    ["search_words" if name == "search_text" else name for name in COLUMNS] + ["company_sort"]
)
"""The columns of `lay_out`, in their order."""

_ALL: Final = attrgetter(*COLUMNS)
_SEARCH_PLACE: Final = COLUMNS.index("search_text")
_HASH_PLACE: Final = COLUMNS.index("content_hash")

_WORD: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\w{1,100}")
_MAX_WORDS: Final = 500
_MAX_SORT_CHARS: Final = 200
"""A tsvector's word ends at 2,046 bytes, an index entry at 2,704: both stay well below."""

_NULL: Final = b"\\N"
_SPECIAL: Final = re.compile(r"[\\\n\r\t]")


def split_words(folded: str) -> list[str]:
    """The words of a folded text, as they are indexed and searched; GUIDs stay whole."""
    return _WORD.findall(folded)[:_MAX_WORDS]


def lay_out(row: Row, **replaced: Any) -> bytes:
    """The row's fields for COPY, without the line's end; `replaced` columns have other values."""
    values = list(_ALL(row))
    for name, value in replaced.items():
        values[COLUMNS.index(name)] = value
    values[_HASH_PLACE] = b"\\x" + row.content_hash.hex().encode()
    values[_SEARCH_PLACE] = " ".join(split_words(row.search_text))
    company = row.company_name
    values.append(None if company is None else fold(company)[:_MAX_SORT_CHARS])
    # One look at all texts: hardly any row has one that must be escaped.
    texts = "".join([value for value in values if type(value) is str])
    escape = _escape if _SPECIAL.search(texts) else str.encode
    return b"\t".join([escape(value) if type(value) is str else field(value) for value in values])


def field(value: object) -> bytes:
    """One value for COPY; bytes are taken for a text in UTF-8."""
    if value is None:
        return _NULL
    if type(value) is bytes:
        return _escape_bytes(value)
    if type(value) is datetime:
        return value.isoformat().encode()
    return _escape(str(value))


def _escape(text: str) -> bytes:
    return _escape_bytes(text.encode())


def _escape_bytes(text: bytes) -> bytes:
    text = text.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return text.replace(b"\r", b"\\r").replace(b"\t", b"\\t")
