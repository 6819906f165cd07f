"""TCP wires between a process and its servers, which count what passes and act at the n-th."""

import contextlib
import socket
import threading
from collections.abc import Callable

_CHUNK_BYTES = 65_536


class Meter:
    """Counts the messages on all wires of a process.

    A message is what one `recv` brings: a request, an answer, a part of a handshake.

    Attributes:
        last_count: how many had come until it was last armed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: int | None = None
        self._act: Callable[[], None] = lambda: None
        self.count = 0
        self.last_count = 0

    def arm(self, at: int | None, act: Callable[[], None]) -> None:
        """Begin to count anew and `act` when message `at` is about to be delivered."""
        with self._lock:
            self.last_count = self.count
            self.count, self._at, self._act = 0, at, act

    def pass_one(self) -> None:
        """A message has come."""
        with self._lock:
            self.count += 1
            if self.count == self._at:
                self._act()


class Wire:
    """Forwards connections from a port of its own to another on this machine.

    What the process had sent before it was killed still arrives; then its end of the line closes.
    A mute wire swallows whatever comes, the end of a connection too. A wire that was to be cut
    cuts one connection, and serves the next ones again.
    """

    def __init__(self, port: int, meter: Meter) -> None:
        self._upstream = port
        self._meter = meter
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._mute = threading.Event()
        self._closed = threading.Event()
        self._last_words: bytes | None = None
        self._cut_at: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut every connection."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    @property
    def is_mute(self) -> bool:
        """Whether everything is swallowed by now."""
        return self._mute.is_set()

    def mute(self) -> None:
        """Swallow everything from now on, in both directions."""
        self._mute.set()

    def mute_after(self, words: bytes) -> None:
        """Swallow everything after the next message with these words, which still arrives."""
        self._last_words = words

    def cut_after(self, *words: bytes) -> None:
        """Lose the answer to the next message with the last of these words.

        Args:
            words: of messages that come in this order; those before the last change nothing.
        """
        self._cut_at = list(words)

    @property
    def is_cut(self) -> bool:
        """Whether an answer was lost."""
        return not self._cut_at

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._sockets |= {near, far}
            ends = threading.Barrier(2)
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(
                    target=self._forward, args=(source, sink, ends), daemon=True
                ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, ends: threading.Barrier) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                self._meter.pass_one()
                if self._mute.is_set():
                    continue
                # Before it is delivered: its answer must not slip through.
                if self._last_words is not None and self._last_words in chunk:
                    self._mute.set()
                if self._cut_at and self._cut_at[0] in chunk:
                    del self._cut_at[0]
                    if not self._cut_at:
                        source.shutdown(socket.SHUT_RDWR)
                        sink.sendall(chunk)
                        break
                sink.sendall(chunk)
        if self._mute.is_set():
            self._closed.wait()
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if ends.wait() == 0:
            with self._lock:
                self._sockets -= {source, sink}
            source.close()
            sink.close()
