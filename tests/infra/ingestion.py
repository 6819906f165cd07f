"""A stand-in for the ingestion endpoint of Application Insights; it keeps what comes."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

KEY = "00000000-0000-0000-0000-0000000000aa"


@dataclass
class Ingestion:
    """What arrived, and how it is answered.

    Attributes:
        status: of every answer.
        delay_s: before every answer.
        bodies: as text, unpacked.
    """

    port: int = 0
    status: int = 200
    delay_s: float = 0.0
    bodies: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    @property
    def connection_string(self) -> str:
        """In the form that the Portal shows."""
        return f"InstrumentationKey={KEY};IngestionEndpoint=https://localhost:{self.port}/"

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """Everything, in the order of arrival."""
        return [envelope for body in self.bodies for envelope in json.loads(body)]


@contextmanager
def serving(authority: trustme.CA) -> Iterator[Ingestion]:
    """Serve as localhost, with a certificate of this authority."""
    found = Ingestion()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            found.paths.append(self.path)
            found.authorizations.append(self.headers["Authorization"])
            found.bodies.append(gzip.decompress(content).decode("utf-8"))
            time.sleep(found.delay_s)
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
