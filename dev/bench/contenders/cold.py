"""One cold start: import an app, then have it answer a first request on the worker library."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path


async def main() -> None:
    """Arguments: the app's folder, the function's name, the method, the file for the result."""
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    app, name, method, file = sys.argv[1:]
    sys.path.insert(0, app)
    __import__("function_app")
    imported_s, imported_cpu_s = time.monotonic(), time.process_time()

    from dev.host.messages import Message, TypedData
    from dev.host.worker import Worker

    worker = Worker(Path(app))
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
    ended_s, ended_cpu_s = time.monotonic(), time.process_time()
    status = outcome.value.http.status_code if outcome.value is not None else None
    measured = {
        "status": str(status),
        "import_s": imported_s - began_s,
        "import_cpu_s": imported_cpu_s - began_cpu_s,
        "answer_s": ended_s - ready_s,
        "answer_cpu_s": ended_cpu_s - ready_cpu_s,
    }
    Path(file).write_text(json.dumps(measured), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
