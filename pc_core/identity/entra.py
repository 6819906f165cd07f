"""The connection to Entra ID, through MSAL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from pc_core.errors import SignInNeeded, SignInState, TryLater
from pc_core.observe import calls

_TIMEOUT_S = 15.0
"""The longest wait for a connection, and for each part of an answer."""


class EntraConnection:
    """Makes MSAL clients that share one HTTP session and Entra's discovery document.

    Args:
        client_id: of the app registration.
        tenant_id: a GUID, or one of the tenant's domains.
        authority: e.g. `https://login.microsoftonline.com`.
        instance_discovery: False for an authority that Microsoft's discovery does not know.
    """

    def __init__(
        self,
        *,
        client_id: str,
        tenant_id: str,
        authority: str = "https://login.microsoftonline.com",
        instance_discovery: bool = True,
    ) -> None:
        self._client_id = client_id
        self._authority = f"{authority.rstrip('/')}/{tenant_id}"
        self._instance_discovery = instance_discovery
        self._http = _Http()
        self._http_cache: dict[str, Any] = {}

    def client(self, cache: Any) -> Any:
        """An MSAL PublicClientApplication on this token cache.

        Raises:
            SignInNeeded: `misconfigured`: Entra does not know the tenant.
            TryLater: `entra_unavailable`.
        """
        with entra_errors():
            try:
                return import_msal().PublicClientApplication(
                    self._client_id,
                    authority=self._authority,
                    token_cache=cache,
                    http_client=self._http,
                    http_cache=self._http_cache,
                    instance_discovery=None if self._instance_discovery else False,
                )
            except (ValueError, KeyError):
                raise SignInNeeded(
                    "Entra ID does not know the tenant, or was not found at the configured "
                    "address. Check HUNTER_PARTNER_CENTER_TENANT_ID and _AUTHORITY.",
                    state=SignInState.MISCONFIGURED,
                    code="tenant_not_found",
                ) from None

    def forget_refusals(self) -> None:
        """Make MSAL send the next request: it would answer an equal one with the last refusal."""
        self._http_cache.clear()

    def close(self) -> None:
        """Close the HTTP session."""
        self._http.close()


class _Http:
    """MSAL's HTTP client: with a time limit, without redirects, without ~/.netrc."""

    def __init__(self) -> None:
        self._session = requests.Session()

    def post(self, url: str, *, params: Any = None, data: Any = None, headers: Any = None) -> Any:
        return self._send("POST", url, params=params, data=data, headers=headers)

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> Any:
        return self._send("GET", url, params=params, data=None, headers=headers)

    def close(self) -> None:
        self._session.close()

    def _send(self, method: str, url: str, **parts: Any) -> Any:
        with calls.calling("entra") as call:
            response = self._session.request(
                method,
                url,
                **parts,
                auth=_no_auth,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
            call.failed = response.status_code >= 400
        status = response.status_code
        is_transient = status in (408, 429) or status >= 500
        if is_transient or (status != 404 and not _is_json(response.text)):
            # MSAL would cache it, or log its body and fail with a ValueError.
            raise requests.HTTPError(f"HTTP {status}", response=response)
        return response


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Change nothing: without an `auth`, requests would send credentials from ~/.netrc."""
    return request


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@contextmanager
def entra_errors() -> Iterator[None]:
    """Raise requests' errors, which MSAL lets through, as TryLater (`entra_unavailable`)."""
    try:
        yield
    except requests.RequestException as error:
        response = error.response
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        what = f"it answered {response.status_code}" if response is not None else "no answer came"
        raise TryLater(
            f"Entra ID is out of reach ({what}). The saved sign-in is unchanged; the next run "
            "tries again.",
            code="entra_unavailable",
            retry_after_s=float(asked) if asked.isascii() and asked.isdigit() else None,
        ) from None


def import_msal() -> Any:
    """The module msal; importing it is slow, so that it is put off until the first use."""
    import msal

    return msal
