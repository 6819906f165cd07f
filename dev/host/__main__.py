"""`python -m dev.host --app FOLDER`: run a function app on 127.0.0.1."""

import argparse
import json
import logging
import os
import secrets
import sys
import threading
from pathlib import Path

from dev.host import configuration, schedules
from dev.host.errors import HostError
from dev.host.http import Endpoint, Keys, Server, Site
from dev.host.timers import Timer
from dev.host.worker import Function, Worker
from dev.services.processes import write_private
from dev.services.stopping import Stop

log = logging.getLogger("host")

GRACE_S = 3.0
HOME_PAGE_SETTING = "AzureWebJobsDisableHomepage"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.host", description=__doc__)
    parser.add_argument("--app", type=Path, default=Path(), help="folder with function_app.py")
    parser.add_argument("--port", type=int, default=7071, help="0 picks a free one")
    parser.add_argument("--port-file", type=Path, help="JSON: port, pid, keys, once it is ready")
    parser.add_argument("--settings", type=Path, help="a file like local.settings.json")
    parser.add_argument(
        "--add-header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="hand this header to the functions too, for callers from this machine",
    )
    parser.add_argument(
        "--added-headers-file",
        type=Path,
        help="a JSON object of such headers, for those that nobody may read in a process list",
    )
    parser.add_argument("--function-key", default="", help="the key for auth level function")
    parser.add_argument("--master-key", default="", help="the key for auth level admin")
    parser.add_argument("--exit-with-parent", type=int, metavar="PID", help="end when PID ends")
    return parser


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
    # The worker library's own notes, which Azure keeps apart from the app's.
    logging.getLogger("azure.functions").setLevel(logging.WARNING)


def _apply_settings(path: Path | None, port: int) -> None:
    values = {} if path is None else configuration.read_settings(path)
    values |= {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "WEBSITE_HOSTNAME": f"localhost:{port}",
    }
    for key, value in values.items():
        os.environ.setdefault(key, value)


def _added_headers(texts: list[str], path: Path | None) -> dict[str, str]:
    headers = {} if path is None else configuration.read_texts(path)
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise HostError("--add-header needs 'NAME: VALUE'.")
        headers[name.strip()] = value.strip()
    return headers


def _is_enabled(function: Function) -> bool:
    setting = os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "")
    return setting.lower() not in {"true", "1"}


def _timer(worker: Worker, function: Function) -> Timer:
    where = f"The timer of function {function.name}"
    schedule = configuration.resolve(function.trigger["schedule"], os.environ, where)
    return Timer(
        worker=worker,
        function=function,
        schedule=schedules.parse(schedule),
        run_on_startup=bool(function.trigger.get("runOnStartup")),
    )


def _site(options: argparse.Namespace, server: Server, worker: Worker) -> Site:
    app = options.app.resolve()
    _apply_settings(options.settings, server.port)
    host = configuration.read_host_json(app)
    os.chdir(app)
    functions = [function for function in worker.start() if _is_enabled(function)]
    if not functions:
        raise HostError(f"{app} has no function with an HTTP or timer trigger.")
    http = [function for function in functions if function.trigger["type"] == "httpTrigger"]
    timers = [function for function in functions if function.trigger["type"] == "timerTrigger"]
    return Site(
        worker=worker,
        endpoints=[Endpoint.of(function, host.route_prefix) for function in http],
        timers={function.name: _timer(worker, function) for function in timers},
        keys=Keys(
            function=options.function_key or secrets.token_urlsafe(32),
            master=options.master_key or secrets.token_urlsafe(32),
        ),
        custom_headers=host.custom_headers,
        added_headers=_added_headers(options.add_header, options.added_headers_file),
        has_home_page=os.environ.get(HOME_PAGE_SETTING, "").lower() != "true",
        port=server.port,
    )


def _announce(site: Site, port_file: Path | None) -> None:
    for endpoint in site.endpoints:
        methods = ",".join(sorted(endpoint.methods)) or "ANY"
        path = endpoint.route.template.strip("/")
        log.info(
            "%s: [%s] http://localhost:%d/%s", endpoint.function.name, methods, site.port, path
        )
    for name in site.timers:
        log.info("%s: timerTrigger", name)
    if port_file is not None:
        content = {
            "port": site.port,
            "pid": os.getpid(),
            "function_key": site.keys.function,
            "master_key": site.keys.master,
        }
        write_private(port_file, json.dumps(content))


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal or the parent's end; returns the exit code."""
    options = _parser().parse_args(arguments)
    stop = Stop()
    for name in ("port_file", "settings", "added_headers_file"):
        if getattr(options, name) is not None:
            setattr(options, name, getattr(options, name).absolute())
    try:
        with Server(options.port) as server:
            return _serve(options, server, stop)
    except HostError as error:
        print(f"The host could not start: {error}", file=sys.stderr, flush=True)
        return 1


def _serve(options: argparse.Namespace, server: Server, stop: Stop) -> int:
    worker = Worker(options.app.resolve())
    stopping = threading.Event()
    _configure_logging()
    site = server.site = _site(options, server, worker)
    work = [threading.Thread(target=server.serve_forever, name="http", daemon=True)]
    for name, timer in site.timers.items():
        work.append(
            threading.Thread(target=timer.keep_time, args=(stopping,), name=name, daemon=True)
        )
    for thread in work:
        thread.start()
    _announce(site, options.port_file)
    log.info("Stopping: %s.", stop.wait(options.exit_with_parent))
    stopping.set()
    server.shutdown()
    if not worker.wait_until_idle(GRACE_S):
        log.warning("A function was still running and is cut off, as when Azure ends an instance.")
    return 0


def _leave(status: int) -> None:
    # A function that still runs on the worker's thread pool would hold up an ordinary exit.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main())
