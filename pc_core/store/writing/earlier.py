"""The earlier system's `partner_center_referrals`, which is only read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import override

from pc_core.errors import FixSetting
from pc_core.store.faults import translated
from pc_core.store.pool import Connect, Database
from pc_core.store.statements import load_statements
from pc_core.store.writing.json_text import to_json_text
from pc_core.sync.ports import Earlier, EarlierRow

_SQL = load_statements("earlier")
_NEEDED = frozenset({"referral_id", "raw_data", "created_at"})
_OURS = "content_hash"


class EarlierTable(Earlier):
    """The port `sync.ports.Earlier` on PostgreSQL.

    Args:
        database: the earlier system's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def check(self) -> None:
        with (
            translated("look at the earlier system's table"),
            self._database.connection() as connection,
        ):
            row = connection.execute(_SQL["columns"]).fetchone()
        columns = frozenset(row[0] or ()) if row else frozenset()
        if columns >= _NEEDED and _OURS not in columns:
            return
        found = "is this system's own" if _OURS in columns else "is not there"
        raise FixSetting(
            "The database named by --from holds no partner_center_referrals of the earlier "
            f"system: the table {found}. Nothing was done. Name the earlier database.",
            code="earlier_table_missing",
        )

    @override
    def rows(self, after: str, *, limit: int) -> list[EarlierRow]:
        with (
            translated("read the earlier system's table"),
            self._database.connection() as connection,
        ):
            found = connection.execute(_SQL["rows"], {"after": after, "limit": limit}).fetchall()
        return [
            EarlierRow(referral_id=key, raw=raw, columns=json.loads(columns), seen_at=seen_at)
            for key, raw, columns, seen_at in found
        ]


def note_first_seen(connect: Connect, seen: Mapping[str, datetime]) -> None:
    """See `Store.note_first_seen`."""
    rows = [{"referral_id": key, "seen_at": at} for key, at in seen.items()]
    with connect() as connection:
        connection.execute(_SQL["note_first_seen"], {"seen": to_json_text(rows)})
