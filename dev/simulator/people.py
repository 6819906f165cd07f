"""Invented companies and people for the simulated world.

Nobody here exists. Company names are made of two invented words, so that their domains are
registrable in form (real public suffixes) without being anybody's. Telephone numbers come
from ranges that regulators keep free for fiction.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from random import Random

OWN_ORGANIZATION_ID = "0b5e7a90-8c1d-4e2f-b3a4-5c6d7e8f9001"
OWN_ORGANIZATION_NAME = "Tailspin Sentetik Bilişim A.Ş."
OWN_DOMAIN = "tailspin-sentetik.com.tr"
OWN_MPN_ID = "0000001"

# The list of consumer providers is deliberately wider than the usual handful: country
# editions are what a short list misses.
CONSUMER_DOMAINS = (
    "gmail.com",
    "hotmail.com",
    "hotmail.com.tr",
    "outlook.com",
    "outlook.com.tr",
    "yahoo.com",
    "yahoo.co.uk",
    "yahoo.com.tr",
    "icloud.com",
    "gmx.de",
    "web.de",
    "yandex.com.tr",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An invented contact; `local_part` is the ASCII part before the @ of the e-mail."""

    first_name: str
    last_name: str
    local_part: str
    title: str | None
    phone_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerOrganization:
    """Another invented partner that takes part in shared opportunities."""

    organization_id: str
    name: str
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """An invented customer.

    `domain_label` and `public_suffix` joined by a dot are the registrable domain.
    """

    name: str
    domain_label: str
    public_suffix: str
    country: str
    city: str
    region: str | None
    postal_code: str | None
    address_line: str
    locale: str
    size: str | None


PARTNERS = (
    PartnerOrganization(
        organization_id="5d0c7e11-2a3b-4c4d-9e5f-60718293a4b5",
        name="Woodgrove Kurgu Danışmanlık Ltd. Şti.",
        domain="woodgrove-kurgu.com.tr",
    ),
    PartnerOrganization(
        organization_id="8e4f2b60-7c8d-4e9f-8a1b-2c3d4e5f6071",
        name="Adatum Musterpartner GmbH",
        domain="adatum-musterpartner.de",
    ),
    PartnerOrganization(
        organization_id="a9b8c7d6-e5f4-4a3b-8c2d-1e0f9a8b7c6d",
        name="Litware Sample Partners Ltd",
        domain="litware-sample.co.uk",
    ),
)

