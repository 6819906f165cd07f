"""Keyset paging: the SQL that orders rows by one column and continues after a given row.

Rows without a value come last in both directions, and the id decides between equal values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import msgspec

from pc_core.reading import Order


class Place(msgspec.Struct, kw_only=True, array_like=True):
    """The last row of a page: its value, as PostgreSQL's text, and its id."""

    key: str | None
    referral_id: str


def place_values(place: Place | None) -> dict[str, Any]:
    """The values for the conditions that a `Keyset` makes for this place."""
    return {} if place is None else {"after": place.key, "after_id": place.referral_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """A sort by one column of a table, then by its referral_id, both in the same direction.

    Attributes:
        table: the table's alias in the statement.
        column: the column's name.
        kind: the column's type, for the value in a cursor.
    """

    table: LiteralString
    column: LiteralString
    kind: LiteralString
    order: Order

    @property
    def order_by(self) -> LiteralString:
        """The order of all rows."""
        return f"{self._key} {self._way} NULLS LAST, {self.order_by_id}"

    @property
    def order_by_value(self) -> LiteralString:
        """The order of the rows with a value, as their index has it."""
        return f"{self._key} {self._way}, {self.order_by_id}"

    @property
    def order_by_id(self) -> LiteralString:
        """The order of the rows without a value."""
        return f"{self._id} {self._way}"

    def after(self, place: Place) -> LiteralString:
        """The condition for all rows after a place."""
        if place.key is None:
            return self.without_value(place)
        return f"{self._beyond} OR {self._key} IS NULL"

    def with_value(self, place: Place | None) -> LiteralString | None:
        """The condition for the rows after a place that have a value; None: there are no more."""
        if place is None:
            return f"{self._key} IS NOT NULL"
        return None if place.key is None else f"{self._key} IS NOT NULL AND {self._beyond}"

    def without_value(self, place: Place | None) -> LiteralString:
        """The condition for the rows after a place that have no value."""
        if place is None or place.key is not None:
            return f"{self._key} IS NULL"
        return f"{self._key} IS NULL AND {self._id} {self._sign} %(after_id)s"

    @property
    def _key(self) -> LiteralString:
        return f"{self.table}.{self.column}"

    @property
    def _id(self) -> LiteralString:
        return f"{self.table}.referral_id"

    @property
    def _way(self) -> LiteralString:
        return "ASC" if self.order == "asc" else "DESC"

    @property
    def _sign(self) -> LiteralString:
        return ">" if self.order == "asc" else "<"

    @property
    def _beyond(self) -> LiteralString:
        return f"({self._key}, {self._id}) {self._sign} (%(after)s::{self.kind}, %(after_id)s)"
