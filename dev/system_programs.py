"""Programs beyond Python that some tests need, all of them in Debian's packages."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from dev.services import pgbouncer, postgres


def chromium() -> str | None:
    """The path of Chromium or Chrome; None when neither is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, the marker of the tests that need it, and the package that brings it."""

    marker: str
    title: str
    package: str
    find: Callable[[], object | None]

    def is_there(self) -> bool:
        """Whether it is installed."""
        return self.find() is not None


PROGRAMS: tuple[Program, ...] = (
    Program(marker="needs_chromium", title="Chromium", package="chromium", find=chromium),
    Program(
        marker="needs_pgbouncer", title="PgBouncer", package="pgbouncer", find=pgbouncer.program
    ),
    Program(
        marker="needs_tls_postgres",
        title="a PostgreSQL that knows TLS",
        package="postgresql",
        find=postgres.system_binaries,
    ),
)
