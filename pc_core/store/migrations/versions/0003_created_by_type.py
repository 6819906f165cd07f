"""One index more useful: 0003_created_by_type.sql."""

from pc_core.store.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the SQL file beside this one."""
    run_sql(__file__)
