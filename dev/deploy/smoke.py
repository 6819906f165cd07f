"""The smoke test: does the deployed app do its work, and does it keep to itself?"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dev import asking
from dev.deploy.hooks import cloud

API = "/api/v1/partner-center"
ANSWER_TIMEOUT_S = 240.0
WARM_UP_S = 120.0
OTHER_RUN_S = 600.0
"""A scheduled run that is under way ends within its budget of eight minutes."""

TIMER_GRACE_S = 300.0
"""How long after its scheduled time a run may show: cold start and the host's own delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How the app is asked.

    Attributes:
        url: of the app, without a slash at its end.
        credential: the header that makes an operator.
        wait: sleeps so many seconds.
    """

    url: str
    credential: Mapping[str, str]
    wait: Callable[[float], None] = time.sleep

    def ask(
        self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON; headers None: the operator's."""
        sent = dict(self.credential if headers is None else headers)
        answer = asking.ask(method, self.url + path, headers=sent, timeout_s=ANSWER_TIMEOUT_S)
        return answer.status, answer.content


def open_probe() -> Probe:
    """The deployed app, as an operator: with SMOKE_API_KEY, or with a token from az.

    Raises:
        HookError: neither can be had.
    """
    url = cloud.need("APP_URL").rstrip("/")
    key = os.environ.get("SMOKE_API_KEY")
    if key:
        return Probe(url=url, credential={"X-API-Key": key})
    client_id = os.environ.get("AUTH_CLIENT_ID")
    if not client_id:
        raise cloud.HookError(
            "The page's sign-in is not set up, so nobody may start a sync. Run "
            f"{cloud.hook_command('register_page_sign_in')} and `azd provision`, or set "
            "SMOKE_API_KEY."
        )
    token = cloud.az(
        *("account", "get-access-token", "--resource", f"api://{client_id}"),
        *("--query", "accessToken"),
        secret_output=True,
    )
    return Probe(url=url, credential={"Authorization": f"Bearer {token}"})


def smoke(probe: Probe, *, since: datetime) -> None:
    """Ask everything and say what came of it.

    Args:
        since: a timer run that began later than this proves that the timer fires.

    Raises:
        HookError: something does not work.
    """
    for title, look in (
        ("health", _health),
        ("closed to strangers", _closed),
        ("sync by hand", _sync),
        ("rows arrived", _rows),
        ("ready", _ready),
    ):
        cloud.say(f"  ok      {title}: {look(probe)}")
    cloud.say(f"  ok      timer: {_timer(probe, since)}")


def _health(probe: Probe) -> str:
    deadline_s = time.monotonic() + WARM_UP_S
    while True:
        status, answer = probe.ask("/healthz", headers={})
        if status == 200:
            break
        if time.monotonic() > deadline_s:
            raise cloud.HookError(f"health answers {status}: the app does not start")
        probe.wait(5)
    if not answer.get("partner_center_enabled"):
        raise cloud.HookError("the feature flag is off (HUNTER_PARTNER_CENTER_ENABLED)")
    return f"version {answer.get('version')}"


def _closed(probe: Probe) -> str:
    forged = base64.b64encode(
        json.dumps(
            {
                "auth_typ": "aad",
                "role_typ": "roles",
                "claims": [{"typ": "roles", "val": "Referrals.Operate"}],
            }
        ).encode()
    ).decode()
    for who, headers in (
        ("anonymous", {}),
        ("a forged principal", {"X-MS-CLIENT-PRINCIPAL": forged}),
    ):
        for path, method in (
            (f"{API}/referrals", "GET"),
            (f"{API}/referrals/sync", "POST"),
        ):
            status, _ = probe.ask(path, method=method, headers=headers)
            if status not in (401, 403):
                raise cloud.HookError(f"{method} {path} answers {status} to {who}: close the app!")
    return "anonymous calls and a forged principal are refused"


def _sync(probe: Probe) -> str:
    deadline_s = time.monotonic() + OTHER_RUN_S
    while True:
        status, answer = probe.ask(f"{API}/referrals/sync", method="POST")
        if answer.get("code") != "already_running" or time.monotonic() > deadline_s:
            break
        probe.wait(3)
    if not answer.get("success"):
        code = answer.get("code") or answer.get("state") or status
        hint = " (sign in on the page first)" if answer.get("code") == "sign_in_needed" else ""
        raise cloud.HookError(f"a sync by hand ended as {code}{hint}")
    done = answer["success_count"] + answer["skipped_count"]
    return f"{answer['state']}, {done} referrals read"


def _status(probe: Probe) -> dict[str, Any]:
    status, answer = probe.ask(f"{API}/status")
    if status != 200:
        raise cloud.HookError(f"the status answers {status} ({answer.get('code', 'no code')})")
    return answer


def _rows(probe: Probe) -> str:
    count = _status(probe)["counts"]["referrals"]
    if not count:
        raise cloud.HookError(
            "no referral is stored; look at skipped_reasons of the last run, and at the role of "
            "the account that signed in"
        )
    return f"{count} referrals are stored"


def _ready(probe: Probe) -> str:
    status, answer = probe.ask("/healthz/ready", headers={})
    if status != 200:
        bad = {name: found for name, found in answer.get("checks", {}).items() if found != "ok"}
        raise cloud.HookError(f"not ready: {bad or status}")
    return "every part"


def _timer(probe: Probe, since: datetime) -> str:
    status = _status(probe)
    next_due = datetime.fromisoformat(status["next_due_at"])
    now = datetime.fromisoformat(status["now"])
    deadline_s = time.monotonic() + (next_due - now).total_seconds() + TIMER_GRACE_S
    while True:
        _, answer = probe.ask(f"{API}/sync-runs")
        for run in answer.get("runs", []):
            if (
                run["trigger"].startswith("timer")
                and datetime.fromisoformat(run["started_at"]) >= since
            ):
                return f"fired at {run['started_at']}"
        if time.monotonic() > deadline_s:
            raise cloud.HookError(
                f"the timer was due at {next_due.isoformat()} and has not fired. Restart the app; "
                "the runbook's section on silence says more"
            )
        probe.wait(5)