SIZES = (
    "1to9employees",
    "10to50employees",
    "51to250employees",
    "251to1000employees",
    "1001to5000employees",
    "5001to10000employees",
    "10001to20000employees",
    "Morethan20000employees",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Country:
    code: str
    locale: str
    suffixes: tuple[str, ...]
    word_starts: tuple[str, ...]
    word_ends: tuple[str, ...]
    second_words: tuple[str, ...]
    trades: tuple[str, ...]
    forms: tuple[str, ...]
    # (city, region, first digits of the postal code)
    cities: tuple[tuple[str, str | None, str], ...]
    street: str
    postal_digits: int
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    titles: tuple[str, ...]
    phones: tuple[str, ...]


_TURKEY = _Country(
    code="TR",
    locale="tr-TR",
    suffixes=("com.tr", "com.tr", "com.tr", "com", "net.tr", "org.tr", "av.tr"),
    word_starts=(
        "Gökçe",
        "Turna",
        "Kehribar",
        "Sümbül",
        "Menekşe",
        "Çınar",
        "Işıl",
        "Lodos",
        "Poyraz",
        "Ayva",
        "Zümrüt",
        "Nar",
        "İncir",
        "Kekik",
    ),
    word_ends=("yayla", "özü", "pınar", "tepe", "koru", "burnu", "dere", "ova", "taşı", "köprü"),
    second_words=(
        "Ölçüm",
        "Kurgu",
        "Düşsel",
        "Pusula",
        "Kervan",
        "Yelken",
        "Masal",
        "Çağlayan",
        "Işıltı",
        "Gölge",
        "Şahika",
        "Uçurtma",
    ),
    trades=(
        "Sistemleri",
        "Lojistik",
        "Gıda",
        "Tekstil",
        "Makine",
        "Denizcilik & Lojistik",
        "Turizm",
        "Yazılım",
        "İnşaat & Taahhüt",
        "Sağlık Hizmetleri",
        "Eğitim Kurumları",
        "Enerji",
    ),
    forms=("San. ve Tic. A.Ş.", "Ltd. Şti.", "A.Ş.", "Tic. Ltd. Şti.", "Holding A.Ş."),
    cities=(
        ("İstanbul", "İstanbul", "34"),
        ("Ankara", "Ankara", "06"),
        ("İzmir", "İzmir", "35"),
        ("Gebze", "Kocaeli", "41"),
        ("Muğla", "48", "48"),
        ("Gaziantep", None, "27"),
        ("Eskişehir", "Eskişehir", "26"),
        ("ISPARTA", "ISPARTA", "32"),
        ("Diyarbakır", "Diyarbakır", "21"),
    ),
    street="Kurgu Mah. Örnek Cad. No: {number}/{flat}",
    postal_digits=5,
    first_names=(
        "Deniz",
        "Çağrı",
        "Öykü",
        "Işıl",
        "Ilgaz",
        "İpek",
        "Şule",
        "Ümit",
        "Gökhan",
        "Başak",
        "Umut",
        "Ece",
    ),
    last_names=("Kurgu", "Yapay", "Örnekoğlu", "Sentetik", "Düşsel", "Masalcı", "Denemeci"),
    titles=("Genel Müdür", "Bilgi İşlem Müdürü", "Satın Alma Uzmanı", "IT Manager", "CEO"),
    phones=("+90 212 555 01{n:02d}", "0 (232) 555 01 {n:02d}", "90216555 01{n:02d}"),
)

_GERMANY = _Country(
    code="DE",
    locale="de-DE",
    suffixes=("de", "de", "com", "eu"),
    word_starts=("Birken", "Amsel", "Hollunder", "Morgen", "Nebel", "Über", "Grün", "Kiesel"),
    word_ends=("quell", "grund", "stieg", "hain", "wiesel", "brück", "höhe"),
    second_words=("Muster", "Traum", "Kompass", "Laternen", "Segel", "Märchen", "Federn"),
    trades=("Messtechnik", "Logistik", "Anlagenbau", "Maschinenbau & Service", "Handel"),
    forms=("GmbH", "AG", "GmbH & Co. KG", "e.K."),
    cities=(
        ("Berlin", "Berlin", "10"),
        ("München", "Bayern", "80"),
        ("Köln", "Nordrhein-Westfalen", "50"),
        ("Görlitz", None, "02"),
    ),
    street="Musterstraße {number}",
    postal_digits=5,
    first_names=("Jörg", "Käthe", "Lennart", "Änne", "Matthis", "Rieke"),
    last_names=("Mustermann", "Beispiel", "Erfunden", "Größler-Muster", "Platzhalter"),
    titles=("Geschäftsführer", "Leiterin IT", "Einkauf"),
    phones=("+49 30 23125{n:03d}", "030 / 23125 {n:03d}"),
)

_BRITAIN = _Country(
    code="GB",
    locale="en-GB",
    suffixes=("co.uk", "co.uk", "com", "org.uk"),
    word_starts=("Thorn", "Quill", "Bramble", "Fallow", "Wither", "Larks", "Moss"),
    word_ends=("mere", "wick", "hollow", "combe", "stead", "ford"),
    second_words=("Sample", "Lantern", "Fable", "Compass", "Feather", "Kestrel"),
    trades=("Logistics", "Engineering", "Foods", "Marine & Offshore", "Health", "Retail"),
    forms=("Ltd", "PLC", "LLP", "Group Ltd"),
    cities=(
        ("London", "Greater London", "EC1A "),
        ("Leeds", "West Yorkshire", "LS1 "),
        ("Truro", "Cornwall", "TR1 "),
    ),
    street="{number} Example Lane",
    postal_digits=8,
    first_names=("Imogen", "Rufus", "Tamsin", "Alistair", "Nerys", "Siân"),
    last_names=("Fictional", "O'Sample", "Placeholder", "Example-Smith"),
    titles=("Head of IT", "Managing Director", "Procurement"),
    phones=("+44 1632 960{n:03d}", "01632 960{n:03d}"),
)

_AMERICA = _Country(
    code="US",
    locale="en-US",
    suffixes=("com", "com", "net", "io"),
    word_starts=("Contoso", "Fabrikam", "Northwind", "Proseware", "Tailwind", "Fourth"),
    word_ends=("ridge", "field", "harbor", "works", "vale"),
    second_words=("Fable", "Sample", "Invented", "Daydream", "Mockingbird"),
    trades=("Industries", "Software", "Transport", "Health Systems", "Foods & Beverages"),
    forms=("Inc.", "LLC", "Corp."),
    cities=(
        ("Seattle", "WA", "981"),
        ("Austin", "TX", "787"),
        ("Albany", "NY", "122"),
    ),
    street="{number} Example Avenue, Suite {flat}",
    postal_digits=5,
    first_names=("Avery", "Jordan", "Parker", "Rowan", "Sage"),
    last_names=("Madeup", "Imaginary", "Sampleton", "Notreal"),
    titles=("CTO", "VP Operations", "Buyer"),
    phones=("+1 202 555 01{n:02d}", "(202) 555-01{n:02d}"),
)

_FRANCE = _Country(
    code="FR",
    locale="fr-FR",
    suffixes=("fr", "fr", "com"),
    word_starts=("Clair", "Fleur", "Brume", "Hérisson", "Étoile"),
    word_ends=("val", "bois", "mont", "rive"),
    second_words=("Exemple", "Songe", "Boussole", "Lanterne", "Fabulé"),
    trades=("Logistique", "Mécanique", "Santé", "Conseil & Études"),
    forms=("SARL", "SAS", "SA"),
    cities=(("Lyon", None, "690"), ("Nîmes", "Occitanie", "300")),
    street="{number} rue de l'Exemple",
    postal_digits=5,
    first_names=("Zoé", "Loïc", "Maëlle", "Cédric"),
    last_names=("Fictif", "Exemple", "Imaginaire"),
    titles=("Directeur général", "Responsable informatique"),
    phones=("+33 1 99 00 0{n:03d}",),
)

_COUNTRIES = (_TURKEY, _GERMANY, _BRITAIN, _AMERICA, _FRANCE)
_COUNTRY_WEIGHTS = (62, 14, 10, 9, 5)
_BY_CODE = {country.code: country for country in _COUNTRIES}

# Letters that Unicode decomposition does not turn into ASCII.
_ASCII_OF = str.maketrans({"ı": "i", "İ": "I", "ß": "ss", "ø": "o", "ł": "l", "æ": "ae"})


def to_ascii_label(words: str) -> str:
    """Lower-case ASCII letters, digits and hyphens of `words`, fit for a domain label."""
    decomposed = unicodedata.normalize("NFKD", words.translate(_ASCII_OF)).lower()
    text = "".join(char for char in decomposed if not unicodedata.combining(char))
    spaced = "".join(char if char.isascii() and char.isalnum() else " " for char in text)
    return "-".join(spaced.split())


def invent_company(seed: int, number: int) -> Company:
    """The company with this number; the same one for the same seed and number."""
    rng = Random(f"company:{seed}:{number}")
    country = rng.choices(_COUNTRIES, _COUNTRY_WEIGHTS)[0]
    first_word = rng.choice(country.word_starts) + rng.choice(country.word_ends)
    second_word = rng.choice(country.second_words)
    city, region, postal_start = rng.choice(country.cities)
    postal_code = postal_start + "".join(
        rng.choice("0123456789") for _ in range(country.postal_digits - len(postal_start))
    )
    label = to_ascii_label(f"{first_word} {second_word}")
    if rng.random() < 0.02:
        # An internationalised domain: its readable form stands in the e-mail.
        label = f"{first_word}-{second_word}".replace("İ", "i").replace("I", "ı").lower()
    return Company(
        name=f"{first_word} {second_word} {rng.choice(country.trades)} {rng.choice(country.forms)}",
        domain_label=label,
        public_suffix=rng.choice(country.suffixes),
        country=country.code,
        city=city,
        region=region,
        postal_code=postal_code if rng.random() < 0.7 else None,
        address_line=country.street.format(number=rng.randint(1, 240), flat=rng.randint(1, 40)),
        locale=country.locale,
        size=rng.choice((*SIZES, "", None, "51to500employees")),
    )


def invent_person(rng: Random, country_code: str) -> Person:
    """A person who might work in this country; two-letter code, Turkey when unknown."""
    country = _BY_CODE.get(country_code, _TURKEY)
    first_name = rng.choice(country.first_names)
    last_name = rng.choice(country.last_names)
    phone = rng.choice(country.phones).format(n=rng.randint(0, 99))
    return Person(
        first_name=first_name,
        last_name=last_name,
        local_part=f"{to_ascii_label(first_name)}.{to_ascii_label(last_name)}",
        title=rng.choice((*country.titles, None)),
        phone_number=rng.choice((phone, phone, phone, None, "")),
    )
