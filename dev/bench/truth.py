"""What the simulator holds, and whether a contender's tables hold the same."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec
import psycopg

from dev.bench.contenders.wire import OLDEST_FIRST, bodies, raw
from dev.bench.stage import Arena, Stage

_CANONICAL = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Every referral: a digest of its whole JSON, and its eTag, which every change renews."""

    digests: dict[str, bytes]
    versions: dict[str, tuple[str | None, str | None, str | None]]

    @classmethod
    def read(cls, stage: Stage, arena: Arena) -> Truth:
        """Fetch the whole list."""
        task = stage.task(arena, first=True, measures=Path("unused"))
        latency_ms = stage.latency_ms
        stage.set_latency(0)
        digests, versions = {}, {}
        for items, wires in bodies(task, OLDEST_FIRST):
            for item, wire in zip(items, wires, strict=True):
                digests[wire.id] = _digest(raw(item))
                versions[wire.id] = (wire.e_tag, wire.status, wire.substatus)
        stage.set_latency(latency_ms)
        return cls(digests=digests, versions=versions)

    def compare(self, arena: Arena, *, whole: bool) -> tuple[int, int]:
        """How many rows a contender has, and how many are missing, surplus or different.

        Args:
            whole: compare the whole JSON, where the contender keeps it, and not only the version.
        """
        right = rows = 0
        with psycopg.connect(arena.url) as connection, connection.cursor("compared") as cursor:
            cursor.itersize = 1000
            if arena.has_own_tables:
                cursor.execute(
                    "SELECT referral_id, etag, status, substatus, CASE WHEN %s THEN "
                    "convert_to(raw_data::text, 'UTF8') END FROM partner_center_referrals",
                    [whole],
                )
            else:
                cursor.execute(
                    "SELECT id, e_tag, status, substatus, NULL::bytea FROM referrals.referrals"
                )
            for referral_id, etag, status, substatus, content in cursor:
                rows += 1
                right += self.versions.get(referral_id) == (etag, status, substatus) and (
                    content is None or self.digests[referral_id] == _digest(content)
                )
        return rows, max(rows, len(self.versions)) - right


def _digest(content: bytes) -> bytes:
    plain = msgspec.json.decode(content)
    return blake2b(_CANONICAL.encode(plain), digest_size=16).digest()
