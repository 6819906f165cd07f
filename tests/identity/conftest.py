"""Storage, Entra and tokens as the app has them, on the real Azurite and the simulator."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from dev.simulator import Simulator
from pc_core.identity.blobs import connect_container, new_key
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.entra import EntraConnection
from pc_core.identity.token_cache import TokenCacheBlob
from pc_core.identity.tokens import EntraTokens
from tests.identity.world import BLOB, SCOPE, FixedKeys


@pytest.fixture
def container(azurite: str, container_name: str) -> Iterator[ContainerClient]:
    """A client for a container that does not exist yet."""
    with closing(connect_container(container_name, connection_string=azurite)) as client:
        yield client


@pytest.fixture
def keys() -> FixedKeys:
    return FixedKeys(new_key())


@pytest.fixture
def blob(container: ContainerClient, keys: FixedKeys) -> TokenCacheBlob:
    return TokenCacheBlob(lambda: container, BLOB, keys)


@pytest.fixture
def connect(simulator: Simulator, ca: Path) -> Iterator[Callable[..., EntraConnection]]:
    """Makes connections to the simulated Entra."""
    made: list[EntraConnection] = []

    def connection(**other: str) -> EntraConnection:
        options = {
            "client_id": simulator.client_id,
            "tenant_id": simulator.tenant_id,
            "authority": simulator.authority,
        }
        made.append(EntraConnection(**(options | other), instance_discovery=False, timeout_s=5.0))
        return made[-1]

    yield connection
    for each in made:
        each.close()


@pytest.fixture
def connection(connect: Callable[..., EntraConnection]) -> EntraConnection:
    return connect()


@pytest.fixture
def device_codes(connection: EntraConnection) -> EntraDeviceCodes:
    return EntraDeviceCodes(connection, scope=SCOPE)


@pytest.fixture
def open_tokens(
    connect: Callable[..., EntraConnection], blob: TokenCacheBlob
) -> Callable[[], EntraTokens]:
    """Another instance of the app, on the same saved cache."""
    return lambda: EntraTokens(connect(), blob, scope=SCOPE, sleep=lambda _: None)


@pytest.fixture
def tokens(open_tokens: Callable[[], EntraTokens]) -> EntraTokens:
    return open_tokens()
