"""What was set aside, as a replay reads it."""

from __future__ import annotations

from pc_core.store.pool import Database
from pc_core.store.statements import load_statements
from pc_core.sync.ports import QuarantineEntry

_SQL = load_statements("quarantine")


def open_entries(database: Database, after_id: int, *, limit: int) -> list[QuarantineEntry]:
    """Entries that wait for a good version, in order of their numbers."""
    with database.connection() as connection:
        rows = connection.execute(_SQL["open"], {"after_id": after_id, "limit": limit}).fetchall()
    return [QuarantineEntry(entry_id=number, raw_text=text) for number, text in rows]
