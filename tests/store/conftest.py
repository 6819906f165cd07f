from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pc_core.store.pool import Database
from pc_core.store.postgres import PostgresStore
from tests.store.samples import Saver, take


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The migrated database, as the app connects to it."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> PostgresStore:
    return PostgresStore(database)


@pytest.fixture
def saver(store: PostgresStore) -> Saver:
    """Saves pages as the run `run-1`, which holds the lease."""
    return Saver(store=store, lease=take(store))


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own, to look and to tamper."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection
