"""Tombstones: how an erased customer is recognised without keeping who it was."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
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
        return bool(self.referral_ids) and (
            tombstone(self.key, "referral_id", referral_id) in self.referral_ids
        )

    def covers_domain(self, domain: str | None) -> bool:
        """Whether this customer's domain was erased."""
        return bool(self.domains and domain) and (
            tombstone(self.key, "domain", domain or "") in self.domains
        )
