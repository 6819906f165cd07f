import json
import logging
from typing import Any

import pytest

from pc_core.config import Settings
from pc_core.errors import FixSetting, TryLater
from pc_core.web.access import MAX_BODY_BYTES, Role
from pc_core.web.exchange import Parameters, Route
from pc_core.web.routes import health, mini_ui, referrals, sync
from pc_core.web.routes import status as status_route
from tests.web.serving import KEY, MemoryApp, ask, read


def no_app() -> MemoryApp:
    raise FixSetting("Wrong settings: HUNTER_RETENTION_DAYS: must be …", code="config_invalid")


def test_an_operator_reads_the_status() -> None:
    answer = ask(MemoryApp(), status_route.STATUS)
    assert (answer.status, read(answer)["role"]) == (200, "operator")


@pytest.mark.parametrize(
    ("key", "configured", "status", "code"),
    [
        (None, KEY, 401, "api_key_needed"),
        ("wrong", KEY, 401, "api_key_needed"),
        (KEY, None, 403, "access_not_configured"),
    ],
)
def test_nobody_reads_data_without_coming_in(
    key: str | None, configured: str | None, status: int, code: str
) -> None:
    app = MemoryApp(key=configured)
    for route in (status_route.STATUS, referrals.LIST, sync.SYNC):
        answer = ask(app, route, key=key)
        assert (answer.status, read(answer)["code"]) == (status, code)
    assert not app.ran
    assert not app.reader.asked


def test_the_platforms_principal_is_believed_where_the_platform_says_so() -> None:
    settings = Settings.from_env({"WEBSITE_AUTH_ENABLED": "True"})
    answer = ask(MemoryApp(settings=settings), status_route.STATUS)
    assert (answer.status, read(answer)["code"]) == (401, "login_needed")
    assert read(answer)["login_url"].startswith("/.auth/login/aad?")


def test_a_host_that_is_not_ours_gets_nothing_not_even_a_look_at_the_key() -> None:
    app = MemoryApp(settings=Settings.from_env({"WEBSITE_HOSTNAME": "app.example"}))
    answer = ask(app, status_route.STATUS, headers={"host": "evil.example"})
    assert (answer.status, read(answer)["code"]) == (421, "host_unknown")
    assert ask(app, status_route.STATUS, headers={"host": "app.example"}).status == 200


def test_health_answers_at_any_name_and_without_settings() -> None:
    answer = ask(no_app, health.HEALTH, headers={"host": "10.1.2.3"}, key=None)
    assert (answer.status, read(answer)["partner_center_enabled"]) == (200, False)


def test_the_static_page_needs_no_settings_either() -> None:
    assert ask(no_app, mini_ui.MINI_UI, key=None, path="").status == 200


def test_wrong_settings_are_not_explained_to_strangers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pc_core"):
        answer = ask(no_app, status_route.STATUS)
    assert (answer.status, read(answer)["code"]) == (500, "not_ready")
    assert b"HUNTER" not in answer.body
    assert "HUNTER_RETENTION_DAYS" in caplog.text


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"origin": "https://evil.example"}, None, 403, "cross_site"),
        ({"sec-fetch-site": "cross-site"}, None, 403, "cross_site"),
        ({"content-type": "text/plain"}, b"{}", 415, "body_not_json"),
        ({}, b" " * (MAX_BODY_BYTES + 1), 413, "body_too_large"),
        ({}, b"[]", 400, "bad_parameter"),
        ({}, b'{"force": true}', 400, "bad_parameter"),
    ],
)
def test_a_post_is_looked_at_before_anything_runs(
    headers: dict[str, str], body: bytes | None, status: int, code: str
) -> None:
    app = MemoryApp()
    answer = ask(app, sync.SYNC, headers=headers, body=body)
    assert (answer.status, read(answer)["code"]) == (status, code)
    assert read(answer)["success"] is False
    assert not app.ran


def failing(error: Exception) -> Route[Any]:
    def handle(_: Any, __: Any) -> Any:
        raise error

    return Route(path="api/broken", method="GET", who=Role.READER, given=Parameters, handle=handle)


def test_an_error_of_ours_is_answered_by_its_class() -> None:
    answer = ask(MemoryApp(), failing(TryLater("The database is out of reach.", code="away")))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert read(answer)["detail"] == "The database is out of reach."


def test_a_bug_is_logged_with_its_traceback_and_answered_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="pc_core"):
        answer = ask(MemoryApp(), failing(KeyError("a secret inside")))
    assert (answer.status, read(answer)["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body
    line, _, traceback = caplog.records[-1].getMessage().partition("\n")
    assert json.loads(line)["event"] == "partner_center_route_bug"
    assert caplog.records[-1].exc_info is not None or "KeyError" in traceback
