import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

import function_app
from pc_core.config import Settings
from pc_core.errors import FixSetting
from pc_core.web import openapi
from pc_core.web.exchange import Route
from pc_core.web.routes import health, mini_ui
from tests.registered import FUNCTIONS

ROOT = Path(function_app.__file__).parent


def bindings() -> dict[str, dict[str, Any]]:
    """Each function's trigger, as the worker tells the host."""
    found = {}
    for name, function in FUNCTIONS.items():
        [trigger] = [
            binding
            for binding in function.get_bindings_dict()["bindings"]
            if binding["type"].endswith("Trigger")
        ]
        found[name] = trigger
    return found


def test_every_http_trigger_is_one_route_and_every_route_has_one_trigger() -> None:
    triggers = [
        (trigger["route"], [str(getattr(method, "value", method)) for method in trigger["methods"]])
        for trigger in bindings().values()
        if trigger["type"] == "httpTrigger"
    ]
    routes: list[Route[Any]] = [*openapi.routes(), mini_ui.MINI_UI, mini_ui.HOME]
    assert sorted(triggers) == sorted((route.path, [route.method]) for route in routes)


def test_access_is_decided_by_the_app_alone() -> None:
    levels = {
        str(getattr(trigger["authLevel"], "value", trigger["authLevel"])).upper()
        for trigger in bindings().values()
        if trigger["type"] == "httpTrigger"
    }
    assert levels == {"ANONYMOUS"}


def test_the_timer_runs_on_the_setting_and_never_on_startup() -> None:
    timer = bindings()["scheduled_sync"]
    assert timer["schedule"] == "%HUNTER_PARTNER_CENTER_SYNC_SCHEDULE%"
    assert timer["runOnStartup"] is False
    assert timer["useMonitor"] is True


def test_a_request_of_the_host_becomes_an_answer_of_the_host() -> None:
    class Context:
        invocation_id = "invocation"

    request = func.HttpRequest(
        method="GET",
        url="http://localhost:7071/mini-ui/?x=1",
        headers={"Host": "localhost:7071"},
        params={"x": "1"},
        route_params={"path": ""},
        body=b"",
    )
    answer = FUNCTIONS["mini_ui"].get_user_function()(request, Context())
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.get_body().startswith(b"<!doctype html>")


LOOK = """
import sys
import azure.functions as func
import function_app
class Context: invocation_id = "invocation"
health = {f.get_function_name(): f for f in function_app.app.get_functions()}["health"]
request = func.HttpRequest(method="GET", url="http://localhost/healthz", headers={}, params={},
                           route_params={}, body=b"")
answer = health.get_user_function()(request, Context())
assert answer.status_code == 200
print(" ".join(sorted(sys.modules)))
"""


def test_registering_and_health_load_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {
        "alembic",
        "azure.core",
        "azure.identity",
        "azure.keyvault",
        "azure.storage",
        "croniter",
        "cryptography",
        "msal",
        "psycopg",
        "psycopg_pool",
        "pydantic",
        "requests",
        "pc_core.config",
        "pc_core.wiring.app",
    }
    assert "pc_core.web.door" in loaded
    assert not heavy & loaded


@pytest.mark.parametrize(
    "text", ["true", "True", "1", "yes", "on", "y", "t", "false", "0", "no", "off", "", " ", "TRUE"]
)
def test_health_and_the_settings_read_the_flag_alike(text: str) -> None:
    needed = {
        "HUNTER_PARTNER_CENTER_CLIENT_ID": "00000000-0000-4000-8000-000000000001",
        "HUNTER_PARTNER_CENTER_TENANT_ID": "00000000-0000-4000-8000-000000000002",
        "HUNTER_DATABASE_URL": "postgresql://u@localhost/d",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "HUNTER_TOKEN_CACHE_KEY": "k",
    }
    env = {**needed, health.FLAG: text}
    assert health.is_enabled(env) is Settings.from_env(env).enabled


@pytest.mark.parametrize("text", ["maybe", "2"])
def test_a_flag_that_is_none_counts_as_off_and_the_settings_refuse_it(text: str) -> None:
    env = {health.FLAG: text}
    assert health.is_enabled(env) is False
    with pytest.raises(FixSetting, match=health.FLAG):
        Settings.from_env(env)


# -- The files beside it -----------------------------------------------------------------------


def read_json(name: str) -> Any:
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


def test_the_host_keeps_the_runbooks_addresses_and_every_line_that_alerts_need() -> None:
    host = read_json("host.json")
    assert host["extensions"]["http"]["routePrefix"] == ""
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert sampling["excludedTypes"] == "Request;Trace;Exception"


def test_the_example_settings_name_every_setting_and_hold_its_default_or_nothing() -> None:
    values = read_json("local.settings.example.json")["Values"]
    assert {key for key in (*Settings.keys(),) if key.startswith("HUNTER_")} == {
        key for key in values if key.startswith("HUNTER_")
    }
    assert values["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert values["AzureWebJobsDisableHomepage"] == "true"
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert all(isinstance(value, str) for value in values.values())
    usual = Settings.from_env({})
    assert Settings.from_env(values).model_dump(exclude={"storage_connection"}) == (
        usual.model_dump(exclude={"storage_connection"})
    )


def test_the_example_settings_hold_no_secret() -> None:
    values = read_json("local.settings.example.json")["Values"]
    for key, value in values.items():
        if re.search(r"KEY$|DATABASE_URL$|CLIENT_ID$|TENANT_ID$", key):
            assert value == ""
