"""The sign-in's world: storage, Entra and tokens as the app has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from azure.storage.blob import ContainerClient
from cryptography.fernet import Fernet

from dev.simulator import Account, Simulator
from dev.simulator.entra import Entra
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.entra import EntraConnection
from pc_core.identity.flows import FlowStore
from pc_core.identity.token import NewTokens
from pc_core.identity.token_cache import TokenCacheBlob
from pc_core.identity.tokens import CacheBlob, EntraTokens

SCOPE = "https://api.partner.microsoft.com/.default"
BLOB = "token-cache"


def new_key() -> str:
    """A fresh key for the token cache."""
    return Fernet.generate_key().decode()


class FixedKeys:
    """Keys as a setting or a Key Vault gives them; `rotated_to` shows after reading them again."""

    def __init__(self, *keys: str) -> None:
        self.keys: tuple[str, ...] = keys
        self.rotated_to: tuple[str, ...] | None = None
        self.read_again = 0

    def __call__(self, *, again: bool) -> Sequence[str]:
        if again:
            self.read_again += 1
            self.keys = self.rotated_to or self.keys
        return self.keys


@dataclass
class World:
    """The real Azurite and the simulated Entra, and one instance of the app on them.

    Attributes:
        container: a client for a container that does not exist yet.
    """

    simulator: Simulator
    container: ContainerClient
    keys: FixedKeys = field(default_factory=lambda: FixedKeys(new_key()))
    _connections: list[EntraConnection] = field(default_factory=list)

    def connect(self, **other: str) -> EntraConnection:
        """One more connection to Entra, with other settings."""
        settings = {
            "client_id": self.simulator.client_id,
            "tenant_id": self.simulator.tenant_id,
            "authority": self.simulator.authority,
        }
        self._connections.append(EntraConnection(**(settings | other), instance_discovery=False))
        return self._connections[-1]

    def close(self) -> None:
        """Close what was opened."""
        for each in self._connections:
            each.close()

    @property
    def entra(self) -> Entra:
        """The simulated Entra."""
        return self.simulator.entra

    @cached_property
    def connection(self) -> EntraConnection:
        """The app's connection to Entra."""
        return self.connect()

    @cached_property
    def blob(self) -> TokenCacheBlob:
        """The saved cache."""
        return TokenCacheBlob(lambda: self.container, BLOB, self.keys)

    @cached_property
    def flows(self) -> FlowStore:
        """Sign-ins under way."""
        return FlowStore(lambda: self.container, self.keys)

    @cached_property
    def device_codes(self) -> EntraDeviceCodes:
        """The device code flow."""
        return EntraDeviceCodes(self.connection, scope=SCOPE)

    @cached_property
    def tokens(self) -> EntraTokens:
        """The app's tokens."""
        return self.open_tokens()

    def open_tokens(
        self,
        blob: CacheBlob | None = None,
        *,
        connection: EntraConnection | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = lambda _: None,
    ) -> EntraTokens:
        """The tokens of one more instance on the same saved cache; it does not wait for others."""
        return EntraTokens(
            connection or self.connect(), blob or self.blob, scope=SCOPE, now=now, sleep=sleep
        )

    def obtain(self, account: Account | None = None) -> NewTokens:
        """What a person's sign-in with a device code brings; not saved."""
        code = self.device_codes.start()
        self.entra.approve(code.user_code, account)
        answer = self.device_codes.ask(code.flow)
        assert answer.tokens is not None
        return answer.tokens

    def sign_in(
        self, tokens: EntraTokens | None = None, account: Account | None = None
    ) -> NewTokens:
        """A sign-in that is saved, by this instance or by another."""
        new = self.obtain(account)
        (tokens or self.tokens).replace(new)
        return new

    def saved(self, name: str = BLOB) -> bytes:
        """A blob as it is stored."""
        content: bytes = self.container.download_blob(name).readall()
        return content

    def names(self) -> list[str]:
        """The names of all blobs."""
        return sorted(str(name) for name in self.container.list_blob_names())
