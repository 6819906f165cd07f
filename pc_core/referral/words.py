"""Search words, folded so that case, accents and the Turkish İ, I, ı and i make no difference."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

MAX_SORT_CHARS: Final = 200
"""Longest text that is sorted by. A tsvector's word ends at 2,046 bytes, an index entry at 2,704:
both limits are far away."""

_WORD: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\w{1,100}")
_MAX_WORDS: Final = 500

_DOTLESS_I: Final = "\N{LATIN SMALL LETTER DOTLESS I}"
# Turkish letters first: after them most texts are plain ASCII.
_COMMON_LETTERS: Final = (
    ("i\N{COMBINING DOT ABOVE}", "i"),  # what lower() makes of the capital dotted I
    *((_DOTLESS_I, "i"), ("ş", "s"), ("ğ", "g"), ("ç", "c"), ("ü", "u"), ("ö", "o")),
)
# Letters with a stroke and ligatures, which Unicode does not decompose.
_OTHER_LETTERS: Final = str.maketrans(
    {_DOTLESS_I: "i", "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe", "ŧ": "t"}
)


def fold(text: str) -> str:
    """Fold case, accents and the four Turkish i's, for search: "İZMİR" and "Izmir" → "izmir".

    Columns and search terms are both folded here, because PostgreSQL's lower() depends on the
    database's locale. Idempotent.
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
    # One pass may uncover a letter for the next (a compatibility form of an accented capital).
    while True:
        plain = unicodedata.normalize("NFKD", text.casefold())
        plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
        plain = plain.casefold().translate(_OTHER_LETTERS)
        if plain == text:
            return plain
        text = plain


def split_words(folded: str) -> list[str]:
    """The words of a folded text, as they are indexed and searched; GUIDs stay whole."""
    return _WORD.findall(folded)[:_MAX_WORDS]
