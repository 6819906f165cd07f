"""Closing the app."""

import time

import psycopg

from pc_core.wiring.app import App
from tests.commands.conftest import app, settings, signed_in

__all__ = ["app", "settings", "signed_in"]


def test_a_closed_app_has_no_connection_and_opens_new_ones(
    signed_in: App, database_url: str
) -> None:
    assert signed_in.sync(trigger="command").state == "completed"
    before = signed_in.parts.entra, signed_in.parts.container, signed_in.parts.database

    signed_in.close()

    with psycopg.connect(database_url, autocommit=True) as connection:
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
            if found == (0,):
                break
            time.sleep(0.05)
    assert found == (0,)
    assert signed_in.sync(trigger="command").state == "completed"
    after = signed_in.parts.entra, signed_in.parts.container, signed_in.parts.database
    assert not set(map(id, before)) & set(map(id, after))
    signed_in.close()


class Connection:
    """A part that has to be closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_every_part_that_has_a_connection_is_closed_once(signed_in: App) -> None:
    others = {name: Connection() for name in ("key_vault", "credential", "storage_credential")}
    signed_in.parts.__dict__.update(others)

    signed_in.close()
    signed_in.close()

    assert [each.closed for each in others.values()] == [1, 1, 1]
