"""Which referrals are stored: the filter settings for direction, status and sub-status."""

from __future__ import annotations

from dataclasses import dataclass

from pc_core.referral.referral import Referral


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The filter settings; values are compared case-insensitively.

    Attributes:
        directions, statuses: lower-case values that are stored; None: all.
        excluded_substatuses: lower-case values that are not stored.
    """

    directions: frozenset[str] | None
    statuses: frozenset[str] | None
    excluded_substatuses: frozenset[str]

    def skip_reason(self, referral: Referral) -> str | None:
        """Why a referral that is not stored yet is not inserted; None: it is.

        The first of direction, status and sub-status decides. A missing or undocumented value
        passes, unless the settings exclude it by name: one row too many is better than a lost
        lead.
        """
        unknown = {field for field, _ in referral.unknown}
        if _is_excluded(referral.direction, self.directions, "direction" in unknown):
            return f"direction_{referral.direction.lower()}"  # type: ignore[union-attr]
        if _is_excluded(referral.status, self.statuses, "status" in unknown):
            return f"status_{referral.status.lower()}"  # type: ignore[union-attr]
        if referral.substatus and referral.substatus.lower() in self.excluded_substatuses:
            return "substatus_excluded"
        return None


def _is_excluded(value: str | None, admitted: frozenset[str] | None, is_unknown: bool) -> bool:
    return (
        value is not None
        and admitted is not None
        and not is_unknown
        and value.lower() not in admitted
    )
