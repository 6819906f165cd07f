"""The database: psycopg and SQL live in this room, and psycopg's errors stop here."""
