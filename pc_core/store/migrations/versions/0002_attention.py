"""Indexes over what needs a person: 0002_attention.sql."""

from pc_core.store.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql(__file__)
