"""Sends a run's calls to Application Insights, as dependencies of the invocation that made them.

The form is that of its ingestion endpoint (`v2.1/track`, `RemoteDependencyData`), as Microsoft's
own exporter sends it. That exporter is not used: docs/operations.md tells what it costs.
"""

from __future__ import annotations

import gzip
import json
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import requests

from pc_core.errors import FixSetting
from pc_core.observe import events
from pc_core.observe.calls import Call, Calls, Operation

_PUBLIC_CLOUD = "https://monitor.azure.com"
_TIMEOUT_S = (2.0, 4.0)
"""Connecting, and waiting for the answer: an answer to somebody's POST may wait for it."""


class Insights:
    """An Application Insights resource.

    Args:
        connection_string: as the Portal shows it.
        role: the app's name there, as the host calls itself.
        token: gives a token for a scope; None: the resource takes telemetry without.

    Raises:
        FixSetting: `insights_misconfigured`: the connection string cannot be read, or a token
            would go out without TLS.
    """

    def __init__(
        self, connection_string: str, *, role: str, token: Callable[[str], str] | None
    ) -> None:
        parts = {
            key.strip().lower(): value.strip()
            for key, _, value in (part.partition("=") for part in connection_string.split(";"))
        }
        if not parts.get("instrumentationkey") or not parts.get("ingestionendpoint"):
            raise FixSetting(
                "APPLICATIONINSIGHTS_CONNECTION_STRING has no InstrumentationKey or no "
                "IngestionEndpoint. Runs go on without telling their calls.",
                code="insights_misconfigured",
            )
        if token is not None and not parts["ingestionendpoint"].lower().startswith("https://"):
            raise FixSetting(
                "The IngestionEndpoint of APPLICATIONINSIGHTS_CONNECTION_STRING is not https, and "
                "no token goes there. Runs go on without telling their calls.",
                code="insights_misconfigured",
            )
        self._key = parts["instrumentationkey"]
        self._url = f"{parts['ingestionendpoint'].rstrip('/')}/v2.1/track"
        self._scope = f"{parts.get('aadaudience') or _PUBLIC_CLOUD}/.default"
        self._role = role
        self._token = token

    def send(self, operation: Operation, calls: Calls) -> None:
        """Send what was noted, at once and once; a failure is told in the log and nowhere else."""
        if not calls.kept:
            return
        envelopes = [self._envelope(operation, call) for call in calls.kept]
        try:
            problem = self._post(gzip.compress(json.dumps(envelopes).encode()))
        except requests.RequestException as error:
            problem = type(error).__name__
        except Exception as error:  # noqa: BLE001 - the identity's library; a run must not end by it
            problem = f"token: {type(error).__name__}"
        if problem or calls.left_out:
            events.emit(
                "partner_center_calls_not_told",
                level=logging.WARNING if problem else logging.INFO,
                problem=problem,
                calls=calls.left_out + (len(envelopes) if problem else 0),
            )

    def _post(self, content: bytes) -> str | None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token(self._scope)}"
        answer = requests.post(
            self._url,
            data=content,
            headers=headers,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            auth=_leave_headers,
        )
        return None if answer.status_code == 200 else f"HTTP {answer.status_code}"

    def _envelope(self, operation: Operation, call: Call) -> dict[str, Any]:
        data: dict[str, Any] = {
            "ver": 2,
            "id": secrets.token_hex(8),
            "name": call.name,
            "type": call.kind,
            "target": call.target,
            "resultCode": call.result,
            "success": call.is_success,
            "duration": _duration(call.duration_s),
        }
        if call.request_id is not None:
            data["properties"] = {"client-request-id": call.request_id}
        return {
            "ver": 1,
            "name": "Microsoft.ApplicationInsights.RemoteDependency",
            "time": call.began_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "sampleRate": 100.0,
            "iKey": self._key,
            "tags": {
                "ai.cloud.role": self._role,
                "ai.operation.id": operation.id,
                "ai.operation.parentId": operation.parent_id,
                "ai.operation.name": operation.name,
            },
            "data": {"baseType": "RemoteDependencyData", "baseData": data},
        }


def _duration(seconds: float) -> str:
    """As .NET writes a TimeSpan: days.hours:minutes:seconds.fraction."""
    whole = timedelta(seconds=seconds)
    minutes, rest_s = divmod(whole.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{whole.days}.{hours:02}:{minutes:02}:{rest_s:02}.{whole.microseconds:06}"


def _leave_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An explicit auth object: otherwise requests would take credentials from ~/.netrc."""
    return request
