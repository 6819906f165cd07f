"""TLS before a PostgreSQL that cannot speak it: answers libpq's wish for TLS, then passes on."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SSL_REQUEST = 80877103
"""PostgreSQL's documentation, section "Message Formats"."""


@contextmanager
def in_front_of(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """The port of a proxy; who comes without TLS is refused."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_serve, args=(client, port, context), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]


def _serve(client: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), client:
        asked = client.recv(8, socket.MSG_WAITALL)
        if len(asked) < 8 or struct.unpack("!ii", asked) != (8, _SSL_REQUEST):
            return
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            _pass_on(secure, server)


def _pass_on(secure: ssl.SSLSocket, server: socket.socket) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(secure, selectors.EVENT_READ, server)
        ready.register(server, selectors.EVENT_READ, secure)
        while True:
            for key, _ in ready.select():
                content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                while key.fileobj is secure and secure.pending():
                    content += secure.recv(65536)
                if not content:
                    return
                key.data.sendall(content)
