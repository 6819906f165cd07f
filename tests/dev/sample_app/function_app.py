"""A small function app that shows what a host does with requests, answers and timers."""

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
log = logging.getLogger("sample")


@app.route(route="echo", methods=["GET", "POST", "PUT"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Everything about the request, as JSON."""
    content = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(content), mimetype="application/json")


@app.route(route="bytes", methods=["POST"])
def exact_bytes(req: func.HttpRequest) -> func.HttpResponse:
    """The body as it came."""
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route(route="teapot", methods=["GET"])
def teapot(req: func.HttpRequest) -> func.HttpResponse:
    """A status, headers and cookies of its own."""
    response = func.HttpResponse(
        "short and stout", status_code=418, headers={"X-Mark": "own", "X-Two": "2"}
    )
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure")
    response.headers.add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT")
    return response


@app.route(route="nothing", methods=["DELETE"])
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    """A 204."""
    return func.HttpResponse(status_code=204)


@app.route(route="text", methods=["GET"])
def text(req: func.HttpRequest) -> str:
    """A plain text instead of a response."""
    return "grüß"


@app.route(route="Items/{item_id:int}/{part?}", methods=["GET"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    """Route parameters."""
    return func.HttpResponse(json.dumps(dict(req.route_params)))


@app.route(route="files/{*path}", methods=["GET"])
def files(req: func.HttpRequest) -> func.HttpResponse:
    """A catch-all."""
    return func.HttpResponse(json.dumps(dict(req.route_params)))


@app.route(route="/", methods=["GET"])
def home(req: func.HttpRequest) -> func.HttpResponse:
    """The root."""
    return func.HttpResponse("home")


@app.route(route="keyed", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
def keyed(req: func.HttpRequest) -> func.HttpResponse:
    """Behind a function key."""
    return func.HttpResponse("in")


@app.route(route="mastered", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
def mastered(req: func.HttpRequest) -> func.HttpResponse:
    """Behind the master key."""
    return func.HttpResponse("in")


@app.route(route="broken", methods=["GET"])
def broken(req: func.HttpRequest) -> func.HttpResponse:
    """An exception."""
    raise ValueError("broken on purpose")


@app.route(route="split", methods=["GET"])
def split(req: func.HttpRequest) -> func.HttpResponse:
    """A header that would smuggle another one in."""
    return func.HttpResponse("x", headers={"X-A": "1\r\nX-B: 2"})


@app.route(route="slow", methods=["GET"])
def slow(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Half a second on the thread pool."""
    time.sleep(0.5)
    log.info("slow on %s", threading.current_thread().name)
    return func.HttpResponse(context.invocation_id)


@app.route(route="stop", methods=["POST"])
def stop(req: func.HttpRequest) -> func.HttpResponse:
    """SIGTERM, taken by the thread of this function: the main thread's wait goes on."""
    signal.raise_signal(signal.SIGTERM)
    return func.HttpResponse(status_code=204)


@app.route(route="first/{anything}", methods=["GET"])
def a_first(req: func.HttpRequest) -> func.HttpResponse:
    """Comes before `z_second` by its name."""
    return func.HttpResponse("a_first")


@app.route(route="first/exact", methods=["GET"])
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
