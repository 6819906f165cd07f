"""Entra's device code flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pc_core.errors import (
    FixSetting,
    SignInState,
)
from pc_core.identity.entra import EntraConnection, entra_errors, load_msal
from pc_core.identity.refusals import refused, sign_in_state
from pc_core.identity.tokens import NewTokens, new_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """A device code that waits for a person.

    Attributes:
        flow: what MSAL needs to ask about it; JSON values, secret.
        user_code: what the person types at `verification_uri`.
        interval_s: how often Entra may be asked, at most.
    """

    flow: dict[str, Any] = field(repr=False)
    user_code: str
    verification_uri: str
    message: str
    expires_at: datetime
    interval_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAnswer:
    """What Entra says of a device code.

    Attributes:
        flow: to ask with the next time.
        interval_s: grows when Entra says `slow_down`.
        tokens: once the person has signed in.
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
        """A fresh device code.

        Raises:
            SignInNeeded: Entra refuses (wrong app, public client flows off, …).
            TryLater: `entra_unavailable`.
        """
        app = self._fresh_app()
        with entra_errors():
            try:
                flow = app.initiate_device_flow(scopes=[self._scope])
            except ValueError:
                raise FixSetting(
                    "HUNTER_PARTNER_CENTER_SCOPE is no scope that can be signed in for, or the "
                    "authority offers no device codes.",
                    code="scope_invalid",
                ) from None
        if "user_code" not in flow:
            self._connection.forget_refusals()
            raise refused(flow)
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
        cache = load_msal().SerializableTokenCache()
        app = self._connection.app(cache)
        # MSAL waits `interval` seconds in steps of one before it looks at the exit condition,
        # but with an interval of 0 it would never look.
        asking = {**flow, "interval": max(1, int(flow.get("interval", 5)))}
        # The caller keeps to the interval; MSAL would compare with this process's clock and warn.
        asking.pop("latest_attempt_at", None)
        with entra_errors():
            result = app.acquire_token_by_device_flow(asking, exit_condition=lambda _: True)
        interval_s = int(asking["interval"])
        error = result.get("error")
        if "access_token" in result:
            return DeviceAnswer(
                outcome="signed_in",
                flow=asking,
                interval_s=interval_s,
                tokens=new_tokens(app, cache, result),
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
        """The configured tenant's GUID, as Entra tells it.

        Raises:
            SignInNeeded: `misconfigured`: Entra does not know the tenant.
            TryLater: `entra_unavailable`.
        """
        return str(self._fresh_app().authority.tenant)

    def _fresh_app(self) -> Any:
        return self._connection.app(load_msal().SerializableTokenCache())
