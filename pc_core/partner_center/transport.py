"""One HTTPS connection for the referrals API: exact request targets, a deadline for each request.

It is built on urllib3's connection class. urllib3's pools and requests upper-case
percent-encodings, which would change the token of a nextLink. They also follow redirects, keep
cookies or read ~/.netrc, which must not happen here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from threading import Lock, Timer
from typing import Self

import certifi
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import (
    HTTPConnection,
    HTTPSConnection,
    ProxyConfig,
    port_by_scheme,
)
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers, parse_url

from pc_core.errors import InvalidResponse
from pc_core.partner_center.retry import read_http_date

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest body that is read; a page of 1,000 referrals has about 3 MB."""

_CONNECT_TIMEOUT_S = 10.0


class NoResponseError(Exception):
    """No complete response: the network failed, or the deadline passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete response; the names of `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def served_at(self) -> datetime | None:
        """The response's `Date`."""
        return read_http_date(self.headers.get("Date"))


class Transport:
    """One connection to one host, for one request at a time.

    Args:
        base_url: scheme and host. HTTPS_PROXY and NO_PROXY are obeyed.
        ca_file: PEM file of the trusted CAs; None: REQUESTS_CA_BUNDLE or certifi's.
    """

    def __init__(self, base_url: str, *, ca_file: str | None) -> None:
        self._url = parse_url(base_url)
        self._ca_file = ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()
        self._connection: HTTPConnection | None = None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, target: str, headers: Mapping[str, str], *, within_s: float) -> Response:
        """Send a GET with exactly this target; everything is over after `within_s` seconds.

        Raises:
            NoResponseError: no complete response within the time.
            InvalidResponse: the body is too large.
        """
        is_complete = False
        with _Deadline(within_s) as deadline:
            try:
                connection = self._connected(within_s)
                deadline.watch(connection.sock)
                connection.request("GET", target, headers=headers, preload_content=False)
                with connection.getresponse() as response:
                    body = response.read(MAX_BODY_BYTES + 1)
                is_complete = not deadline.has_passed
            except (OSError, HTTPException, HTTPError) as error:
                reason = "timeout" if deadline.has_passed else type(error).__name__
                raise NoResponseError(reason) from None
            finally:
                if not is_complete:
                    self.close()
        if not is_complete:
            raise NoResponseError("timeout")
        if len(body) > MAX_BODY_BYTES:
            self.close()
            raise InvalidResponse(
                f"Partner Center's response is larger than {MAX_BODY_BYTES} bytes and was not "
                "read. Saved pages are kept. A smaller HUNTER_PARTNER_CENTER_PAGE_SIZE may help.",
                code="answer_too_large",
            )
        return Response(status=response.status, headers=response.headers, body=body)

    def _connected(self, within_s: float) -> HTTPConnection:
        if self._connection is not None and not self._connection.is_connected:
            self.close()  # the server has ended it
        if self._connection is None:
            self._connection = self._make_connection()
            self._connection.timeout = min(_CONNECT_TIMEOUT_S, within_s)
            self._connection.connect()
        self._connection.timeout = within_s
        return self._connection

    def _make_connection(self) -> HTTPConnection:
        host, port = self._url.host or "", self._url.port
        proxy_url = select_proxy(self._url.url, get_environ_proxies(self._url.url))
        if proxy_url is None:
            return self._connection_to(host, port)
        proxy = parse_url(proxy_url if "://" in proxy_url else f"http://{proxy_url}")
        connection = self._connection_to(
            proxy.host or "", proxy.port or port_by_scheme.get(proxy.scheme or "http")
        )
        connection.proxy = proxy
        connection.proxy_config = ProxyConfig(None, False, None, None)
        login = make_headers(proxy_basic_auth=proxy.auth_decoded_joined) if proxy.auth else None
        connection.set_tunnel(host, port, headers=login, scheme=proxy.scheme or "http")
        return connection

    def _connection_to(self, host: str, port: int | None) -> HTTPConnection:
        if self._url.scheme == "http":
            return HTTPConnection(host, port)
        return HTTPSConnection(host, port, cert_reqs="CERT_REQUIRED", ca_certs=self._ca_file)


class _Deadline:
    """Shuts a socket down when the time is up; its own timeout restarts with every byte."""

    def __init__(self, within_s: float) -> None:
        self.has_passed = False
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._timer = Timer(within_s, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, opened: socket.socket) -> None:
        with self._lock:
            self._socket = opened
            if self.has_passed:
                raise TimeoutError

    def _pass(self) -> None:
        with self._lock:
            self.has_passed = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
