"""The local host behaves as the real one, shown on a small app."""

import http.client
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

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


def test_a_function_gets_method_address_query_headers_and_body(host: HostProcess) -> None:
    reply = ask(
        host, "POST", "/echo?a=1&A=2&empty=&t=%C3%BC", b"\x00\xff", {"X-Two": "a", "Accept": "b"}
    )

    content = reply.content()
    assert content["method"] == "POST"
    assert content["url"] == f"http://localhost:{host.port}/echo?a=1&A=2&empty=&t=%C3%BC"
    assert content["query"] == {"a": "1,2", "t": "ü"}
    assert content["body"] == "\x00\xff"
    headers = content["headers"]
    assert isinstance(headers, dict)
    assert headers["x-two"] == "a"
    assert headers["accept"] == "b"


def test_a_body_arrives_and_returns_byte_for_byte(host: HostProcess) -> None:
    body = bytes(range(256)) * 4096

    reply = ask(host, "POST", "/bytes", body)

    assert reply.body == body
    assert reply.values("content-length") == [str(len(body))]
    assert reply.values("content-type") == ["application/octet-stream"]


def test_a_chunked_body_is_dropped_as_in_azure(host: HostProcess) -> None:
    reply = ask(host, "POST", "/echo", iter([b"abc", b"def"]))

    assert reply.status == 200
    assert reply.content()["body"] == ""


def test_a_body_above_the_limit_is_refused_before_it_is_read(host: HostProcess) -> None:
    reply = ask(host, "POST", "/bytes", b"", {"Content-Length": "999999999999"})

    assert reply.status == 413


# Answers


def test_status_headers_and_cookies_come_through(host: HostProcess) -> None:
    reply = ask(host, "GET", "/teapot")

    assert (reply.status, reply.body) == (418, b"short and stout")
    assert reply.values("content-type") == ["text/plain; charset=utf-8"]
    assert reply.values("x-two") == ["2"]
    first, second = reply.values("set-cookie")
    assert first.split("; ")[0] == "a=1"
    assert {"path=/", "secure", "httponly", "samesite=lax", "max-age=60"} <= set(first.split("; "))
    assert second.startswith("b=2; expires=Wed, 21 Oct 2037")


def test_host_json_adds_headers_to_every_answer_but_not_over_the_apps_own(
    host: HostProcess,
) -> None:
    assert ask(host, "GET", "/teapot").values("x-mark") == ["own"]
    assert ask(host, "GET", "/text").values("x-mark") == ["from host.json"]
    assert ask(host, "GET", "/no/such/route").values("x-content-type-options") == ["nosniff"]


def test_a_plain_text_is_an_answer(host: HostProcess) -> None:
    reply = ask(host, "GET", "/text")

    assert (reply.status, reply.body.decode()) == (200, "grüß")


def test_no_content_has_no_body_and_no_length(host: HostProcess) -> None:
    reply = ask(host, "DELETE", "/nothing")

    assert (reply.status, reply.body) == (204, b"")
    assert reply.values("content-length") == []


def test_an_exception_is_an_empty_500_and_its_traceback_is_logged(host: HostProcess) -> None:
    reply = ask(host, "GET", "/broken")

    assert (reply.status, reply.body) == (500, b"")
    log = host.child.log.read_text()
    assert "ValueError: broken on purpose" in log
    assert 'raise ValueError("broken on purpose")' in log


def test_a_header_cannot_smuggle_another_one_in(host: HostProcess) -> None:
    reply = ask(host, "GET", "/split")

    assert reply.status == 500
    assert reply.values("x-b") == []


# Routes


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/ITEMS/5", 200),
        ("GET", "/items/five", 404),
        ("POST", "/items/5", 404),
        ("HEAD", "/text", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/text", 404),
        ("GET", "/no/such/route", 404),
    ],
)
def test_a_request_finds_its_function_or_nothing(
    host: HostProcess, method: str, path: str, status: int
) -> None:
    assert ask(host, method, path).status == status


def test_route_parameters_arrive(host: HostProcess) -> None:
    assert ask(host, "GET", "/items/5/a%20b/").content() == {"item_id": "5", "part": "a b"}
    assert ask(host, "GET", "/files/a/b").content() == {"path": "a/b"}


def test_of_two_fitting_routes_the_function_first_by_name_answers(host: HostProcess) -> None:
    assert ask(host, "GET", "/first/exact").body == b"a_first"


# Keys


@pytest.mark.parametrize("path", ["/keyed", "/mastered"])
def test_a_keyed_function_refuses_a_caller_without_a_right_key(
    host: HostProcess, path: str
) -> None:
    assert ask(host, "GET", path).status == 401
    assert ask(host, "GET", path, headers={"x-functions-key": "wrong"}).status == 401
    assert ask(host, "GET", path, headers={"x-functions-key": host.master_key}).status == 200


def test_the_function_key_opens_functions_but_not_admin_ones(host: HostProcess) -> None:
    assert ask(host, "GET", f"/keyed?code={host.function_key}").status == 200
    assert ask(host, "GET", f"/mastered?code={host.function_key}").status == 401


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


def test_the_host_tells_its_status(host: HostProcess) -> None:
    reply = ask(host, "GET", "/admin/host/status")

    assert reply.status == 200
    assert reply.content()["state"] == "Running"


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
        ({}, "no setting SAMPLE_SCHEDULE"),
        ({"SAMPLE_SCHEDULE": "0 0 0 * * 7"}, "'0 0 0 \\* \\* 7'"),
    ],
)
def test_a_schedule_that_azure_would_refuse_ends_the_host(
    supervisor: Supervisor, tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    with pytest.raises(ServiceError, match=reason):
        HostProcess.start(supervisor, tmp_path, app=SAMPLE, settings=settings)


def test_a_function_that_is_switched_off_does_not_answer(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    settings = {
        "SAMPLE_SCHEDULE": NEVER,
        "AzureWebJobs.home.Disabled": "true",
        "AzureWebJobsDisableHomepage": "true",
    }
    host = HostProcess.start(supervisor, tmp_path, app=SAMPLE, settings=settings)

    reply = ask(host, "GET", "/")
    supervisor.stop(host.child)

    assert (reply.status, reply.body) == (204, b"")


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
        output, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert "Stopping: SIGTERM." in output


def test_the_host_ends_with_the_process_that_it_was_bound_to(tmp_path: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent,
        started(tmp_path, "--exit-with-parent", str(parent.pid)) as (process, _),
    ):
        parent.kill()
        output, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert "Stopping: the parent process has ended." in output
