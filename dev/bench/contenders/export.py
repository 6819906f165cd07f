"""One export: ask an app for the whole list as CSV, part by part, on the worker library."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from dev.bench.stopwatch import peak_bytes
from dev.folders import CLONE
from dev.host.messages import Message, TypedData
from dev.host.worker import Worker


async def main() -> None:
    """Argument: the file for the result."""
    [file] = sys.argv[1:]
    worker = Worker(CLONE)
    functions = {function.name: function for function in await worker.start()}
    query: dict[str, str] | None = {"format": "csv"}
    rows = size = 0
    took_ms = []
    while query is not None:
        began_s = time.monotonic()
        outcome = await worker.invoke(functions["referrals"], _request(query), "measured")
        took_ms.append((time.monotonic() - began_s) * 1000)
        answer = outcome.value.http if outcome.value is not None else None
        if answer is None or answer.status_code != "200":
            raise SystemExit(f"no part of the export: {outcome}")
        rows += int(answer.headers["X-Row-Count"])
        size += len(answer.body.bytes)
        link = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
        query = dict(parse_qsl(urlsplit(link).query)) if link else None
    took_ms.sort()
    measured = {
        "rows": rows,
        "bytes": size,
        "parts": len(took_ms),
        "work_s": sum(took_ms) / 1000,
        "p50_ms": took_ms[len(took_ms) // 2],
        "longest_ms": took_ms[-1],
        "peak_bytes": peak_bytes(),
    }
    Path(file).write_text(json.dumps(measured), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)


def _request(query: dict[str, str]) -> TypedData:
    return TypedData(
        http=Message(
            method="GET",
            url="http://localhost/api/v1/partner-center/referrals",
            headers={"host": "localhost", "x-api-key": os.environ["HUNTER_API_KEY"]},
            body=TypedData(),
            params={},
            query=query,
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
