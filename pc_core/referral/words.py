"""Words for searching: folded so that İ, I, ı and i are one letter."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_DOTLESS_I: Final = "\N{LATIN SMALL LETTER DOTLESS I}"


# The letters of Turkish first: for most texts nothing is left to do after them.
_COMMON_LETTERS: Final = (
    ("i\N{COMBINING DOT ABOVE}", "i"),  # what lower() makes of the capital dotted I
    *((_DOTLESS_I, "i"), ("ş", "s"), ("ğ", "g"), ("ç", "c"), ("ü", "u"), ("ö", "o")),
)


# Letters with a stroke or joined letters, which Unicode does not decompose.
_OTHER_LETTERS: Final = str.maketrans(
    {_DOTLESS_I: "i", "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe", "ŧ": "t"}
)


def fold(text: str) -> str:
    """Fold case, accents and the four Turkish i's, for search: "İZMİR" and "Izmir" → "izmir".

    The same in Python for columns and for what is searched, since PostgreSQL's lower() depends on
    the database's locale. Idempotent.
    """
    folded = text.lower()
    if folded.isascii():
        return folded
    for letter, plain in _COMMON_LETTERS:
        folded = folded.replace(letter, plain)
    if folded.isascii():
        return folded
    return _fold_any(folded)


@lru_cache(maxsize=4096)
def _fold_any(text: str) -> str:
    # One pass can uncover a letter for the next (a compatibility form of an accented capital).
    while True:
        plain = unicodedata.normalize("NFKD", text.casefold())
        plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
        plain = plain.casefold().translate(_OTHER_LETTERS)
        if plain == text:
            return plain
        text = plain


_WORD: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\w{1,100}")


_MAX_WORDS: Final = 500


MAX_SORT_CHARS: Final = 200
"""A tsvector's word ends at 2,046 bytes, an index entry at 2,704: both stay well below."""


def split_words(folded: str) -> list[str]:
    """The words of a folded text, as they are indexed and searched; GUIDs stay whole."""
    return _WORD.findall(folded)[:_MAX_WORDS]
