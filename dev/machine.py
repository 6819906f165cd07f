"""What measurements say of the machine, and the environment in which tests run on it."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import Any

from dev.services.postgres import wheel_binaries

SETTINGS = ("HUNTER_", "AzureWebJobs", "WEBSITE_", "FUNCTIONS_", "PG")


def describe() -> dict[str, Any]:
    """When and on what something was measured."""
    server = subprocess.run(
        [str(wheel_binaries() / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgres": server.stdout.split()[-1],
    }


def environ_without_settings() -> dict[str, str]:
    """The environment without the developer's own settings, which tests must not see."""
    return {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS)}
