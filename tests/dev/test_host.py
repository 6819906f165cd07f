"""The local host behaves as the real one, shown on a small app."""

import base64
import http.client
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev.folders import CLONE
from dev.services.host import HostProcess
from dev.services.processes import ServiceError, Supervisor

SAMPLE = CLONE / "tests" / "dev" / "sample_app"
NEVER = "0 0 0 1 1 *"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def content(self) -> dict[str, object]:
        """The body as a JSON object."""
        found: dict[str, object] = json.loads(self.body)
        return found


def ask(
    host: HostProcess,
    method: str,
    path: str,
    body: bytes | Iterator[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    try:
        connection.request(
            method, path, body, {"Host": f"localhost:{host.port}", **(headers or {})}
        )
        answer = connection.getresponse()
        return Reply(status=answer.status, headers=answer.getheaders(), body=answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def host(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> HostProcess:
    """The sample app, whose timer does not fire by itself."""
    folder = tmp_path_factory.mktemp("host")
    return HostProcess.start(
        supervisor,
        folder,
        app=SAMPLE,
        settings={"SAMPLE_SCHEDULE": NEVER, "SAMPLE_TICKS": str(folder / "ticks")},
        added_headers={"X-API-Key": "of this run"},
    )


def ticks(folder: Path) -> list[dict[str, object]]:
    """What the sample's timer noted."""
    path = folder / "ticks"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_ticks(folder: Path, count: int, timeout_s: float = 15.0) -> list[dict[str, object]]:
    """Wait until the timer has run `count` times."""
    deadline = time.monotonic() + timeout_s
    while len(ticks(folder)) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return ticks(folder)


# Requests


RECORDED = (CLONE / "tests/shapes/functions_host/answers.jsonl").read_text("utf-8").splitlines()
"""What Microsoft's Functions host 4.1037 did with a request, recorded in 2026, one a line.

`differs_here` says why this host does something else.
"""

OF_THE_SERVER = {"date", "server", "connection", "content-length", "transfer-encoding"}


def send(host: HostProcess, request: Mapping[str, Any]) -> Reply:
    """Send a request exactly as it was recorded."""
    body = base64.b64decode(request.get("body_base64", "")) or request.get("body", "").encode()
    if request.get("body_is") == "1000000 times 1":
        body = b"1" * 1_000_000
    headers = [("Host", request.get("host", f"localhost:{host.port}")), *request.get("headers", ())]
    if body and not request.get("sent_as_is"):
        headers.append(("Content-Length", str(len(body))))
    version = request.get("version", "HTTP/1.1")
    head = [f"{request['method']} {request['target']} {version}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers if name != "Connection"]
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        answer = http.client.HTTPResponse(connection, method=request["method"])
        answer.begin()
        return Reply(status=answer.status, headers=answer.getheaders(), body=answer.read())


def is_as_recorded(reply: Reply, answer: Mapping[str, Any]) -> bool:
    """Whether a reply is the recorded answer; of a 400 only the status counts."""
    if reply.status == 400:
        return bool(answer["status"] == 400)
    headers = {name.lower(): text for name, text in reply.headers}
    told = {name: text for name, text in headers.items() if name not in OF_THE_SERVER}
    if "function_saw" in answer:
        saw = json.loads(reply.body)
        saw["headers"].pop("x-api-key", None)  # added for callers from this machine
        is_same = saw == answer["function_saw"]
    else:
        body = base64.b64decode(answer.get("body_base64", "")) or answer.get("body", "").encode()
        is_same = reply.body == body
    return is_same and (reply.status, told) == (answer["status"], answer["headers"])


@pytest.mark.parametrize("line", RECORDED)
def test_the_host_answers_as_the_real_one(host: HostProcess, line: str) -> None:
    recorded = json.loads(line.replace("PORT", str(host.port)))

    reply = send(host, recorded["request"])

    assert is_as_recorded(reply, recorded["answer"]) is ("differs_here" not in recorded), reply


def test_a_body_arrives_and_returns_byte_for_byte(host: HostProcess) -> None:
    body = bytes(range(256)) * 4096

    reply = ask(host, "POST", "/bytes", body)

    assert reply.body == body
    assert reply.values("content-length") == [str(len(body))]
    assert reply.values("content-type") == ["application/octet-stream"]


def test_a_body_above_the_limit_is_refused_before_it_is_read(host: HostProcess) -> None:
    reply = ask(host, "POST", "/bytes", b"", {"Content-Length": "999999999999"})

    assert reply.status == 413


def test_the_traceback_of_an_exception_is_logged(host: HostProcess) -> None:
    assert ask(host, "GET", "/give/what_it_does_not_know").status == 500
    log = host.child.log.read_text()
    assert "KeyError: 'what_it_does_not_know'" in log
    assert 'GIVEN[req.route_params["what"]]' in log


def test_an_interrupt_inside_a_function_fails_that_invocation_alone(host: HostProcess) -> None:
    reply = ask(host, "GET", "/interrupted")

    assert (reply.status, reply.body) == (500, b"")
    assert ask(host, "GET", "/").body == b"home"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 404),
        ("POST", "/Case/Sensitive", 404),
        ("TRACE", "/echo", 404),
        ("MADEUP", "/echo", 404),
        ("GET", "/api/echo", 404),
    ],
)
def test_a_request_finds_its_function_or_nothing(
    host: HostProcess, method: str, path: str, status: int
) -> None:
    assert ask(host, method, path).status == status


def test_of_two_fitting_routes_the_function_first_by_name_answers(host: HostProcess) -> None:
    assert ask(host, "GET", "/first/exact").body == b"a_first"


# The header that dev adds


def seen_key(reply: Reply) -> object:
    headers = reply.content()["headers"]
    assert isinstance(headers, dict)
    return headers.get("x-api-key")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_caller_from_this_machine_gets_the_key_added(host: HostProcess, name: str) -> None:
    own = f"{name}:{host.port}"

    assert seen_key(ask(host, "GET", "/echo", headers={"Host": own})) == "of this run"
    page = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
    assert seen_key(ask(host, "POST", "/echo", headers=page)) == "of this run"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "localhost.evil.example:{port}"},
        {"Host": "localhost:1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_foreign_name_or_page_gets_no_key(host: HostProcess, headers: dict[str, str]) -> None:
    filled = {name: value.replace("{port}", str(host.port)) for name, value in headers.items()}

    assert seen_key(ask(host, "POST", "/echo", headers=filled)) is None
    assert ask(host, "POST", "/admin/functions/tick", headers=filled).status == 401


def test_a_key_that_the_caller_sends_stays(host: HostProcess) -> None:
    assert seen_key(ask(host, "GET", "/echo", headers={"X-API-Key": "mine"})) == "mine"


# Running


def test_functions_run_side_by_side_and_know_their_invocation(host: HostProcess) -> None:
    began_s = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: ask(host, "GET", "/slow"), range(4)))

    assert time.monotonic() - began_s < 1.5
    invocation_ids = {reply.body.decode() for reply in replies}
    assert len(invocation_ids) == 4
    log = host.child.log.read_text()
    assert all(f"[{invocation_id}] INFO slow on" in log for invocation_id in invocation_ids)


