"""The database: psycopg and SQL live in this room, and psycopg's errors stop here."""

from pc_core.store.cursors import ForeignCursor
from pc_core.store.listing import (
    COUNTED_UP_TO,
    SORT_KEYS,
    SUMMARY_COLUMNS,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    Sort,
)
from pc_core.store.pool import Database, entra_password
from pc_core.store.postgres import PostgresStore
from pc_core.store.reader import (
    Change,
    QuarantineItem,
    QuarantinePage,
    Reader,
    ReferralDetail,
    RunPage,
)

__all__ = [
    "COUNTED_UP_TO",
    "SORT_KEYS",
    "SUMMARY_COLUMNS",
    "Change",
    "Database",
    "ForeignCursor",
    "PostgresStore",
    "QuarantineItem",
    "QuarantinePage",
    "Reader",
    "ReferralDetail",
    "ReferralFilter",
    "ReferralPage",
    "ReferralSummary",
    "RunPage",
    "Sort",
    "entra_password",
]
