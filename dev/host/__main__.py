"""`python -m dev.host --app FOLDER`: run a function app on 127.0.0.1."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from dev.host import configuration
from dev.host.errors import HostError
from dev.host.http import Endpoint, Site
from dev.host.timers import Timer
from dev.host.worker import Function, Worker
from dev.services.processes import write_private
from dev.services.stopping import Stop
from pc_core.schedule import check_schedule

log = logging.getLogger("host")

GRACE_S = 3
IDLE_TIMEOUT_S = 130
WAITING_CALLERS = 128


def _absolute(path: str) -> Path:
    # The host changes into the app's folder.
    return Path(path).absolute()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.host", description=__doc__)
    parser.add_argument("--app", type=Path, default=Path(), help="folder with function_app.py")
    parser.add_argument("--port", type=int, default=7071, help="0 picks a free one")
    parser.add_argument("--port-file", type=_absolute, help="JSON: port and pid, once it serves")
    parser.add_argument("--settings", type=Path, help="a file like local.settings.json")
    parser.add_argument(
        "--added-headers-file",
        type=Path,
        help="a JSON object of headers that functions get too, for callers from this machine",
    )
    return parser


class Server(uvicorn.Server):
    """Leaves the signals to `Stop`, which also takes SIGHUP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


def _configure_logging() -> None:
    from azure_functions_runtime import invocation_id_cv

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            text = super().format(record)
            invocation_id = invocation_id_cv.get()
            return text if invocation_id is None else text.replace("] ", f"] [{invocation_id}] ", 1)

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Formatter("[%(asctime)s] %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # The worker library's own notes, which Azure keeps apart from the app's, and the server's.
    logging.getLogger("azure.functions").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _apply_settings(path: Path | None, port: int) -> None:
    values = {} if path is None else configuration.read_settings(path)
    values |= {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "WEBSITE_HOSTNAME": f"localhost:{port}",
    }
    for key, value in values.items():
        os.environ.setdefault(key, value)


def _is_enabled(function: Function) -> bool:
    setting = os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "")
    return setting.lower() not in {"true", "1"}


def _timer(worker: Worker, function: Function) -> Timer | None:
    """The timer of a function; None, and a line in the log, where its schedule is unusable."""
    try:
        schedule = configuration.resolve(function.trigger["schedule"], os.environ)
        check_schedule(schedule)
    except (HostError, ValueError) as error:
        # As in Azure, the functions without a fault are served all the same.
        where = f"The '{function.name}' function is in error: schedule"
        log.error("%s %s: %s", where, function.trigger["schedule"], error)  # noqa: TRY400
        return None
    return Timer(worker=worker, function=function, schedule=schedule)


async def _site(options: argparse.Namespace, worker: Worker, port: int) -> Site:
    app = options.app.resolve()
    _apply_settings(options.settings, port)
    prefix = configuration.read_route_prefix(app)
    added = options.added_headers_file
    added_headers = {} if added is None else configuration.read_texts(added)
    os.chdir(app)
    functions = [function for function in await worker.start() if _is_enabled(function)]
    timers = [
        timer
        for function in functions
        if function.trigger["type"] == "timerTrigger"
        and (timer := _timer(worker, function)) is not None
    ]
    return Site(
        worker=worker,
        endpoints=[
            Endpoint.of(function, prefix)
            for function in functions
            if function.trigger["type"] == "httpTrigger"
        ],
        timers={timer.function.name: timer for timer in timers},
        added_headers=added_headers,
        port=port,
    )


def _announce(site: Site, port_file: Path | None) -> None:
    for endpoint in site.endpoints:
        methods, path = ",".join(sorted(endpoint.methods)), endpoint.route.template.strip("/")
        log.info(
            "%s: [%s] http://localhost:%d/%s", endpoint.function.name, methods, site.port, path
        )
    for name in site.timers:
        log.info("%s: timerTrigger", name)
    if port_file is not None:
        write_private(port_file, json.dumps({"port": site.port, "pid": os.getpid()}))


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal or the parent's end; returns the exit code."""
    options = _parser().parse_args(arguments)
    stop = Stop()
    try:
        with _listen(options.port) as listener:
            asyncio.run(_serve(options, listener, stop))
    except HostError as error:
        print(f"The host could not start: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _listen(port: int) -> socket.socket:
    try:
        # Callers may come at once; they wait until the app is loaded.
        return socket.create_server(("127.0.0.1", port), backlog=WAITING_CALLERS)
    except OSError as error:
        raise HostError(f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}") from None


async def _serve(options: argparse.Namespace, listener: socket.socket, stop: Stop) -> None:
    worker = Worker(options.app.resolve())
    _configure_logging()
    site = await _site(options, worker, listener.getsockname()[1])
    server = Server(
        uvicorn.Config(
            site,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=WAITING_CALLERS,
            timeout_keep_alive=IDLE_TIMEOUT_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    timers = [asyncio.create_task(timer.keep_time()) for timer in site.timers.values()]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    _announce(site, options.port_file)
    stopped = _stopped(stop)
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    for timer in timers:
        timer.cancel()
    _, is_idle = await asyncio.gather(serving, worker.wait_until_idle(GRACE_S))
    if not is_idle:
        log.warning("A function was still running and is cut off, as when Azure ends an instance.")


def _stopped(stop: Stop) -> "asyncio.Future[None]":
    """Is done once the host is to end."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def wait() -> None:
        log.info("Stopping: %s.", stop.wait())
        loop.call_soon_threadsafe(stopped.set_result, None)

    # The loop wakes often by itself, so that Python gets to see a signal that another thread took.
    threading.Thread(target=wait, name="stop", daemon=True).start()
    return stopped


def _leave(status: int) -> None:
    # A function that still runs on the worker's thread pool would hold up an ordinary exit.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
