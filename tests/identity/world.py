"""What the adapters' tests share."""

from collections.abc import Sequence

from dev.simulator import Account, Simulator
from pc_core.identity.device_codes import EntraDeviceCodes
from pc_core.identity.tokens import EntraTokens, NewTokens

SCOPE = "https://api.partner.microsoft.com/.default"
BLOB = "token-cache"


class FixedKeys:
    """Keys as a setting or a Key Vault gives them; `rotated_to` shows once they are read again."""

    def __init__(self, *keys: str) -> None:
        self.keys: tuple[str, ...] = keys
        self.rotated_to: tuple[str, ...] | None = None
        self.read_again = 0

    def __call__(self, *, again: bool) -> Sequence[str]:
        if again:
            self.read_again += 1
            self.keys = self.rotated_to or self.keys
        return self.keys


def obtain(
    simulator: Simulator, device_codes: EntraDeviceCodes, account: Account | None = None
) -> NewTokens:
    """What a person's sign-in with a device code brings."""
    code = device_codes.start()
    simulator.entra.approve(code.user_code, account)
    answer = device_codes.ask(code.flow)
    assert answer.tokens is not None
    return answer.tokens


def sign_in(
    simulator: Simulator,
    device_codes: EntraDeviceCodes,
    tokens: EntraTokens,
    account: Account | None = None,
) -> NewTokens:
    """Sign in and save it."""
    new = obtain(simulator, device_codes, account)
    tokens.replace(new)
    return new
