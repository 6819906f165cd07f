"""Several statements in one round trip, and the transactions that they make up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

from pc_core.store.pool import be_patient
from pc_core.store.statements import load_statements

if TYPE_CHECKING:
    from psycopg import Connection

    from pc_core.store.pool import Connect

type Rows = list[tuple[Any, ...]]

_LIMITS = load_statements("limits")


class Batch:
    """Statements that go to the server together; psycopg writes their values into the text.

    They use the simple query protocol, so nothing stays prepared on a pooled connection.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._texts: list[str] = []

    def add(self, statement: LiteralString, values: Mapping[str, Any] | None = None) -> None:
        """Append a statement; `values` fill its %(name)s places."""
        if values is None:
            self._texts.append(statement)
            return
        from psycopg import ClientCursor

        self._texts.append(ClientCursor(self._connection).mogrify(statement, values))

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
        self.add("COMMIT")

    def send(self) -> list[Rows]:
        """Send all, empty the batch, and return the rows of each statement that returns rows."""
        texts, self._texts = self._texts, []
        results: list[Rows] = []
        with self._connection.cursor() as cursor:
            cursor.execute(";\n".join(texts))
            while True:
                if cursor.description is not None:
                    results.append(cursor.fetchall())
                if not cursor.nextset():
                    return results


@contextmanager
def read_only(connect: Connect, *, patient: bool = False) -> Iterator[Connection[Any]]:
    """A read-only transaction with one snapshot and a time limit.

    Args:
        connect: opens the connection.
        patient: allow statements that read very much at once.
    """
    with connect() as connection:
        if patient:
            be_patient(connection)
        connection.execute(_LIMITS["begin_reading_much" if patient else "begin_reading"])
        yield connection
        connection.execute("COMMIT")
