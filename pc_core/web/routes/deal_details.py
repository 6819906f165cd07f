"""What raw data tells a sales person beyond the columns. Pure; any shape is survived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 50
"""Of each list that is shown; the raw data has all."""

_REQUIREMENTS = ("industries", "products", "services", "solutions", "offers", "salesPlays")


def deal_details(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Notes, requirements, consents and where the referral came from.

    Returns:
        `notes`, `invitation_notes`, `invited_by`, `source` (texts or None), `requirements`
        (lists of names by kind, empty kinds left out), `consents` (flags by Partner Center's
        name), `registrations` (of the deal: status and when).
    """
    details, invitation = _object(raw.get("details")), _object(raw.get("inviteContext"))
    requirements = _object(details.get("requirements"))
    inviter = _object(invitation.get("invitedBy"))
    wanted = {kind: _names(requirements.get(kind)) for kind in _REQUIREMENTS}
    attributes = _object(requirements.get("additionalRequirements")).get("attributes")
    wanted["attributes"] = [
        f"{_text(item.get('type')) or '?'}: {_text(item.get('id')) or '?'}"
        for item in _objects(attributes)
    ]
    return {
        "notes": _text(details.get("notes")),
        "invitation_notes": _text(invitation.get("notes")),
        "invited_by": _text(inviter.get("organizationName"))
        or _text(inviter.get("organizationId")),
        "source": _text(raw.get("referralSource")),
        "requirements": {kind: names for kind, names in wanted.items() if names},
        "consents": {
            str(name): given
            for name, given in _object(raw.get("consent")).items()
            if isinstance(given, bool)
        },
        "registrations": [
            {
                "status": _text(registration.get("status")),
                "registered_at": _text(registration.get("registrationDateTime")),
            }
            for registration in _objects(raw.get("registrations"))
        ],
    }


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
