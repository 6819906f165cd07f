"""Tombstones: how an erased customer is recognised without keeping who it was."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

ErasedKind = Literal["referral_id", "domain"]


def tombstone(key: bytes, kind: ErasedKind, value: str) -> bytes:
    """A keyed hash (HMAC-SHA-256, 32 bytes) of what was erased.

    Args:
        key: the database's own random key, so that digests of two databases cannot be compared.
    """
    return hmac.digest(key, f"{kind}:{value.strip().lower()}".encode(), "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstones:
    """Everything that was erased and must not come back."""

    key: bytes = b""
    referral_ids: frozenset[bytes] = frozenset()
    domains: frozenset[bytes] = frozenset()

    def covers_id(self, referral_id: str) -> bool:
        """Whether this referral was erased."""
        return bool(self.referral_ids) and self.of_id(referral_id) in self.referral_ids

    def of_id(self, referral_id: str) -> bytes:
        """The tombstone of this referral, whether or not it is among these."""
        return tombstone(self.key, "referral_id", referral_id)

    def with_ids(self, digests: Iterable[bytes]) -> Tombstones:
        """These, and referrals that have been buried since."""
        return replace(self, referral_ids=self.referral_ids.union(digests))

    def covers_domain(self, domain: str | None) -> bool:
        """Whether this customer's domain was erased."""
        return bool(self.domains and domain) and (
            tombstone(self.key, "domain", domain or "") in self.domains
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureCount:
    """What an erasure removed, or would remove.

    Attributes:
        referrals, changes, quarantine: rows removed of each table.
        tombstones: keyed hashes newly written; in a dry run, those that belong to it.
        mentions: quarantine entries of other referrals (or of none that could be read) in which
            the domain occurs; they stay, since they may be another customer's: look at them.
    """

    referrals: int
    changes: int
    quarantine: int
    tombstones: int
    mentions: int

    def to_json(self) -> dict[str, int]:
        """Plain JSON types."""
        return asdict(self)
