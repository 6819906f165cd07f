"""The quarantine's open entries, as a replay reads them."""

from __future__ import annotations

from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.sync.ports import QuarantineEntry

_SQL = load_statements("quarantine")


def open_entries(connect: Connect, after_id: int, *, limit: int) -> list[QuarantineEntry]:
    """See `Store.open_quarantine`."""
    with connect() as connection:
        rows = connection.execute(_SQL["open"], {"after_id": after_id, "limit": limit}).fetchall()
    return [QuarantineEntry(entry_id=number, raw_text=text) for number, text in rows]
