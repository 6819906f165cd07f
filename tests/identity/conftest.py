"""Storage, Entra and tokens as the app has them, on the real Azurite and the simulator."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dev.simulator import Simulator
from pc_core.identity.blobs import connect_container
from tests.identity.world import World


@pytest.fixture
def world(simulator: Simulator, ca: Path, azurite: str, container_name: str) -> Iterator[World]:
    """A world in which nobody has signed in yet."""
    with (
        closing(connect_container(container_name, connection_string=azurite)) as container,
        closing(World(simulator, container)) as made,
    ):
        yield made
