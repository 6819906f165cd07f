"""The address's parameters: read strictly, refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class BadParameter(ValueError):
    """A parameter or a body's member that cannot be used: its name, and what it must be."""

    def __init__(self, parameter: str, detail: str) -> None:
        shown = parameter[:100].encode("ascii", "backslashreplace").decode()
        super().__init__(f"{shown}: {detail}")
        self.parameter = shown
        self.detail = detail


class Query:
    """Reads parameters one by one, and remembers which are known.

    An empty value counts as not given. Every reading method raises BadParameter.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._known: set[str] = set()

    def text(self, name: str, *, longest: int = 200) -> str | None:
        """Any text without control characters."""
        value = self._value(name)
        if value is None:
            return None
        if len(value) > longest:
            raise BadParameter(name, f"must have at most {longest} characters")
        if _CONTROL.search(value):
            raise BadParameter(name, "must not contain control characters")
        return value

    def words(self, name: str, *, most: int = 20) -> tuple[str, ...]:
        """A comma-separated list."""
        value = self.text(name, longest=500)
        words = tuple(word.strip() for word in (value or "").split(",") if word.strip())
        if len(words) > most:
            raise BadParameter(name, f"must have at most {most} values")
        return words

    def choice(self, name: str, allowed: Collection[str], *, default: str) -> str:
        """One of a few words."""
        value = self._value(name)
        if value is None:
            return default
        if value not in allowed:
            raise BadParameter(name, f"must be one of: {', '.join(sorted(allowed))}")
        return value

    def choices(self, name: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Several of a few words, comma-separated."""
        words = self.words(name)
        if not set(words) <= set(allowed):
            raise BadParameter(name, f"must be of: {', '.join(sorted(allowed))}")
        return words

    def number(self, name: str, *, low: int, high: int) -> int | None:
        """A whole number."""
        value = self._value(name)
        if value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise BadParameter(name, f"must be a whole number from {low} to {high}")
        return int(value)

    def flag(self, name: str) -> bool:
        """`true` or `false`; false if not given."""
        return self.choice(name, ("true", "false"), default="false") == "true"

    def instant(self, name: str) -> datetime | None:
        """A date (its UTC midnight) or a time with offset, RFC 3339; aware UTC."""
        value = self._value(name)
        if value is None:
            return None
        try:
            # A plus sign that nobody encoded arrives as a space.
            at = datetime.fromisoformat(value.strip().replace(" ", "+"))
            if at.tzinfo is None and "T" not in value.upper():
                at = at.replace(tzinfo=UTC)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise BadParameter(
            name, "must be a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z"
        )

    def end(self) -> None:
        """Refuse what nobody read."""
        for name in self._given:
            if name not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                raise BadParameter(name, f"is not known here; known: {known}")

    def _value(self, name: str) -> str | None:
        self._known.add(name)
        value = self._given.get(name)
        return value if value and value.strip() else None


@contextmanager
def own_cursor() -> Iterator[None]:
    """Turn the store's refusal of a cursor into one of the parameter.

    Raises:
        BadParameter: the cursor belongs to another filter or sort, or is none.
    """
    from pc_core.reading import ForeignCursor

    try:
        yield
    except ForeignCursor as wrong:
        raise BadParameter("cursor", str(wrong)) from None


class Members:
    """Reads a JSON body's members one by one, as `Query` reads parameters.

    An empty body has no members.

    Raises:
        BadParameter: the body is no JSON object.
    """

    def __init__(self, body: bytes) -> None:
        try:
            read = json.loads(body) if body.strip() else {}
        except (ValueError, RecursionError):
            raise BadParameter("body", "must be JSON") from None
        if not isinstance(read, dict):
            raise BadParameter("body", "must be a JSON object")
        self._given: dict[str, object] = read
        self._known: set[str] = set()

    def text(self, name: str, *, longest: int = 200) -> str | None:
        """A text without control characters; null counts as not given."""
        self._known.add(name)
        value = self._given.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > longest or _CONTROL.search(value):
            raise BadParameter(name, f"must be a text of at most {longest} characters")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false if not given."""
        self._known.add(name)
        value = self._given.get(name, False)
        if not isinstance(value, bool):
            raise BadParameter(name, "must be true or false")
        return value

    def end(self) -> None:
        """Refuse what nobody read."""
        for name in self._given:
            if name not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                raise BadParameter(name, f"is not known here; known: {known}")
