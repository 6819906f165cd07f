"""The customer's internet domain, and the rule that found it.

The answer is a registrable domain: the name directly below a public suffix. mail.acme.com.tr and
acme.com.tr are one customer, a.com.tr and b.com.tr are two.

The public suffix list and the lists of mail providers come from packages and are loaded on first
use (some 10 ms, 3 MB). When their versions (`list_versions`) change, stored rows are rebuilt.
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
    host_and_parents,
    mail_parts,
    normalise_host,
    to_ascii,
    top_level_domain,
)
from pc_core.referral.suffixes import (
    below_suffix,
    has_listed_suffix,
    is_below_private_suffix,
    registrable_domain,
)

RULES_VERSION: Final = 1
"""Increases with every change of the rules below, so that stored rows are rebuilt."""


class CompanyDomain(NamedTuple):
    """What was found.

    Attributes:
        domain: registrable, in IDNA ASCII form; None if no candidate qualified.
        raw_domain: the host that `domain` was taken from; if none qualified, the first host.
        source: the rule that found `domain`: `customer_email`, `external_id` or `website`.
    """

    domain: str | None
    raw_domain: str | None
    source: str | None


_NOTHING_FOUND: Final = CompanyDomain(None, None, None)
# An external id may be any text. It counts as a domain only if it ends in a listed suffix.
_BARE_EXTERNAL_ID: Final = "external_id_bare"
_JSON_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_NAME: Final = re.compile(r"[\w.-]+")
_MOST_LABELS: Final = 10


def find_company_domain(
    *,
    emails: Iterable[str | None],
    external_ids: Iterable[tuple[str | None, str]],
    websites: Iterable[str],
    own_domains: frozenset[str],
) -> CompanyDomain:
    """The first candidate that can be the customer's own domain.

    Args:
        emails: of the customer's people, in order; a field may hold several addresses or junk.
        external_ids: (profileType, id) of the customer; DUNS numbers are skipped.
        websites: hosts or URLs.
        own_domains: the partner's, as written in the settings.
    """
    first = _NOTHING_FOUND
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
    """(source, text that may contain a host), the most trusted first."""
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
        return _NOTHING_FOUND
    domain = below_suffix(host)
    if domain is None or not _can_be_a_customer(host, domain, source, own_domains):
        return CompanyDomain(None, host, None)
    return CompanyDomain(domain, host, "external_id" if source == _BARE_EXTERNAL_ID else source)


def domains_in(text: bytes) -> Iterator[str]:
    """Every host name in a text, and its parent domains, in no particular order.

    For finding a known domain in a text that is not valid JSON.
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


def _can_be_a_customer(host: str, domain: str, source: str, own_domains: frozenset[str]) -> bool:
    names = host_and_parents(host)
    is_excluded = (
        top_level_domain(host) in RESERVED_TLDS
        or not names.isdisjoint(MICROSOFT_HOSTS)
        or domain.partition(".")[0] in MICROSOFT_LABELS
        or not names.isdisjoint(own_domains)
        or domain in _registrable_own(own_domains)
        or not names.isdisjoint(disposable_providers())
        or not names.isdisjoint(consumer_providers())
        or _is_country_edition(domain)
    )
    if is_excluded or source == "customer_email":
        return not is_excluded
    if not names.isdisjoint(SHARED_SITES) or is_below_private_suffix(domain):
        return False
    return source != _BARE_EXTERNAL_ID or has_listed_suffix(domain)


@lru_cache(maxsize=64)
def _registrable_own(own_domains: frozenset[str]) -> frozenset[str]:
    return frozenset(
        domain for own in own_domains if (domain := registrable_domain(own)) is not None
    )


def _is_country_edition(domain: str) -> bool:
    """Whether it is a consumer brand below a country's suffix, such as yahoo.com.tr."""
    brand, _, suffix = domain.partition(".")
    return brand in CONSUMER_BRANDS and len(suffix.rpartition(".")[2]) == 2
