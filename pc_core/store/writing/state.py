"""The state that one run leaves to the next: the single row of partner_center_sync_state."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pc_core.errors import FixSetting, SignInState
from pc_core.identity.account import SignInStatus
from pc_core.referral.tombstones import Tombstones
from pc_core.store.batch import Batch
from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.store.writing.json_text import to_json_text
from pc_core.sync.ports import Lease
from pc_core.sync.state import Fingerprint, PendingHead, Sweep, SyncState

if TYPE_CHECKING:
    from psycopg import Connection

# Made at import, in one thread: two threads that decode a type for the first time at the same
# moment can crash the interpreter.
_PARTS: dict[str, msgspec.json.Decoder[Any]] = {
    "head": msgspec.json.Decoder(PendingHead),
    "sweep": msgspec.json.Decoder(Sweep),
    "fingerprint": msgspec.json.Decoder(Fingerprint),
}
_SIGN_IN = msgspec.json.Decoder(SignInStatus)
_NAMES = tuple(field.name for field in fields(SyncState))

_SQL = load_statements(
    "state",
    columns=", ".join(f"{name}::text" if name in _PARTS else name for name in _NAMES),
    assignments=", ".join(f"{name} = %({name})s" for name in _NAMES),
)


def add_state(batch: Batch, lease: Lease, after: SyncState) -> None:
    """Write the state and extend the lease, in one statement that returns no row if it is lost."""
    values: dict[str, Any] = {name: getattr(after, name) for name in _NAMES}
    values |= {name: to_json_text(values[name]) for name in _PARTS}
    batch.add(_SQL["save"], values | {"fence": lease.fence, "task_id": lease.task_id})


def load_state(connection: Connection[Any]) -> SyncState:
    """See `Store.load_state`; an empty state too if the row is not there."""
    row = connection.execute(_SQL["load"]).fetchone()
    if row is None:
        return SyncState()
    values = dict(zip(_NAMES, row, strict=True))
    for name, decoder in _PARTS.items():
        if values[name] is not None:
            values[name] = decoder.decode(values[name])
    return SyncState(**values)


def load_tombstones(connect: Connect) -> Tombstones:
    """The tombstones, and the key that their digests were made with."""
    with connect() as connection:
        rows = connection.execute(_SQL["load_tombstones"]).fetchall()
    if not rows:
        # Without the row there is no key, and nothing erased would be recognised.
        raise no_row()
    return Tombstones(
        key=rows[0][0],
        referral_ids=frozenset(digest for _, kind, digest in rows if kind == "referral_id"),
        domains=frozenset(digest for _, kind, digest in rows if kind == "domain"),
    )


def save_sign_in(
    connect: Connect, status: SignInStatus, *, unless_ok_after: datetime | None = None
) -> bool:
    """Store the sign-in state; see `Store.save_sign_in`.

    If the state is the same as before, its `since_at` is kept.
    """
    with connect() as connection:
        batch = Batch(connection)
        batch.begin()
        batch.add(_SQL["lock_sign_in"])
        found = batch.send()[-1]
        if not found:
            raise no_row()
        before = _decode_sign_in(found[0][0])
        if unless_ok_after is not None and _is_ok_after(before, unless_ok_after):
            return False
        if before is not None and before.state is status.state and before.since_at is not None:
            status = replace(status, since_at=before.since_at)
        elif status.since_at is None:
            status = replace(status, since_at=status.checked_at)
        batch.add(_SQL["save_sign_in"], {"sign_in": to_json_text(status)})
        batch.commit()
        batch.send()
    if before is None or before.state is not status.state:
        return True
    return status.state is not SignInState.OK and before.reason_code != status.reason_code


def _is_ok_after(status: SignInStatus | None, instant: datetime) -> bool:
    return (
        status is not None
        and status.state is SignInState.OK
        and status.checked_at is not None
        and status.checked_at > instant
    )


def load_sign_in(connection: Connection[Any]) -> SignInStatus | None:
    """See `Store.load_sign_in`."""
    row = connection.execute(_SQL["load_sign_in"]).fetchone()
    return _decode_sign_in(row[0]) if row else None


def _decode_sign_in(text: str | None) -> SignInStatus | None:
    return None if text is None else _SIGN_IN.decode(text)


def no_row() -> FixSetting:
    """The error for a state table without its row."""
    return FixSetting(
        "partner_center_sync_state has no row although its migration makes one. Nothing was "
        "written. Restore it from a backup: it holds the key that recognises erased customers.",
        code="state_missing",
    )
