"""Erasure of a customer's data: rows, history and quarantine go, keyed hashes stay."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pc_core.referral.storable import restore_raw
from pc_core.referral.tombstones import ErasedKind, ErasureCount, ids_in, tombstone
from pc_core.store.batch import Batch, Rows
from pc_core.store.pool import Connect
from pc_core.store.statements import load_statements
from pc_core.store.writing import lease as leases
from pc_core.store.writing.json_text import to_json_text
from pc_core.sync.ports import Lease

_SQL = load_statements("erasure")


def erase_stored(
    connect: Connect,
    lease: Lease,
    *,
    referral_ids: Collection[str] = (),
    domain: str | None = None,
    dry_run: bool,
) -> ErasureCount:
    """Erase these referrals and all referrals of this domain, in one transaction.

    Each referral of the domain gets a tombstone besides the domain's own: a later version of its
    content may have no domain.

    Args:
        domain: as in the column: registrable, lower-case ASCII.
        dry_run: count only.
    """
    domain = domain.strip().lower() if domain else None
    with connect() as connection:
        batch = Batch(connection)
        batch.begin(patient=True)
        leases.add_keep(batch, lease)
        batch.add(_SQL["key"])
        batch.add(_SQL["ids_of_domain"], {"domain": domain})
        kept, key, of_domain = batch.send()
        leases.check(lease, kept)
        ids = sorted({each.strip().lower() for each in referral_ids} | {*referral_ids})
        ids += [row[0] for row in of_domain if row[0] not in ids]
        digests = _digests(key, [*referral_ids, *(row[0] for row in of_domain)], domain)
        unreadable = _unreadable_that_name(ids, batch)
        batch.add(_SQL["count"], {"ids": ids, "domain": domain, "unreadable": unreadable})
        if not dry_run:
            _add_removal(batch, ids, unreadable)
            add_burial(batch, digests)
        batch.commit()
        counted, *buried = batch.send()
    referrals, changes, quarantine, mentions = counted[0]
    return ErasureCount(
        referrals=referrals,
        changes=changes,
        quarantine=quarantine,
        tombstones=len(buried[0]) if buried else len(digests),
        mentions=mentions,
    )


def add_removal(batch: Batch, ids: Collection[str]) -> None:
    """Delete the rows, history, quarantine entries and seen ids of these referrals.

    What the batch holds is sent, so that the unreadable entries can be searched for the ids.
    """
    _add_removal(batch, ids, _unreadable_that_name(ids, batch))


def _unreadable_that_name(ids: Collection[str], batch: Batch) -> list[int]:
    """Numbers of quarantine entries whose own id cannot be read and that name one of these."""
    wanted = {each.strip().lower() for each in ids}
    found: list[int] = []
    after = 0
    while True:
        batch.add(_SQL["unreadable"], {"after_id": after})
        entries = batch.send()[-1]
        if not entries:
            return found
        found += [
            number
            for number, raw_text in entries
            if not wanted.isdisjoint(ids_in(restore_raw(raw_text)))
        ]
        after = entries[-1][0]


def _add_removal(batch: Batch, ids: Collection[str], unreadable: list[int]) -> None:
    values = {"ids": list(ids), "unreadable": unreadable}
    for name in ("erase_changes", "erase_quarantine", "erase_seen", "erase_referrals"):
        batch.add(_SQL[name], values)


def add_burial(batch: Batch, digests: Iterable[tuple[ErasedKind, bytes]]) -> None:
    """Write tombstones; existing ones stay as they are."""
    plain = [{"kind": kind, "digest": digest.hex()} for kind, digest in digests]
    batch.add(_SQL["bury"], {"tombstones": to_json_text(plain)})


def _digests(key: Rows, ids: Collection[str], domain: str | None) -> list[tuple[ErasedKind, bytes]]:
    secret = key[0][0]
    found: set[tuple[ErasedKind, bytes]] = {
        ("referral_id", tombstone(secret, "referral_id", each)) for each in ids
    }
    if domain is not None:
        found.add(("domain", tombstone(secret, "domain", domain)))
    return sorted(found)
