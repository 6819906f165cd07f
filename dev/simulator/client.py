"""Drives a simulator in another process, with the attributes that an in-process one has."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dev.simulator.entra import Account, Grant, UnknownUserCode
from dev.simulator.faults import Fault
from dev.simulator.message import RecordedRequest
from dev.simulator.referrals import Wire
from dev.simulator.world import UnknownReferral

_KINDS: dict[str, type[Exception]] = {
    "UnknownReferral": UnknownReferral,
    "UnknownUserCode": UnknownUserCode,
    "ValueError": ValueError,
}


class SimulatorClient:
    """Control of a running simulator over its control API.

    Args:
        base_url: `https://localhost:PORT`.
        ca_path: PEM file of its CA.
        timeout_s: how long one control request may take; a big world takes long to reset.

    Attributes:
        state, behaviour, entra, faults: as the attributes of `Simulator`; what takes a
            callable there takes an operation's name and arguments here.
    """

    def __init__(self, base_url: str, ca_path: Path | str, *, timeout_s: float = 120.0) -> None:
        self.base_url = base_url
        self.authority = base_url
        self.ca_path = Path(ca_path)
        self._timeout_s = timeout_s
        self._context = ssl.create_default_context(cafile=str(ca_path))
        self.state = _State(self)
        self.behaviour = RemoteSwitches(self, "behaviour/get", "behaviour/set")
        self.entra = _Entra(self)
        self.faults = _Faults(self)

    @classmethod
    def from_port_file(cls, port_file: Path | str, ca_path: Path | str) -> SimulatorClient:
        """For the simulator that wrote this port file."""
        written = json.loads(Path(port_file).read_text(encoding="utf-8"))
        return cls(written["base_url"], ca_path)

    def describe(self) -> dict[str, Any]:
        """What the simulator says of itself."""
        described: dict[str, Any] = self._request("GET", "/_simulator/", None)
        return described

    @property
    def tenant_id(self) -> str:
        """The tenant that the referrals belong to."""
        return str(self.describe()["tenant_id"])

    @property
    def client_id(self) -> str:
        """The one app registration."""
        return str(self.describe()["client_id"])

    @property
    def device_url(self) -> str:
        """The page where a person types a user code."""
        return str(self.describe()["device_url"])

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far, the control API's own not among them."""
        return [
            RecordedRequest(**(entry | {"at": datetime.fromisoformat(entry["at"])}))
            for entry in self.call("requests/list")
        ]

    def clear_requests(self) -> None:
        """Forget the recorded requests and the counts of token requests."""
        self.call("requests/clear")

    def reset(self, referrals: int = 400, *, seed: int = 1, now: datetime | None = None) -> None:
        """Begin anew with a fresh world, default behaviour, no faults, no tokens, no record."""
        self.call("simulator/reset", referrals=referrals, seed=seed, now=_write_time(now))

    def measure_process(self) -> dict[str, float | None]:
        """The simulator's `cpu_s` so far and `peak_bytes` of memory."""
        measured: dict[str, float | None] = self.call("simulator/process")
        return measured

    def call(self, operation: str, **arguments: Any) -> Any:
        """Run one operation of the control API.

        Raises:
            UnknownReferral, UnknownUserCode, ValueError: as the operation raises them.
            OSError: if the simulator does not answer.
        """
        return self._request("POST", f"/_simulator/{operation}", arguments)

    def _request(self, method: str, path: str, arguments: Mapping[str, Any] | None) -> Any:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPSConnection(
            address.hostname or "localhost",
            address.port,
            timeout=self._timeout_s,
            context=self._context,
        )
        try:
            body = None if arguments is None else json.dumps(arguments).encode()
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise _KINDS.get(answer.get("kind"), ValueError)(answer["error"])
        return answer["result"]


