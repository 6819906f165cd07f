"""Lifelike referrals in Partner Center's wire form, all invented, the same for a seed.

A referral is built once as a dict with marks where its identity stands (id, engagement,
instants, eTag, domain label) and kept as a `Pattern`: rendered JSON cut at the marks. The first
`PATTERN_COUNT` referrals of a world have a pattern of their own; later ones reuse the patterns
with another identity, so that a million of them need neither minutes nor gigabytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from random import Random
from typing import Any

from dev.simulator.instants import TICKS_PER_S, to_ticks, to_wire
from dev.simulator.people import (
    CONSUMER_DOMAINS,
    OWN_DOMAIN,
    OWN_MPN_ID,
    OWN_ORGANIZATION_ID,
    OWN_ORGANIZATION_NAME,
    PARTNERS,
    Company,
    invent_company,
    invent_person,
)

type Wire = dict[str, Any]

PATTERN_COUNT = 5_000
COMPANY_COUNT = 1_700

DAY = 86_400 * TICKS_PER_S
HOUR = 3_600 * TICKS_PER_S

# Invented shares: they only have to look like a partner's list.
_KINDS = (
    ("co_sell_incoming", 26),
    ("co_sell_outgoing", 22),
    ("marketplace_lead", 22),
    ("directory_lead", 10),
    ("qualified_lead", 14),
    ("private_deal", 4),
    ("outside_the_table", 2),
)

_PRODUCTS = (
    "Azure",
    "Microsoft365",
    "Dynamics365Business",
    "Dynamics365Enterprise",
    "PowerBI",
    "SharePoint",
    "Teams",
    "SQL",
    "Windows",
    "EnterpriseMobilityAndSecurity",
)
_SERVICES = (
    "ConsultingAndProfessional",
    "DeploymentOrMigration",
    "Integration",
    "LearningAndCertification",
    "Licensing",
    "ManagedServices",
    "ProjectServices",
)
_INDUSTRIES = (
    "Education",
    "Financial Services",
    "Government",
    "Healthcare",
    "Manufacturing",
    "Retail & Consumer Goods",
    "Travel & Transportation",
    "Wholesale & Distribution",
)
_SOLUTIONS = (
    ("SYN-SOL-10231", "Sentetik ERP for Azure", "Name"),
    ("SYN-SOL-10487", "Veri Ambarı Hızlandırıcı", "Name"),
    ("SYN-SOL-11020", "Synthetic Backup & Recovery", "Name"),
    ("SYN-SOL-11555", "Muster-Dokumentenlenkung", "Name"),
    ("DataAndAI", "Data & AI", "Category"),
    ("BusinessApplications", "Business Applications", "Category"),
    ("ModernWork", "Modern Work", "Category"),
)
_NEEDS = {
    "tr-TR": (
        "ERP taşıma",
        "Microsoft 365 geçişi",
        "Azure yedekleme",
        "Power BI eğitimi",
        "Lisans yenileme",
        "Güvenlik denetimi",
    ),
    "de-DE": ("Azure-Migration", "Lizenzberatung", "Dokumentenablage", "Datensicherung"),
    "en-GB": ("Azure landing zone", "Copilot readiness", "Backup & restore", "CRM rollout"),
    "en-US": ("Azure migration", "Dynamics rollout", "Security review", "Data platform"),
    "fr-FR": ("Migration Azure", "Formation Power BI", "Sauvegarde & reprise"),
}
_SENTENCES = {
    "tr-TR": (
        "Fiyat bilgisi ve örnek bir çalışma istiyoruz.",
        "Şubelerimizde yaklaşık 120 kullanıcı var; geçişi hafta sonu yapmak gerekiyor.",
        "Mevcut sunucularımız sekiz yaşında, destek süresi yıl sonunda doluyor.",
        "Lütfen önce e-posta ile ulaşın, toplantı için salı günleri uygundur.",
        "Bütçe onayı bekleniyor. Rakip teklif de değerlendiriliyor.",
        "Müşteri, verilerin Türkiye'de tutulup tutulmayacağını soruyor.",
    ),
    "de-DE": (
        "Wir bitten um ein Angebot für rund 80 Arbeitsplätze.",
        "Die Umstellung soll vor Jahresende abgeschlossen sein.",
        "Bitte zunächst per E-Mail melden; Rückfragen an die Abteilung für Größe & Übergabe.",
        "Ein Testbetrieb mit zwei Standorten wäre wünschenswert.",
    ),
    "en-GB": (
        "We would like a demonstration before the end of the quarter.",
        "Around 250 seats over three sites, one of them offshore.",
        "Please contact us by e-mail first; the team is small.",
        "The customer asked whether the data can stay in the country.",
    ),
    "en-US": (
        "Looking for pricing and a short proof of concept.",
        "Two data centers are to be closed by summer.",
        "The customer has an enterprise agreement that renews in March.",
        "Please include training for administrators.",
    ),
    "fr-FR": (
        "Nous souhaitons une démonstration et une première estimation.",
        "Environ 60 postes répartis sur deux sites.",
        "Merci de nous contacter d'abord par courriel.",
    ),
}
_CURRENCIES = {"TR": "TRY", "DE": "EUR", "GB": "GBP", "US": "USD", "FR": "EUR"}

_MARK = re.compile(rb"\xe2\x9f\xa6([a-z_]+)\xe2\x9f\xa7")


def _mark(name: str) -> str:
    return f"⟦{name}⟧"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Rendered JSON of one referral, cut where its identity goes.

    `pieces` alternates between literal JSON and the names of marks. Instants are ticks;
    `digits` is how many fraction digits they are printed with, None for "as few as needed".
    `engagement` is the number of the referral whose engagement this one shares.
    """

    pieces: tuple[bytes, ...]
    created: int
    updated: int
    digits: int | None
    engagement: int
    domain_label: str
    etag_start: str


