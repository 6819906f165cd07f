"""The database: psycopg and SQL live in this room, and psycopg's errors stop here."""

from pc_core.store.pool import Database, entra_password
from pc_core.store.postgres import PostgresStore

__all__ = ["Database", "PostgresStore", "entra_password"]
