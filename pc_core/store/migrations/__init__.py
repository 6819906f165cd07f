"""The schema's history: each revision is a plain SQL file with a thin loader beside it."""

from __future__ import annotations

from pathlib import Path


def run_sql(loader: str) -> None:
    """Run the SQL file that lies beside a revision's loader, all its statements in one go."""
    from alembic import op

    script = Path(loader).with_suffix(".sql").read_text(encoding="utf-8")
    connection = op.get_bind().execution_options(no_parameters=True)
    connection.exec_driver_sql(script)
