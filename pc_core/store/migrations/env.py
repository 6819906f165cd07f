"""What Alembic runs; the connection, its lock and its transaction come from migrate.py."""

from alembic import context

from pc_core.store.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema="public",
)
context.run_migrations()
