"""Which internet domain a customer is known by, and which rule found it.

Pure and offline. The public suffix list and the lists of mail providers come from packages, are
loaded on first use (some 10 ms, 3 MB) and are part of the fingerprint (`list_versions`).

The answer is a registrable domain: what somebody registered below a public suffix, so that
mail.acme.com.tr and acme.com.tr are one customer and a.com.tr and b.com.tr are two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pc_core.referral.domain_lists import (
    CONSUMER_BRANDS,
    MICROSOFT_HOSTS,
    MICROSOFT_LABELS,
    RESERVED_TLDS,
    SHARED_SITES,
    consumer_providers,
    disposable_providers,
)
from pc_core.referral.hosts import (
    CACHE_ENTRIES,
    MAX_HOST_CHARS,
    SEPARATORS,
    mail_parts,
    names_of_host,
    normalise_host,
    tld_of,
    to_ascii,
)
from pc_core.referral.suffixes import (
    below_suffix,
    has_listed_suffix,
    is_below_private_suffix,
    registrable_domain,
)

RULES_VERSION: Final = 1
"""Goes up with every change of the rules below; part of the fingerprint."""


class CompanyDomain(NamedTuple):
    """What was found.

    Attributes:
        domain: registrable, in IDNA ASCII form; None if no candidate qualified.
        raw_domain: the host that `domain` was taken from; if none qualified, the first host seen.
        source: the rule that found `domain`: `customer_email`, `external_id` or `website`.
        rejected: why `raw_domain` did not qualify: `public_suffix`, `reserved_name`, `microsoft`,
            `own_domain`, `consumer_provider`, `disposable_provider`, `shared_host` or
            `unlisted_suffix`.
    """

    domain: str | None
    raw_domain: str | None
    source: str | None
    rejected: str | None


# A bare external id is any text; only where it ends in a listed suffix is it a domain.
_BARE_EXTERNAL_ID: Final = "external_id_bare"

NOTHING_FOUND: Final = CompanyDomain(None, None, None, None)


def find_company_domain(
    *,
    emails: Iterable[str | None],
    external_ids: Iterable[tuple[str | None, str]],
    websites: Iterable[str],
    own_domains: frozenset[str],
) -> CompanyDomain:
    """Take the first candidate that can be the customer's own domain.

    Args:
        emails: of the customer's people, in order; a field may hold several addresses or junk.
        external_ids: (profileType, id) of the customer; DUNS numbers are no domains.
        websites: hosts or URLs.
        own_domains: the partner's, as written in the settings.
    """
    first = NOTHING_FOUND
    for source, text in _candidates(emails, external_ids, websites):
        found = _look_up(source, text, own_domains)
        if found.domain is not None:
            return found
        if first.raw_domain is None:
            first = found
    return first


def _candidates(
    emails: Iterable[str | None],
    external_ids: Iterable[tuple[str | None, str]],
    websites: Iterable[str],
) -> Iterator[tuple[str, str]]:
    """(source, text that may name a host), in the order in which they count."""
    for email in emails:
        if email:
            for part in mail_parts(email):
                yield "customer_email", part
    for kind, text in external_ids:
        if kind is not None and kind.strip().lower() == "duns":
            continue
        if "@" in text and "//" not in text:
            for part in mail_parts(text):
                yield "external_id", part
        else:
            source = "external_id" if "//" in text else _BARE_EXTERNAL_ID
            for part in SEPARATORS.split(text):
                yield source, part
    for website in websites:
        for part in SEPARATORS.split(website):
            yield "website", part


# Most customers appear in several referrals, and each referral in many runs.
@lru_cache(maxsize=CACHE_ENTRIES)
def _look_up(source: str, text: str, own_domains: frozenset[str]) -> CompanyDomain:
    host = normalise_host(text)
    if host is None:
        return NOTHING_FOUND
    domain = below_suffix(host)
    rejected = _rejection(host, domain, source, own_domains)
    if rejected is not None:
        return CompanyDomain(None, host, None, rejected)
    return CompanyDomain(
        domain, host, "external_id" if source == _BARE_EXTERNAL_ID else source, None
    )


# --- hosts ---------------------------------------------------------------------------------------


_JSON_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_NAME: Final = re.compile(r"[\w.-]+")
_MOST_LABELS: Final = 10


def domains_in(text: bytes) -> Iterator[str]:
    """Every name in a text that may be a domain, with the names above it, in no order.

    For texts that nobody could read as JSON, to be compared with a domain that is known:
    a host stands there for itself and for what it lies below.
    """
    plain = _JSON_ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else " ", text.decode("utf-8", "replace")
    )
    for name in {name for name in _NAME.findall(plain) if "." in name}:
        host = name.strip(".-_")[-MAX_HOST_CHARS:]
        if not host.isascii():
            host = to_ascii(host) or ""
        labels = host.lower().split(".")
        for first in range(max(0, len(labels) - _MOST_LABELS), len(labels) - 1):
            yield ".".join(labels[first:])


# --- who it cannot be ----------------------------------------------------------------------------


def _rejection(
    host: str, domain: str | None, source: str, own_domains: frozenset[str]
) -> str | None:
    """Why a host, or the registrable domain above it, cannot be a customer's; None: it can."""
    names = names_of_host(host)
    if tld_of(host) in RESERVED_TLDS:
        return "reserved_name"
    if not names.isdisjoint(MICROSOFT_HOSTS):
        return "microsoft"
    if domain is None:
        return "public_suffix"
    if domain.partition(".")[0] in MICROSOFT_LABELS:
        return "microsoft"
    if not names.isdisjoint(own_domains) or domain in _registrable_own(own_domains):
        return "own_domain"
    if not names.isdisjoint(disposable_providers()):
        return "disposable_provider"
    if not names.isdisjoint(consumer_providers()) or _is_country_edition(domain):
        return "consumer_provider"
    return None if source == "customer_email" else _website_rejection(names, domain, source)


def _website_rejection(names: set[str], domain: str, source: str) -> str | None:
    if not names.isdisjoint(SHARED_SITES) or is_below_private_suffix(domain):
        return "shared_host"
    if source == _BARE_EXTERNAL_ID and not has_listed_suffix(domain):
        return "unlisted_suffix"
    return None


@lru_cache(maxsize=64)
def _registrable_own(own_domains: frozenset[str]) -> frozenset[str]:
    return frozenset(
        domain for own in own_domains if (domain := registrable_domain(own)) is not None
    )


def _is_country_edition(domain: str) -> bool:
    brand, _, suffix = domain.partition(".")
    return brand in CONSUMER_BRANDS and len(suffix.rpartition(".")[2]) == 2


# --- lists ---------------------------------------------------------------------------------------
