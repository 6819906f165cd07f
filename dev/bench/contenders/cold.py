"""One cold start: import an app, then have it answer a first request on the worker library."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Arguments: the app's folder, the function's name, the method, the file for the result."""
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    app, name, method, file = sys.argv[1:]
    sys.path.insert(0, app)
    __import__("function_app")
    measured = {
        "import_s": time.monotonic() - began_s,
        "import_cpu_s": time.process_time() - began_cpu_s,
    }

    import asyncio  # what an app imports counts for the app

    measured |= asyncio.run(_answer(Path(app), name, method))
    Path(file).write_text(json.dumps(measured), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)


async def _answer(app: Path, name: str, method: str) -> dict[str, Any]:
    """How long the first answer takes once the functions are indexed, and its status."""
    from dev.host.messages import Message, TypedData
    from dev.host.worker import Worker

    worker = Worker(app)
    functions = {function.name: function for function in await worker.start()}
    ready_s, ready_cpu_s = time.monotonic(), time.process_time()
    request = Message(
        method=method,
        url=f"http://localhost/{name}",
        headers={
            "host": "localhost",
            "content-type": "application/json",
            "x-api-key": os.environ.get("HUNTER_API_KEY", ""),
        },
        body=TypedData(bytes=b"{}") if method == "POST" else TypedData(),
        params={},
        query={},
    )
    outcome = await worker.invoke(functions[name], TypedData(http=request), "measured")
    return {
        "answer_s": time.monotonic() - ready_s,
        "answer_cpu_s": time.process_time() - ready_cpu_s,
        "status": str(outcome.value.http.status_code if outcome.value is not None else None),
    }


if __name__ == "__main__":
    main()
