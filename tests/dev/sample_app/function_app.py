"""A small function app that shows what a host does with requests, answers and timers.

`echo`, `one`, `two`, `literal` and `give` answer as the app did whose answers were recorded in
tests/shapes/functions_host.
"""

import base64
import json
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import azure.functions as func

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
GIVEN: dict[str, dict[str, Any]] = {
    "204": {"status_code": 204},
    "204body": {"body": "x", "status_code": 204},
    "299": {"body": "x", "status_code": 299},
    "304": {"body": "x", "status_code": 304},
    "401": {"body": "x", "status_code": 401, "headers": {"WWW-Authenticate": "Bearer a"}},
    "429": {"body": "x", "status_code": 429, "headers": {"Retry-After": "5"}},
    "503": {"body": "x", "status_code": 503},
    "alldots": {
        "body": "x",
        "headers": {"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=1"},
    },
    "bytes": {"body": b"\x00\xff"},
    "ct": {"body": "{}", "headers": {"Content-Type": "application/x-a"}},
    "empty": {},
    "etag": {
        "body": "x",
        "headers": {
            "ETag": '"a"',
            "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT",
            "Cache-Control": "max-age=5",
        },
    },
    "gz": {"body": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}},
    "hdr": {"body": "x", "headers": {"X-A": "1", "x-b": " sp ", "X-C": ""}},
    "hdrn": {"body": "x", "headers": {"X-A": "a\nb"}},
    "hdru": {"body": "x", "headers": {"X-A": "ü"}},
    "loc": {"status_code": 302, "headers": {"Location": "/a?b=c d"}},
    "mime": {"body": "{}", "mimetype": "application/json"},
    "str": {"body": "hé"},
}

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
log = logging.getLogger("sample")


def _show(req: func.HttpRequest) -> func.HttpResponse:
    body = req.get_body()
    content = {
        "method": req.method,
        "url": req.url,
        "params": dict(req.params),
        "route": dict(req.route_params),
        "headers": {name: text for name, text in req.headers.items() if name != "connection"},
        "body": base64.b64encode(body).decode()[:300],
        "n": len(body),
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


@app.route("echo/{*rest}", methods=METHODS)
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Everything about the request, as JSON."""
    return _show(req)


@app.route("one/{a}", methods=METHODS)
def one(req: func.HttpRequest) -> func.HttpResponse:
    """One part of the path."""
    return _show(req)


@app.route("one/{a}/{b}", methods=METHODS)
def two(req: func.HttpRequest) -> func.HttpResponse:
    """Two parts of the path."""
    return _show(req)


@app.route("Case/Sensitive", methods=["GET"])
def literal(req: func.HttpRequest) -> func.HttpResponse:
    """A route of literals."""
    return _show(req)


@app.route("give/{what}", methods=METHODS)
def give(req: func.HttpRequest) -> func.HttpResponse:
    """The answer that is asked for; an exception for a name that it does not know."""
    return func.HttpResponse(**GIVEN[req.route_params["what"]])


@app.route("/", methods=["GET"])
def home(req: func.HttpRequest) -> func.HttpResponse:
    """The root."""
    return func.HttpResponse("home")


@app.route("bytes", methods=["POST"])
def exact_bytes(req: func.HttpRequest) -> func.HttpResponse:
    """The body as it came."""
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route("interrupted", methods=["GET"])
def interrupted(req: func.HttpRequest) -> func.HttpResponse:
    """An exception that is no `Exception`."""
    raise KeyboardInterrupt


@app.route("slow", methods=["GET"])
def slow(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Half a second on the thread pool."""
    log.info("slow on %s", threading.current_thread().name)
    time.sleep(0.5)
    return func.HttpResponse(context.invocation_id)


@app.route("stop", methods=["POST"])
def stop(req: func.HttpRequest) -> func.HttpResponse:
    """SIGTERM, taken by the thread of this function: the main thread's wait goes on."""
    signal.raise_signal(signal.SIGTERM)
    return func.HttpResponse(status_code=204)


@app.route("first/{anything}", methods=["GET"])
def a_first(req: func.HttpRequest) -> func.HttpResponse:
    """Comes before `z_second` by its name."""
    return func.HttpResponse("a_first")


@app.route("first/exact", methods=["GET"])
def z_second(req: func.HttpRequest) -> func.HttpResponse:
    """Hidden by `a_first`."""
    return func.HttpResponse("z_second")


@app.timer_trigger(arg_name="timer", schedule="%SAMPLE_SCHEDULE%", run_on_startup=False)
def tick(timer: func.TimerRequest) -> None:
    """Notes each run, then fails or dawdles when told to."""
    with Path(os.environ["SAMPLE_TICKS"]).open("a", encoding="utf-8") as ticks:
        ticks.write(json.dumps({"at_s": time.time(), "past_due": timer.past_due}) + "\n")
    time.sleep(float(os.environ.get("SAMPLE_TICK_DURATION_S", "0")))
    if os.environ.get("SAMPLE_TICK_FAILS"):
        raise RuntimeError("tick failed on purpose")
