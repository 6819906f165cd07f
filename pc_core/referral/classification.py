"""The category of a referral, by Microsoft's table, and the type that Hunter uses for it.

Microsoft's table ("Referrals API: determine the category") depends on type, qualification and
inviter; direction and the marketplace fields alone decide nothing. Combinations outside the table
are `unknown`, never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from pc_core.referral.referral import Referral

RULES_VERSION: Final = 1
"""Increases with every change of the rules below, so that stored rows are rebuilt."""

type Category = Literal["marketplace_lead", "qualified_lead", "co_sell_opportunity", "unknown"]
type ReferralType = Literal["marketplace", "solution-provider", "co-sell"]
type _Inviter = Literal["nobody", "microsoft", "partner"]


class Classification(NamedTuple):
    """Category, Hunter's type (None: it has none) and the code of the rule that decided."""

    category: Category
    referral_type: ReferralType | None
    rule: str


_MICROSOFT: Final = "msft"
_DIRECTORY_TARGET: Final = "businessprofilelocation"

_MARKETPLACE: Final = Classification("marketplace_lead", "marketplace", "independent_direct")
# A lead from the solution provider directory looks like a marketplace lead, but it is addressed to
# a location of the partner's profile, and no marketplace field is filled.
_DIRECTORY: Final = Classification(
    "marketplace_lead", "solution-provider", "independent_direct_directory"
)
_QUALIFIED: Final = Classification("qualified_lead", "solution-provider", "qualified_by_microsoft")
_CO_SELL: Final = Classification("co_sell_opportunity", "co-sell", "invited_by_partner")

# A missing qualification means the same as the value `None`.
_TABLE: Final[Mapping[tuple[str, str, _Inviter], Classification]] = {
    ("Independent", "Direct", "microsoft"): _MARKETPLACE,
    ("Independent", "Direct", "nobody"): _MARKETPLACE,
    ("Independent", "SalesQualified", "microsoft"): _QUALIFIED,
    ("Independent", "MarketingQualified", "microsoft"): _QUALIFIED,
    ("Independent", "SalesQualified", "partner"): _CO_SELL,
    ("Independent", "None", "partner"): _CO_SELL,
    ("Shared", "SalesQualified", "partner"): _CO_SELL,
    ("Shared", "None", "partner"): _CO_SELL,
}

_TYPE_MISSING: Final = Classification("unknown", None, "type_missing")
_TYPE_UNKNOWN: Final = Classification("unknown", None, "type_unknown")
_QUALIFICATION_UNKNOWN: Final = Classification("unknown", None, "qualification_unknown")
_OUTSIDE_TABLE: Final = Classification("unknown", None, "outside_table")


def classify(referral: Referral) -> Classification:
    """Apply Microsoft's table, then the rule for directory leads."""
    kind = referral.type
    if kind is None:
        return _TYPE_MISSING
    qualification = referral.qualification or "None"
    inviter = _inviter(referral.invited_by_organization_id)
    found = _TABLE.get((kind, qualification, inviter))
    if found is None:
        return _outside(referral)
    if found is _MARKETPLACE and not referral.marketplace_signs and _is_directory_lead(referral):
        return _DIRECTORY
    return found


def _inviter(organization_id: str | None) -> _Inviter:
    if not organization_id:
        return "nobody"
    return "microsoft" if organization_id.lower() == _MICROSOFT else "partner"


def _is_directory_lead(referral: Referral) -> bool:
    return any(kind and kind.strip().lower() == _DIRECTORY_TARGET for kind, _ in referral.target)


def _outside(referral: Referral) -> Classification:
    new_fields = {field for field, _ in referral.unknown}
    if "type" in new_fields:
        return _TYPE_UNKNOWN
    return _QUALIFICATION_UNKNOWN if "qualification" in new_fields else _OUTSIDE_TABLE
