"""Saves what a run has read."""

from __future__ import annotations

from pc_core.errors import (
    RowRefused,
)
from pc_core.referral.read import set_aside
from pc_core.referral.referral import Malformed, Referral


def without(item: Referral | Malformed, refused: RowRefused) -> Referral | Malformed:
    """The item, set aside if it is the one that the database has refused."""
    if isinstance(item, Referral) and item.referral_id == refused.referral_id:
        return set_aside(item, reason=refused.code, detail=str(refused))
    return item
