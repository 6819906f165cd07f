"""Tombstones: keyed hashes that recognise an erased customer without storing its identity."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from pc_core.referral.referral import MAX_ID_CHARS
from pc_core.referral.storable import without_escapes

ErasedKind = Literal["referral_id", "domain"]

_WORD: Final = re.compile(r"[\w-]+")
_MAX_PART_CHARS: Final = 2 * MAX_ID_CHARS
"""An id may have spaces around it."""


def tombstone(key: bytes, kind: ErasedKind, value: str) -> bytes:
    """The keyed hash (HMAC-SHA-256, 32 bytes) of an erased referral id or domain.

    Args:
        key: the database's own random key, so that hashes of two databases cannot be compared.
    """
    return hmac.digest(key, f"{kind}:{value.strip().lower()}".encode(), "sha256")


def ids_in(text: bytes) -> set[str]:
    """Every text that may be a referral id, in lower case, for finding a known id.

    Args:
        text: of an item that is not valid JSON or whose id cannot be read.
    """
    plain = without_escapes(text).lower()
    found = {part.strip() for part in plain.split('"') if len(part) <= _MAX_PART_CHARS}
    return found.union(_WORD.findall(plain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstones:
    """All tombstones of a database: what was erased and must not be stored again."""

    key: bytes = b""
    referral_ids: frozenset[bytes] = frozenset()
    domains: frozenset[bytes] = frozenset()

    def covers_id(self, referral_id: str) -> bool:
        """Whether this referral was erased."""
        return bool(self.referral_ids) and self.of_id(referral_id) in self.referral_ids

    def covers_id_in(self, text: bytes) -> bool:
        """Whether a text whose own id cannot be read names an erased referral."""
        return bool(self.referral_ids) and any(map(self.covers_id, ids_in(text)))

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
        quarantine: also counts entries whose own id cannot be read and that name an erased one.
        mentions: quarantine entries of other or unreadable referrals in which the domain or an id
            occurs. They are kept, because they may be another customer's; an operator should check
            them.
    """

    referrals: int
    changes: int
    quarantine: int
    tombstones: int
    mentions: int

    def to_json(self) -> dict[str, int]:
        """A JSON object."""
        return asdict(self)
