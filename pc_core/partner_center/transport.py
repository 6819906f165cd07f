"""HTTPS as the referrals API needs it: request targets byte for byte, and an end in time.

urllib3 upper-cases percent-encodings, which would change a nextLink's token; and its timeouts
count from byte to byte, so that a slow drip never ends. Both are put right in the connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class ExactAdapter(HTTPAdapter):
    """One connection to one host; one request at a time."""

    def __init__(self) -> None:
        self._target: str | None = None
        self._socket: socket.socket | None = None
        self._lock = Lock()
        self._exchange = 0
        self._was_cut = False
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    @contextmanager
    def exchange(self, target: str, *, within_s: float) -> Iterator[Callable[[], bool]]:
        """Send the next request to exactly this target, and end it after `within_s` seconds.

        Connecting, TLS, headers and body count. The yielded function says whether the end came
        first; what was read until then is worth nothing.
        """
        with self._lock:
            self._exchange += 1
            self._was_cut = False
            self._target = target
        timer = Timer(within_s, self._cut, [self._exchange])
        timer.daemon = True
        timer.start()
        try:
            yield lambda: self._was_cut
        finally:
            timer.cancel()
            with self._lock:
                self._exchange += 1
                self._target = None

    def _cut(self, exchange: int) -> None:
        with self._lock:
            if exchange != self._exchange:
                return
            self._was_cut = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _opened(self, opened: socket.socket) -> None:
        with self._lock:
            self._socket = opened
            if self._was_cut:
                raise TimeoutError("connecting took too long")

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make requests' pools use our connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes()

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make requests' pools use our connections, behind a proxy too."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes()
        return manager

    def _pool_classes(self) -> dict[str, type[HTTPConnectionPool]]:
        adapter = self

        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                adapter._opened(self.sock)

            def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
                super().putrequest(method, adapter._exact(url), *args, **kwargs)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                adapter._opened(self.sock)

            def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
                super().putrequest(method, adapter._exact(url), *args, **kwargs)

        class HttpPool(HTTPConnectionPool):
            ConnectionCls = Http

        class HttpsPool(HTTPSConnectionPool):
            ConnectionCls = Https

        return {"http": HttpPool, "https": HttpsPool}

    def _exact(self, url: str) -> str:
        return self._target if self._target is not None and url.startswith("/") else url
