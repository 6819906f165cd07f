"""Run with -I -S: the package in the hands of Microsoft's worker library, and nothing else at hand.

Arguments: the unpacked package, a folder with the host's side (`dev/host` and no app), a database
URL without authorities. Prints one JSON object.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

package, host, database = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
libraries = package / ".python_packages" / "lib" / "site-packages"
sys.path[:0] = [str(package), str(libraries)]
sys.path.append(str(host))
os.chdir(package)

lines: list[str] = []


def listen() -> None:
    """Keep the app's lines, as the worker forwards them."""
    import logging

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    events = logging.getLogger("pc_core")
    events.setLevel(logging.INFO)
    events.addHandler(Listener())


async def main() -> None:
    """Index, answer health, sync once by the timer, and say what was used for it."""
    from dev.host.messages import Message, TypedData
    from dev.host.worker import Worker

    listen()
    worker = Worker(package)
    functions = {function.name: function for function in await worker.start()}
    request = Message(
        method="GET",
        url="http://localhost/healthz",
        headers={"host": "localhost"},
        body=TypedData(),
        params={},
        query={},
    )
    checked = await worker.invoke(functions["health"], TypedData(http=request), "test")
    health = checked.value
    assert health is not None
    loaded_for_health = sorted(sys.modules)
    timer = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {"Last": "", "Next": "", "LastUpdated": ""},
        "IsPastDue": False,
    }
    timer_data = TypedData(json=json.dumps(timer))
    fired = await worker.invoke(functions["scheduled_sync"], timer_data, "test")
    from pc_core.store.pool import Database

    authorities = Path(str(Database(database)._arguments()["sslrootcert"]))
    ours = [str(package), str(host)]
    outside = sorted(
        name
        for name, module in sys.modules.items()
        if "-packages" in (file := getattr(module, "__file__", None) or "")
        and not file.startswith(str(libraries))
    )
    sys.stdout.write(
        json.dumps(
            {
                "functions": sorted(functions),
                "health": [
                    str(health.http.status_code),
                    json.loads(health.http.body.bytes),
                ],
                "heavy_at_health": [n for n in ("psycopg", "msal") if n in loaded_for_health],
                "failure": fired.failure,
                "lines": [json.loads(line) for line in lines],
                "path": [each for each in sys.path if each not in ours],
                "outside": outside,
                "authorities": [str(authorities), authorities.is_file()],
            }
        )
    )
    sys.stdout.flush()
    # The worker's thread pool would hold up an ordinary exit.
    os._exit(0)


asyncio.run(main())