def invent_guid(seed: int, purpose: str, number: int) -> str:
    """A version-4-shaped GUID that is always the same for these three."""
    digest = blake2b(f"{seed}:{purpose}:{number}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"


def make_etag(start: str, ticks: int) -> str:
    """An eTag as seen on real rows: the last group begins with the seconds of the write.

    `start` is everything before that group, such as ``69007a1e-0000-0800-0000``.
    """
    return f'"{start}-{ticks // TICKS_PER_S:08x}0000"'


def render(pattern: Pattern, *, seed: int, number: int, created: int, updated: int) -> bytes:
    """JSON of the referral with this number, made from its pattern."""
    turn = number // PATTERN_COUNT
    label = pattern.domain_label if turn == 0 else f"{pattern.domain_label}-{turn}"
    engagement = pattern.engagement + turn * PATTERN_COUNT
    values = {
        b"id": invent_guid(seed, "referral", number),
        b"engagement": invent_guid(seed, "engagement", engagement),
        b"created": to_wire(created, pattern.digits),
        b"updated": to_wire(updated, pattern.digits),
        b"etag": make_etag(pattern.etag_start, updated).replace('"', '\\"'),
        b"label": label,
    }
    pieces = list(pattern.pieces)
    for at in range(1, len(pieces), 2):
        pieces[at] = values[pieces[at]].encode()
    return b"".join(pieces)


def serialize(referral: Wire) -> bytes:
    """Compact UTF-8 JSON, keys in their order."""
    return json.dumps(referral, ensure_ascii=False, separators=(",", ":")).encode()


def make_pattern(seed: int, number: int, now: int, *, brand_new: bool = False) -> Pattern:
    """Invent the referral with this number, as a pattern.

    Args:
        now: ticks; nothing is later except planned closings and expirations.
        brand_new: created this instant, as a referral that just came in.
    """
    rng = Random(f"referral:{seed}:{number}")
    # Squared, so that recent referrals are the most frequent, as in a growing business.
    age = 0 if brand_new else int(365 * DAY * rng.random() ** 2) + rng.randrange(HOUR)
    digits_shown = rng.choices((0, 3, 5, 6, 7), (3, 3, 4, 25, 65))[0]
    step = 10 ** (7 - digits_shown)
    created = (now - age) // step * step
    status, substatus = _invent_status(rng, age, brand_new=brand_new)
    updated = created if brand_new else _invent_update(rng, created, now, status) // step * step
    company = invent_company(seed, int(COMPANY_COUNT * rng.random() ** 2))
    shares = number % PATTERN_COUNT > 0 and rng.random() < 0.2
    referral = _invent_referral(
        rng,
        kind=rng.choices([k for k, _ in _KINDS], [w for _, w in _KINDS])[0],
        company=company,
        status=status,
        substatus=substatus,
        created=created,
        updated=updated,
        unchanged_since_created=updated == created,
        target_id=invent_guid(seed, "location", number % 40),
    )
    return Pattern(
        pieces=tuple(_MARK.split(serialize(referral))),
        created=created,
        updated=updated,
        digits=7 if rng.random() < 0.01 else None,
        engagement=number - 1 if shares else number,
        domain_label=company.domain_label,
        etag_start=(f"{rng.getrandbits(32):08x}-0000-{rng.choice(('0800', '0100', '0000'))}-0000"),
    )


def turn_back(pattern: Pattern, turn: int) -> tuple[int, int]:
    """(created, updated) in ticks of a pattern's `turn`-th reuse.

    Whole seconds earlier, so that the fraction digits stay what they were.
    """
    shift = turn * (3_600 + 37) * TICKS_PER_S
    return pattern.created - shift, pattern.updated - shift


def generate_referrals(count: int, seed: int, now: datetime) -> Iterator[Wire]:
    """`count` referrals in wire form; the same ones for the same seed and `now` (aware)."""
    ticks = to_ticks(now)
    patterns = [make_pattern(seed, n, ticks) for n in range(min(count, PATTERN_COUNT))]
    for number in range(count):
        pattern = patterns[number % PATTERN_COUNT]
        created, updated = turn_back(pattern, number // PATTERN_COUNT)
        fragment = render(pattern, seed=seed, number=number, created=created, updated=updated)
        referral: Wire = json.loads(fragment)
        yield referral


def _invent_status(rng: Random, age: int, *, brand_new: bool) -> tuple[str, str]:
    if brand_new:
        return "New", rng.choice(("Pending", "Received"))
    if age < 14 * DAY:
        status = rng.choices(("New", "Active", "Closed"), (62, 28, 10))[0]
    else:
        # A pending referral expires after 14 days, so older ones are rarely new.
        status = rng.choices(("New", "Active", "Closed"), (4, 38, 58))[0]
    if status == "New":
        return status, rng.choice(("Pending", "Received"))
    if status == "Active":
        return status, "Accepted"
    closings = ("Won", "Lost", "Declined", "Expired", "Error", "None")
    return status, rng.choices(closings, (28, 24, 20, 24, 2, 2))[0]


def _invent_update(rng: Random, created: int, now: int, status: str) -> int:
    age = now - created
    if status == "New" or rng.random() < 0.08:
        return created if rng.random() < 0.6 else created + min(age, rng.randrange(2 * HOUR))
    return created + int(age * rng.random() ** 0.6)


def _invent_referral(
    rng: Random,
    *,
    kind: str,
    company: Company,
    status: str,
    substatus: str,
    created: int,
    updated: int,
    unchanged_since_created: bool,
    target_id: str,
) -> Wire:
    co_sell = kind in ("co_sell_incoming", "co_sell_outgoing", "private_deal")
    lead = kind in ("marketplace_lead", "directory_lead")
    outgoing = kind in ("co_sell_outgoing", "private_deal")
    need = rng.choice(_NEEDS[company.locale])
    customer_name = company.name
    if "&" in customer_name and rng.random() < 0.7:
        customer_name = customer_name.replace("&", "&amp;")
    referral: Wire = {
        "id": _mark("id"),
        "engagementId": _mark("engagement"),
        "name": None if lead and rng.random() < 0.5 else f"{need} - {customer_name}",
        "organizationId": OWN_ORGANIZATION_ID,
        "organizationName": OWN_ORGANIZATION_NAME,
        "lastModifiedVia": rng.choice((None, "PartnerCenter", "API")),
        "externalReferenceId": rng.choice((None, "", f"CRM-{rng.randint(10_000, 99_999)}")),
        "createdDateTime": _mark("created"),
        "updatedDateTime": _mark("created" if unchanged_since_created else "updated"),
        "expirationDateTime": to_wire((created + 14 * DAY) // DAY * DAY) if not outgoing else None,
        "status": status,
        "substatus": substatus,
        "statusReason": _invent_status_reason(rng, substatus),
        "qualification": "Direct" if lead else "SalesQualified",
        "type": "Independent",
        "eTag": _mark("etag"),
        "favorite": rng.random() < 0.05,
        "salesStage": rng.choice((None, "Qualify", "Develop", "Propose", "100")),
        "quality": "Unknown",
        "isSpam": False,
        "direction": "Outgoing" if outgoing else "Incoming",
        "mpnId": OWN_MPN_ID,
        "dealSensitivity": "None",
        "tags": [],
        "acceptedDateTime": _invent_acceptance(rng, status, outgoing, created, updated),
        "closedDateTime": to_wire(updated) if status == "Closed" else None,
        "registrationStatus": "ReviewPending" if co_sell and rng.random() < 0.1 else "None",
        "target": [],
        "customerProfile": _invent_customer(rng, company, customer_name, lead=lead),
        "consent": _invent_consent(rng, lead=lead, private=kind == "private_deal"),
        "details": _invent_details(rng, company, need, created=created, lead=lead),
        "team": [_invent_own_member(rng) for _ in range(0 if lead else 1)],
        "inviteContext": _invent_invitation(rng, kind, need),
        "links": _make_links(),
        "registrations": [],
    }
    if kind == "marketplace_lead":
        referral["referralSource"] = rng.choice(("AzureMarketplace", "AppSource", None))
        referral["callToAction"] = rng.choice(("ContactMe", "FreeTrial", "GetItNow", "TestDrive"))
    elif kind == "directory_lead":
        referral["target"] = [{"type": "BusinessProfileLocation", "id": target_id}]
    elif kind == "qualified_lead":
        referral["qualification"] = rng.choice(("SalesQualified", "MarketingQualified"))
        referral["target"] = [{"type": "SolutionProfile", "id": target_id}]
    elif kind == "private_deal":
        referral["qualification"] = "None"
    elif kind == "outside_the_table":
        referral["type"] = "Shared"
        referral["qualification"] = rng.choice(("SalesQualified", "Direct"))
    else:
        referral["type"] = "Shared"
    _make_odd(rng, referral, company)
    return referral


def _invent_status_reason(rng: Random, substatus: str) -> str | None:
    reasons = {
        "Declined": ("Not a fit", "Müşteri ulaşılamaz", None),
        "Lost": ("Price", "Fiyat", "Competitor", None),
        "Won": (None, None, "Sözleşme imzalandı"),
    }
    return rng.choice(reasons.get(substatus, (None,)))


def _invent_acceptance(
    rng: Random, status: str, outgoing: bool, created: int, updated: int
) -> str | None:
    if outgoing:
        return to_wire(created, 4)
    if status == "New":
        return None
    return to_wire(created + int((updated - created) * rng.random()))


def _invent_customer(rng: Random, company: Company, name: str, *, lead: bool) -> Wire:
    city = company.city
    region = company.region
    return {
        "name": name,
        "size": company.size,
        "isMatchingComplete": not lead,
        "address": {
            "addressLine1": None if lead else company.address_line,
            "addressLine2": rng.choice((None, "")),
            "city": city,
            "state": None,
            "postalCode": company.postal_code,
            "country": company.country,
            "region": region,
        },
        "team": [
            _invent_contact(rng, company)
            for _ in range(rng.choices((0, 1, 2, 3), (3, 62, 28, 7))[0])
        ],
        "ids": (
            [{"profileType": "Duns", "id": f"{rng.randrange(10**9):09d}"}]
            if rng.random() < 0.35
            else []
        ),
    }


def _invent_contact(rng: Random, company: Company) -> Wire:
    person = invent_person(rng, company.country)
    domain = f"{_mark('label')}.{company.public_suffix}"
    chance = rng.random()
    if chance < 0.20:
        email = f"sentetik.{person.local_part}.{rng.randrange(10_000):04d}@" + rng.choice(
            CONSUMER_DOMAINS
        )
    elif chance < 0.23:
        email = f"{person.local_part}@{_mark('label')}.onmicrosoft.com"
    elif chance < 0.25:
        email = f"sentetik.{person.local_part}@microsoft.com"
    elif chance < 0.27:
        email = rng.choice(("", "yok", f"{person.local_part} at {company.public_suffix}"))
    elif chance < 0.33:
        email = f"{person.local_part.upper()}@Mail.{domain}"
    else:
        email = f"{person.local_part}@{domain}"
    return {
        "firstName": person.first_name,
        "lastName": person.last_name + (" " if rng.random() < 0.05 else ""),
        "phoneNumber": person.phone_number,
        "email": email,
        "title": person.title,
        "contactPreference": {
            "locale": rng.choice((None, company.locale)),
            "disableNotifications": rng.choice((None, False, True)),
        },
    }


def _invent_own_member(rng: Random) -> Wire:
    person = invent_person(rng, "TR")
    return {
        "firstName": person.first_name,
        "lastName": person.last_name,
        "phoneNumber": person.phone_number,
        "email": f"{person.local_part}@{OWN_DOMAIN}",
        "title": person.title,
        "contactPreference": {"locale": None, "disableNotifications": True},
    }


def _invent_consent(rng: Random, *, lead: bool, private: bool) -> Wire:
    if lead and rng.random() < 0.5:
        return {"consentToContact": True}
    return {
        # The doubled "To" is how the API spells it.
        "consentToToShareInfoWithOthers": True,
        "consentToContact": rng.random() < 0.9,
        "consentToShareReferralWithMicrosoftSellers": not private,
    }


def _invent_details(rng: Random, company: Company, need: str, *, created: int, lead: bool) -> Wire:
    sentences = _SENTENCES[company.locale]
    notes = " ".join([f"{need}.", *rng.sample(sentences, rng.randint(1, 2))])
    valued = not lead and rng.random() < 0.85
    solutions = [
        _invent_solution(rng) for _ in range(0 if lead else rng.choices((1, 2, 3), (70, 22, 8))[0])
    ]
    closing = (
        to_wire(created // DAY * DAY + rng.randint(20, 260) * DAY + 21 * HOUR) if valued else None
    )
    return {
        "notes": notes if rng.random() < 0.9 else None,
        "dealValue": rng.choice((rng.randrange(500, 400_000), rng.randrange(10**7) / 100))
        if valued
        else None,
        "currency": rng.choice((_CURRENCIES[company.country], "USD")) if valued else None,
        "closingDateTime": closing,
        "customerRequestedContact": lead or None,
        "requirements": {
            "industries": [{"id": rng.choice(_INDUSTRIES)}] if rng.random() < 0.6 else [],
            "products": [{"id": p} for p in rng.sample(_PRODUCTS, rng.randint(0, 2))],
            "services": [{"id": s} for s in rng.sample(_SERVICES, rng.randint(0, 2))],
            "solutions": solutions,
        },
    }


def _invent_solution(rng: Random) -> Wire:
    solution_id, name, kind = rng.choice(_SOLUTIONS)
    return {
        "id": solution_id,
        "name": name,
        "type": kind,
        "price": None,
        "quantity": rng.choice((None, 1, 25)),
    }


def _invent_invitation(rng: Random, kind: str, need: str) -> Wire:
    microsoft = {"organizationId": "msft", "organizationName": "Microsoft"}
    own = {"organizationId": OWN_ORGANIZATION_ID, "organizationName": OWN_ORGANIZATION_NAME}
    nobody = {"organizationId": None, "organizationName": None}
    partner = rng.choice(PARTNERS)
    other = {"organizationId": partner.organization_id, "organizationName": partner.name}
    inviter: Mapping[str, str | None] = {
        "co_sell_incoming": rng.choice((own, other)),
        "co_sell_outgoing": own,
        "private_deal": own,
    }.get(kind, microsoft)
    if kind in ("marketplace_lead", "directory_lead") and rng.random() < 0.15:
        inviter = nobody
    return {
        "notes": f"{need}: birlikte satış" if kind == "co_sell_incoming" else None,
        "assistanceRequestCode": rng.choice(
            ("GeneralOrOther", "CustomerTechnicalArchitecture", "QuotesOrLicensing", "Unknown")
        ),
        "invitedBy": inviter,
    }


def _make_links() -> Wire:
    base = "https://api.partner.microsoft.com/v1.0/engagements/referrals"
    return {
        # Neither quoted nor encoded, as seen on real rows: not to be followed.
        "relatedReferrals": {
            "uri": f"{base}?$filter=engagementId eq {_mark('engagement')}",
            "method": "GET",
        },
    }


def _make_odd(rng: Random, referral: Wire, company: Company) -> None:
    """The deviations that real answers are known to have, on a few referrals each."""
    _make_customer_odd(rng, referral["customerProfile"], company)
    for name, chance in (("team", 0.04), ("inviteContext", 0.03), ("registrations", 0.02)):
        if rng.random() < chance:
            del referral[name]
    if rng.random() < 0.03:
        referral["futureField"] = {"nested": [1, None, {"deeper": "değer"}]}
    if rng.random() < 0.04:
        referral["isAutoRegistrationEnabled"] = False
        referral["exception"] = None
        referral["trackingInfo"] = {"microsoftMsxId": None, "migratedPSCDealId": None}
    if rng.random() < 0.10:
        referral["details"]["requirements"] |= {
            "offers": [],
            "salesPlays": [],
            "additionalRequirements": {
                "iot": None,
                "attributes": [{"type": "SolutionPlay", "id": "7"}],
            },
        }
    if rng.random() < 0.01:
        referral["details"]["requirements"] = None


def _make_customer_odd(rng: Random, customer: Wire, company: Company) -> None:
    domain = f"{_mark('label')}.{company.public_suffix}"
    if rng.random() < 0.03:
        customer["ids"] = {}
    elif rng.random() < 0.03:
        customer["ids"] = [{"profileType": "External", "id": domain}]
    if rng.random() < 0.02:
        customer["website"] = f"https://www.{domain}/iletisim"
    if rng.random() < 0.02:
        customer["name"] = None
    if rng.random() < 0.10:
        customer["team"] = [
            member | {"emailValidationStatus": "Unknown", "phoneValidationStatus": "Unknown"}
            for member in customer["team"]
        ]
