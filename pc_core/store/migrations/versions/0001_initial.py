"""The tables, views and indexes of the first release: 0001_initial.sql."""

from pc_core.store.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql(__file__)