# Timers


def test_a_timer_fires_by_hand(host: HostProcess) -> None:
    reply = ask(host, "POST", "/admin/functions/TICK", b"{}")

    assert reply.status == 202
    assert len(wait_for_ticks(host.child.log.parent, 1)) == 1
    assert ask(host, "POST", "/admin/functions/nobody", b"{}").status == 404


def test_a_failing_timer_keeps_firing(supervisor: Supervisor, tmp_path: Path) -> None:
    settings = {
        "SAMPLE_SCHEDULE": "* * * * * *",
        "SAMPLE_TICKS": str(tmp_path / "ticks"),
        "SAMPLE_TICK_FAILS": "yes",
    }
    host = HostProcess.start(supervisor, tmp_path, app=SAMPLE, settings=settings)

    seen = wait_for_ticks(tmp_path, 3)
    supervisor.stop(host.child)

    assert len(seen) >= 3
    assert [tick["past_due"] for tick in seen] == [False] * len(seen)
    assert "RuntimeError: tick failed on purpose" in host.child.log.read_text()


def test_a_slow_timer_runs_one_at_a_time_and_learns_that_it_is_late(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    settings = {
        "SAMPLE_SCHEDULE": "* * * * * *",
        "SAMPLE_TICKS": str(tmp_path / "ticks"),
        "SAMPLE_TICK_DURATION_S": "2.5",
    }
    host = HostProcess.start(supervisor, tmp_path, app=SAMPLE, settings=settings)

    seen = wait_for_ticks(tmp_path, 3)
    supervisor.stop(host.child)

    starts_s = [float(str(tick["at_s"])) for tick in seen]
    assert all(later - earlier >= 2.4 for earlier, later in itertools.pairwise(starts_s))
    assert seen[0]["past_due"] is False


# Starting and ending


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("function_app.py", "import made_up_module\n", "No module named 'made_up_module'"),
        ("function_app.py", "x = (\n", "SyntaxError"),
        ("function_app.py", None, "no function_app.py"),
        ("host.json", "{", "no proper JSON"),
        ("host.json", None, "cannot be read"),
    ],
)
def test_a_broken_app_ends_the_host_with_the_reason(
    supervisor: Supervisor, tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text((SAMPLE / "function_app.py").read_text())
    if text is None:
        (app / name).unlink()
    else:
        (app / name).write_text(text)

    with pytest.raises(ServiceError, match=reason) as caught:
        HostProcess.start(supervisor, tmp_path, app=app, settings={"SAMPLE_SCHEDULE": NEVER})

    assert "ended with status 1" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "'%SAMPLE_SCHEDULE%' does not resolve to a value."),
        ({"SAMPLE_SCHEDULE": "*/10 * * * *"}, "with one it is 0 */10 * * * *"),
        ({"SAMPLE_SCHEDULE": NEVER, "AzureWebJobs.tick.Disabled": "true"}, ""),
    ],
)
def test_a_timer_that_cannot_fire_leaves_the_rest_served(
    supervisor: Supervisor, tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    host = HostProcess.start(supervisor, tmp_path, app=SAMPLE, settings=settings)

    served = ask(host, "GET", "/")
    fired = ask(host, "POST", "/admin/functions/tick", b"{}")
    supervisor.stop(host.child)

    assert (served.status, fired.status) == (200, 404)
    log = host.child.log.read_text()
    assert reason in log
    assert ("The 'tick' function is in error" in log) is bool(reason)


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A ready host that nothing supervises, and its port file; ended at the end."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps({"Values": {"SAMPLE_SCHEDULE": NEVER}}))
    port_file = folder / "port.json"
    command = [
        *(sys.executable, "-m", "dev.host", "--app", str(SAMPLE), "--port", "0"),
        *("--settings", str(settings), "--port-file", str(port_file), *options),
    ]
    with subprocess.Popen(
        command, cwd=CLONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            while not port_file.exists() and process.poll() is None:
                time.sleep(0.01)
            yield process, port_file
        finally:
            process.kill()


def test_sigterm_ends_the_host_cleanly(tmp_path: Path) -> None:
    with started(tmp_path) as (process, port_file):
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert "Stopping: SIGTERM." in output
    assert port_file.stat().st_mode & 0o077 == 0


def test_a_signal_that_does_not_interrupt_the_wait_for_it_ends_the_host_too(
    tmp_path: Path,
) -> None:
    with started(tmp_path) as (process, port_file):
        port = json.loads(port_file.read_text(encoding="utf-8"))["port"]
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("POST", "/stop", headers={"Host": f"localhost:{port}"})
            status = connection.getresponse().status
        output, _ = process.communicate(timeout=10)

    assert (process.returncode, status) == (0, 204)
    assert "Stopping: SIGTERM." in output
