"""Column lists for the statements that write referrals, all made from `row.COLUMNS`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

from pc_core.referral.row import COLUMNS

# Columns whose changes are not written to the history: they follow from others, or mean nothing to
# a reader.
_WITHOUT_HISTORY: Final = frozenset(
    {
        "referral_id",
        "classification_rule",
        "raw_domain",
        "pc_created_at",
        "pc_updated_at",
        "pc_updated_ticks",
        "etag",
        "content_hash",
        "raw_data",
        "search_words",
        "company_sort",
    }
)

# Columns that need no comparison: when one of them differs, content_hash or pc_updated_ticks does.
_NOT_COMPARED: Final = frozenset(
    {
        "referral_id",
        "contacts",
        "team",
        "pc_created_at",
        "pc_updated_at",
        "etag",
        "content_hash",
        "raw_data",
    }
)


def _list(names: Iterable[str], form: LiteralString) -> LiteralString:
    return ", ".join(form.format(name=name) for name in names)


def _changes() -> LiteralString:
    """A row for each column with history: place, name, and both values where they differ."""
    names = [name for name in COLUMNS if name not in _WITHOUT_HISTORY]
    rows = (
        f"({place}, '{name}', CASE WHEN o.{name} IS DISTINCT FROM n.{name}"
        f" THEN ARRAY[to_jsonb(o.{name}), to_jsonb(n.{name})] END)"
        for place, name in enumerate(names, 1)
    )
    return ", ".join(rows)


_COMPARED: Final = [name for name in COLUMNS if name not in _NOT_COMPARED]

COLUMN_LISTS: Final[dict[str, LiteralString]] = {
    "columns": _list(COLUMNS, "{name}"),
    "incoming": _list(COLUMNS, "n.{name}"),
    "assignments": _list(COLUMNS[1:], "{name} = n.{name}"),
    "compared_stored": _list(_COMPARED, "o.{name}"),
    "compared_incoming": _list(_COMPARED, "n.{name}"),
    "changes": _changes(),
}
"""By their place in sql/referrals.sql, where `o` is the stored row and `n` the incoming one."""
