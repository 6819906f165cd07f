"""Tombstones: keyed hashes that recognise an erased customer without storing its identity."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

ErasedKind = Literal["referral_id", "domain"]


def tombstone(key: bytes, kind: ErasedKind, value: str) -> bytes:
    """The keyed hash (HMAC-SHA-256, 32 bytes) of an erased referral id or domain.

    Args:
        key: the database's own random key, so that hashes of two databases cannot be compared.
    """
    return hmac.digest(key, f"{kind}:{value.strip().lower()}".encode(), "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstones:
    """All tombstones of a database: what was erased and must not be stored again."""

    key: bytes = b""
    referral_ids: frozenset[bytes] = frozenset()
    domains: frozenset[bytes] = frozenset()

    def covers_id(self, referral_id: str) -> bool:
        """Whether this referral was erased."""
        return bool(self.referral_ids) and self.of_id(referral_id) in self.referral_ids

    def of_id(self, referral_id: str) -> bytes:
        """The hash of this referral, whether or not it was erased."""
        return tombstone(self.key, "referral_id", referral_id)

    def with_ids(self, digests: Iterable[bytes]) -> Tombstones:
        """These, and those of referrals that were erased since."""
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
        referrals, changes, quarantine: rows removed from each table.
        tombstones: new tombstones; in a dry run, those that would belong to it.
        mentions: quarantine entries of other or unreadable referrals in which the domain occurs.
            They are kept, because they may be another customer's; an operator should check them.
    """

    referrals: int
    changes: int
    quarantine: int
    tombstones: int
    mentions: int

    def to_json(self) -> dict[str, int]:
        """A JSON object."""
        return asdict(self)
