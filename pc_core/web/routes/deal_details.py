"""Details of a deal that only the raw data has. Pure; takes raw data of any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

_MOST = 50
"""Most items shown of a list; the raw data has all of them."""

_REQUIREMENTS = ("industries", "products", "services", "solutions", "offers", "salesPlays")


class Registration(Struct, frozen=True, kw_only=True):
    """A registration of the deal, as Partner Center wrote it."""

    status: str | None
    registered_at: str | None


class DealDetails(Struct, frozen=True, kw_only=True):
    """Notes, requirements, consents and where the referral came from.

    Attributes:
        requirements: names by kind; empty kinds are left out.
        consents: flags by Partner Center's name.
    """

    notes: str | None
    invitation_notes: str | None
    invited_by: str | None
    source: str | None
    requirements: dict[str, list[str]]
    consents: dict[str, bool]
    registrations: list[Registration]


def deal_details(raw: Mapping[str, Any]) -> DealDetails:
    """The details of a referral's raw data."""
    details, invitation = _object(raw.get("details")), _object(raw.get("inviteContext"))
    requirements = _object(details.get("requirements"))
    inviter = _object(invitation.get("invitedBy"))
    wanted = {kind: _names(requirements.get(kind)) for kind in _REQUIREMENTS}
    attributes = _object(requirements.get("additionalRequirements")).get("attributes")
    wanted["attributes"] = [
        f"{_text(item.get('type')) or '?'}: {_text(item.get('id')) or '?'}"
        for item in _objects(attributes)
    ]
    return DealDetails(
        notes=_text(details.get("notes")),
        invitation_notes=_text(invitation.get("notes")),
        invited_by=_text(inviter.get("organizationName")) or _text(inviter.get("organizationId")),
        source=_text(raw.get("referralSource")),
        requirements={kind: names for kind, names in wanted.items() if names},
        consents={
            str(name): given
            for name, given in _object(raw.get("consent")).items()
            if isinstance(given, bool)
        },
        registrations=[
            Registration(
                status=_text(registration.get("status")),
                registered_at=_text(registration.get("registrationDateTime")),
            )
            for registration in _objects(raw.get("registrations"))
        ],
    )


def _names(listed: object) -> list[str]:
    names = (_text(item.get("name")) or _text(item.get("id")) for item in _objects(listed))
    return [name for name in names if name]


def _objects(listed: object) -> Sequence[Mapping[str, Any]]:
    found = listed if isinstance(listed, list) else []
    return [item for item in found if isinstance(item, dict)][:_MOST]


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None
