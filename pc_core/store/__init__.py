"""The database: psycopg and SQL live in this room, and psycopg's errors stop here."""

from pc_core.store.companies import (
    COMPANY_SORT_KEYS,
    Company,
    CompanyFilter,
    CompanyPage,
    CompanySort,
)
from pc_core.store.cursors import ForeignCursor
from pc_core.store.earlier import EarlierTable
from pc_core.store.listing import (
    ATTENTION,
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
    Statistics,
    Week,
)

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
