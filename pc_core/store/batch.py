"""Several statements in one round trip, and the transactions that they make up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pc_core.store.pool import be_patient
from pc_core.store.statements import load_statements

if TYPE_CHECKING:
    from psycopg import Connection

    from pc_core.store.pool import Database

type Rows = list[tuple[Any, ...]]

_LIMITS = load_statements("limits")


class Batch:
    """Statements that go to the server together, their values written in by the client.

    The simple protocol carries them, so that nothing is left prepared on a pooled connection.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._texts: list[bytes] = []

    def add(self, statement: bytes, values: Mapping[str, Any] | None = None) -> None:
        """Append a statement; `values` fill its %(name)s places."""
        if values is None:
            self._texts.append(statement)
            return
        from psycopg import ClientCursor

        text = ClientCursor(self._connection).mogrify(statement, values)
        self._texts.append(text.encode())

    def begin(self, *, patient: bool = False) -> None:
        """Begin a transaction that writes, with its time limits.

        Args:
            patient: allow statements that read or delete very much at once.
        """
        if patient:
            be_patient(self._connection)
        self.add(_LIMITS["begin_writing_much" if patient else "begin_writing"])

    def commit(self) -> None:
        """End the transaction with the batch."""
        self.add(b"COMMIT")

    def send(self) -> list[Rows]:
        """Send all, empty the batch, and return the rows of each statement that has any shape."""
        texts, self._texts = self._texts, []
        results: list[Rows] = []
        with self._connection.cursor() as cursor:
            cursor.execute(b";\n".join(texts))
            while True:
                if cursor.description is not None:
                    results.append(cursor.fetchall())
                if not cursor.nextset():
                    return results


@contextmanager
def reading(database: Database, *, patient: bool = False) -> Iterator[Connection[Any]]:
    """A read-only transaction with one snapshot and a time limit."""
    with database.connection() as connection:
        if patient:
            be_patient(connection)
        connection.execute(_LIMITS["begin_reading_much" if patient else "begin_reading"])
        yield connection
        connection.execute(b"COMMIT")
