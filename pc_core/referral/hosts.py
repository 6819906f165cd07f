"""Host names out of what people type: mail addresses, websites, ids."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

CACHE_ENTRIES: Final = 16_384


SEPARATORS: Final = re.compile(r"[\s,;|<>()\[\]\"]+")


_ADDRESS_SEPARATORS: Final = re.compile(r"[\s,;|/<>()\[\]\"]+")


_HOST_END: Final = re.compile(r"[/?#\\]")


_QUOTES: Final = "'\"`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"


_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)


# RFC 1123 host names, below the root: two labels or more, the last one not a number, 253 characters
# at most. Underscores occur in hosts of real websites; `below_suffix` keeps them out of domains.
_HOST: Final = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+"
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])",
    re.ASCII,
)


MAX_HOST_CHARS: Final = 253


def mail_parts(text: str) -> list[str]:
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
        found = to_ascii(host)
        if found is None:
            return None
        host = found
    host = host.lower()
    return host if _HOST.fullmatch(host) else None


def to_ascii(host: str) -> str | None:
    """A host name in its ASCII form (IDNA); None if it has none."""
    if len(host) > MAX_HOST_CHARS:
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


@lru_cache(maxsize=CACHE_ENTRIES)
def readable_domain(domain: str) -> str:
    """A domain as people write it (xn--… in Unicode); unchanged where it cannot be decoded."""
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


def tld_of(host: str) -> str:
    """The top-level domain of a host name."""
    return host.rpartition(".")[2]


def names_of_host(host: str) -> set[str]:
    """The host and all its parents, down to the last two labels."""
    names = {host}
    _, _, parent = host.partition(".")
    while "." in parent:
        names.add(parent)
        _, _, parent = parent.partition(".")
    return names
