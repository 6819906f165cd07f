"""The database: psycopg and SQL live in this room, and psycopg's errors stop here."""

from pc_core.store.pool import Database, entra_password
from pc_core.store.postgres import PostgresStore
from pc_core.store.reading.companies import (
    COMPANY_SORT_KEYS,
    Company,
    CompanyFilter,
    CompanyPage,
    CompanySort,
)
from pc_core.store.reading.cursors import ForeignCursor
from pc_core.store.reading.listing import (
    ATTENTION,
    COUNTED_UP_TO,
    SORT_KEYS,
    SUMMARY_COLUMNS,
    ReferralFilter,
    ReferralPage,
    ReferralSummary,
    Sort,
)
from pc_core.store.reading.reader import (
    Change,
    QuarantineItem,
    QuarantinePage,
    Reader,
    ReferralDetail,
    RunPage,
    Statistics,
    Week,
)
from pc_core.store.writing.earlier import EarlierTable

__all__ = [
    "ATTENTION",
    "COMPANY_SORT_KEYS",
    "COUNTED_UP_TO",
    "SORT_KEYS",
    "SUMMARY_COLUMNS",
    "Change",
    "Company",
    "CompanyFilter",
    "CompanyPage",
    "CompanySort",
    "Database",
    "EarlierTable",
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
    "Statistics",
    "Week",
    "entra_password",
]