class RemoteSwitches:
    """A behaviour's switches as attributes; reading and setting each make a request."""

    def __init__(self, client: SimulatorClient, get: str, set_: str) -> None:
        object.__setattr__(self, "_client", client)
        object.__setattr__(self, "_get", get)
        object.__setattr__(self, "_set", set_)

    def __getattr__(self, name: str) -> Any:
        """The switch's value.

        Raises:
            AttributeError: if there is no such switch.
        """
        switches = object.__getattribute__(self, "_client").call(
            object.__getattribute__(self, "_get")
        )
        if name not in switches:
            raise AttributeError(name)
        return switches[name]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the switch.

        Raises:
            ValueError: if there is no such switch, or it does not take the value.
        """
        client: SimulatorClient = object.__getattribute__(self, "_client")
        client.call(object.__getattribute__(self, "_set"), **{name: value})


class _State:
    def __init__(self, client: SimulatorClient) -> None:
        self._client = client

    def __len__(self) -> int:
        return int(self._client.call("state/count"))

    @property
    def now(self) -> datetime:
        """The world's clock, as `World.now`."""
        return datetime.fromisoformat(self._client.call("state/now"))

    @now.setter
    def now(self, at: datetime | None) -> None:
        self._client.call("state/set_now", now=_write_time(at))

    def advance(self, seconds: float) -> datetime:
        """See `World.advance`."""
        return datetime.fromisoformat(self._client.call("state/advance", seconds=seconds))

    def ids(self) -> list[str]:
        """See `World.ids`."""
        ids: list[str] = self._client.call("state/ids")
        return ids

    def truth(self) -> list[Wire]:
        """See `World.truth`."""
        truth: list[Wire] = self._client.call("state/truth")
        return truth

    def get(self, referral_id: str) -> Wire:
        """See `World.get`."""
        referral: Wire = self._client.call("state/get", referral_id=referral_id)
        return referral

    def add(self, referral: Wire | None = None, /, **fields: Any) -> Wire:
        """See `World.add`."""
        added: Wire = self._client.call("state/add", referral=referral, fields=fields)
        return added

    def add_raw(
        self,
        referral_id: str,
        raw: bytes,
        *,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """See `World.add_raw`."""
        self._client.call(
            "state/add_raw",
            referral_id=referral_id,
            raw=raw.decode("latin-1"),
            created_at=_write_time(created_at),
            updated_at=_write_time(updated_at),
        )

    def change(
        self,
        referral_id: str,
        /,
        *,
        silent: bool = False,
        keep_etag: bool = False,
        **fields: Any,
    ) -> Wire:
        """See `World.change`, without the callable."""
        changed: Wire = self._client.call(
            "state/change",
            referral_id=referral_id,
            silent=silent,
            keep_etag=keep_etag,
            fields=fields,
        )
        return changed

    def change_some(self, how_many: float, *, silent: bool = False) -> list[str]:
        """See `World.change_some`."""
        ids: list[str] = self._client.call("state/change_some", how_many=how_many, silent=silent)
        return ids

    def close(self, referral_id: str, substatus: str = "Won") -> Wire:
        """See `World.close`."""
        closed: Wire = self._client.call(
            "state/close", referral_id=referral_id, substatus=substatus
        )
        return closed

    def remove(self, referral_id: str) -> None:
        """See `World.remove`."""
        self._client.call("state/remove", referral_id=referral_id)

    def restore(self, referral_id: str) -> None:
        """See `World.restore`."""
        self._client.call("state/restore", referral_id=referral_id)

    def set_visible(self, which: float | Collection[str]) -> int:
        """See `World.set_visible`, without the predicate."""
        sent = which if isinstance(which, int | float) else sorted(which)
        return int(self._client.call("state/set_visible", which=sent))

    def after_request(self, n: int, operation: str, **arguments: Any) -> None:
        """After the n-th list answer from now, do an operation such as `state/remove`."""
        self._client.call(
            "state/after_request", n=n, planned={"operation": operation, "arguments": arguments}
        )

    def render_all(self) -> None:
        """See `World.render_all`."""
        self._client.call("state/render_all")


class _Faults:
    def __init__(self, client: SimulatorClient) -> None:
        self._client = client

    def add(self, *faults: Fault) -> None:
        """See `FaultQueue.add`."""
        self._client.call("faults/add", faults_to_add=[fault.describe() for fault in faults])

    def clear(self) -> None:
        """See `FaultQueue.clear`."""
        self._client.call("faults/clear")

    def pending(self) -> list[Fault]:
        """See `FaultQueue.pending`."""
        return [Fault(**fault) for fault in self._client.call("faults/pending")]


class _Entra:
    def __init__(self, client: SimulatorClient) -> None:
        self._client = client
        self.behaviour = RemoteSwitches(client, "entra/get_behaviour", "entra/set_behaviour")

    @property
    def account(self) -> Account:
        """Who signs in at the next approval."""
        return Account(**self._client.call("entra/account"))

    @account.setter
    def account(self, account: Account) -> None:
        self._client.call("entra/set_account", **asdict(account))

    @property
    def token_requests(self) -> dict[str, int]:
        """See `Entra.token_requests`."""
        counts: dict[str, int] = self._client.call("entra/token_requests")
        return counts

    @property
    def claims_received(self) -> list[str]:
        """The `claims` parameters that token requests carried."""
        claims: list[str] = self._client.call("entra/claims_received")
        return claims

    def pending_user_codes(self) -> list[str]:
        """See `Entra.pending_user_codes`."""
        codes: list[str] = self._client.call("entra/pending_user_codes")
        return codes

    def approve(self, user_code: str | None = None, account: Account | None = None) -> None:
        """See `Entra.approve`."""
        self._client.call(
            "entra/approve",
            user_code=user_code,
            account=None if account is None else asdict(account),
        )

    def decline(self, user_code: str | None = None) -> None:
        """See `Entra.decline`."""
        self._client.call("entra/decline", user_code=user_code)

    def expire_device_codes(self) -> None:
        """See `Entra.expire_device_codes`."""
        self._client.call("entra/expire_device_codes")

    def expire_refresh_tokens(self) -> None:
        """See `Entra.expire_refresh_tokens`."""
        self._client.call("entra/expire_refresh_tokens")

    def revoke(self, *, access_tokens: bool = False) -> None:
        """See `Entra.revoke`."""
        self._client.call("entra/revoke", access_tokens=access_tokens)

    def fail_with(
        self,
        code: int | str | None,
        *,
        times: int | None = None,
        grant: Grant = "any",
        error: str | None = None,
        suberror: str | None = None,
        claims: str | None = None,
        status: int | None = None,
    ) -> None:
        """See `Entra.fail_with`."""
        self._client.call(
            "entra/fail_with",
            code=code,
            times=times,
            grant=grant,
            error=error,
            suberror=suberror,
            claims=claims,
            status=status,
        )

    def issue_access_token(self, account: Account | None = None, **how: Any) -> str:
        """See `Entra.issue_access_token`."""
        token: str = self._client.call(
            "entra/issue_access_token",
            account=None if account is None else asdict(account),
            **how,
        )
        return token


def _write_time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
