"""Host names in what people type: mail addresses, websites, ids."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

CACHE_ENTRIES: Final = 16_384
MAX_HOST_CHARS: Final = 253
SEPARATORS: Final = re.compile(r"[\s,;|<>()\[\]\"]+")
"""What separates several hosts or addresses in one text."""

_ADDRESS_SEPARATORS: Final = re.compile(r"[\s,;|/<>()\[\]\"]+")
_HOST_END: Final = re.compile(r"[/?#\\]")
_QUOTES: Final = "'\"`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
# RFC 1123 host names without the final dot: at least two labels, the last one not a number, at most
# 253 characters. Underscores occur in the hosts of real websites, but never in a domain
# (`below_suffix`).
_HOST: Final = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+"
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])",
    re.ASCII,
)


def mail_parts(text: str) -> list[str]:
    """The part after the @ of each address in a text such as "Ada <ada@acme.com>; b@acme.com"."""
    _, _, host = text.partition("@")
    if _PLAIN_HOST.fullmatch(host):
        return [host]
    addresses = (word.partition("@") for word in _ADDRESS_SEPARATORS.split(text))
    return [host for _, at, host in addresses if at and "@" not in host]


def normalise_host(text: str) -> str | None:
    """The host in a URL, in the part of an address after its @, or in a bare host name.

    Returns:
        Lower-case, IDNA ASCII, without port and final dot; None for anything but an internet host
        name: IP addresses, single labels, broken names.
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
    import idna  # its tables are large and rarely needed

    # Turkish keyboards type İ as the capital of i. Unicode's lower case of it is an i with a
    # combining dot, which no registry accepts.
    try:
        return idna.encode(
            host.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i"), uts46=True
        ).decode("ascii")
    except UnicodeError:
        return None


@lru_cache(maxsize=CACHE_ENTRIES)
def readable_domain(domain: str) -> str:
    """A domain in Unicode instead of xn--…; unchanged if it cannot be decoded."""
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


def top_level_domain(host: str) -> str:
    """The top-level domain of a host name."""
    return host.rpartition(".")[2]


def host_and_parents(host: str) -> set[str]:
    """The host and all its parents, down to the last two labels."""
    names = {host}
    _, _, parent = host.partition(".")
    while "." in parent:
        names.add(parent)
        _, _, parent = parent.partition(".")
    return names
