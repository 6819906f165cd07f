"""Entra's device code flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pc_core.errors import FixSetting, SignInState
from pc_core.identity.entra import EntraConnection, entra_errors, import_msal
from pc_core.identity.refusals import refusal_of, sign_in_state
from pc_core.identity.token import NewTokens
from pc_core.identity.tokens import account_from_msal, refresh_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """A device code that waits for a person.

    Attributes:
        flow: what MSAL needs to ask about it; JSON values, secret.
        user_code: what the person enters at `verification_uri`.
        interval_s: shortest time between two questions to Entra, seconds.
    """

    flow: dict[str, Any] = field(repr=False)
    user_code: str
    verification_uri: str
    message: str
    expires_at: datetime
    interval_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAnswer:
    """Entra's answer about a device code.

    Attributes:
        flow: for the next question.
        interval_s: grows when Entra says `slow_down`.
        tokens: after the person has signed in.
        state, reason_code, message: of a refusal.
    """

    outcome: Literal["pending", "signed_in", "expired", "declined", "refused"]
    flow: dict[str, Any] = field(repr=False)
    interval_s: int
    tokens: NewTokens | None = None
    state: SignInState | None = None
    reason_code: str | None = None
    message: str | None = None


class EntraDeviceCodes:
    """Starts device codes and asks about them, once per call.

    Args:
        connection: to Entra.
        scope: as for `EntraTokens`.
    """

    def __init__(self, connection: EntraConnection, *, scope: str) -> None:
        self._connection = connection
        self._scope = scope

    def start(self) -> DeviceCode:
        """Get a new device code.

        Raises:
            SignInNeeded: Entra refuses (wrong app, public client flows off, …).
            FixSetting: `scope_invalid`.
            TryLater: `entra_unavailable`.
        """
        client = self._new_client()
        with entra_errors():
            try:
                flow = client.initiate_device_flow(scopes=[self._scope])
            except ValueError:
                raise FixSetting(
                    "HUNTER_PARTNER_CENTER_SCOPE is no scope that can be signed in for, or the "
                    "authority offers no device codes.",
                    code="scope_invalid",
                ) from None
        if "user_code" not in flow:
            self._connection.forget_refusals()
            raise refusal_of(flow)
        return DeviceCode(
            flow=dict(flow),
            user_code=str(flow["user_code"]),
            verification_uri=str(flow.get("verification_uri") or flow.get("verification_url")),
            message=str(flow.get("message", "")),
            expires_at=datetime.fromtimestamp(flow["expires_at"], UTC),
            interval_s=max(1, int(flow["interval"])),
        )

    def ask(self, flow: Mapping[str, Any]) -> DeviceAnswer:
        """Ask once whether the person has signed in.

        Raises:
            TryLater: `entra_unavailable`.
        """
        cache = import_msal().SerializableTokenCache()
        client = self._connection.client(cache)
        # MSAL waits `interval` seconds in steps of one before it looks at the exit condition,
        # but with an interval of 0 it would never look.
        asking = {**flow, "interval": max(1, int(flow.get("interval", 5)))}
        # The caller keeps to the interval; MSAL would compare with this process's clock and warn.
        asking.pop("latest_attempt_at", None)
        with entra_errors():
            result = client.acquire_token_by_device_flow(asking, exit_condition=lambda _: True)
        interval_s = int(asking["interval"])
        error = result.get("error")
        if "access_token" in result:
            return DeviceAnswer(
                outcome="signed_in",
                flow=asking,
                interval_s=interval_s,
                tokens=_new_tokens(client, cache, result),
            )
        if error in ("authorization_pending", "slow_down"):
            return DeviceAnswer(outcome="pending", flow=asking, interval_s=interval_s)
        if error in ("expired_token", "code_expired"):
            return DeviceAnswer(outcome="expired", flow=asking, interval_s=interval_s)
        if error in ("authorization_declined", "access_denied"):
            return DeviceAnswer(outcome="declined", flow=asking, interval_s=interval_s)
        state, reason, hint = sign_in_state(result)
        return DeviceAnswer(
            outcome="refused",
            flow=asking,
            interval_s=interval_s,
            state=state,
            reason_code=reason,
            message=hint,
        )

    def tenant_id(self) -> str:
        """The configured tenant's GUID, from Entra.

        Raises:
            SignInNeeded: `misconfigured`: Entra does not know the tenant.
            TryLater: `entra_unavailable`.
        """
        return str(self._new_client().authority.tenant)

    def _new_client(self) -> Any:
        return self._connection.client(import_msal().SerializableTokenCache())


def _new_tokens(client: Any, cache: Any, result: Mapping[str, Any]) -> NewTokens:
    account = account_from_msal(next(iter(client.get_accounts()), {}))
    issuer_tenant = (result.get("id_token_claims") or {}).get("tid")
    if issuer_tenant:
        account = replace(account, tenant_id=str(issuer_tenant))
    return NewTokens(
        cache=cache.serialize(),
        access_token=result["access_token"],
        account=account,
        has_refresh_token=bool(refresh_tokens(cache)),
    )
