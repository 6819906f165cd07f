"""Registrable domains, by the public suffix list."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from pc_core.referral.domain_lists import DOCUMENTATION_TLDS
from pc_core.referral.hosts import normalise_host, readable_domain, top_level_domain

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


_CACHED_TLDS: Final = 2_048  # the root zone has some 1,440


def registrable_domain(host: str) -> str | None:
    """The name directly below a public suffix; None for a suffix itself and for invalid hosts.

    Private suffixes count as public ones: github.io is nobody's domain, and acme.uk.com is not
    beta.uk.com. So does a top-level domain that is not on the list.
    """
    found = normalise_host(host)
    return below_suffix(found) if found is not None else None


def below_suffix(host: str) -> str | None:
    """The same for a host in normal form; see `normalise_host`."""
    domain: str | None = _suffixes(top_level_domain(host)).privatesuffix(host)
    return domain if domain is not None and "_" not in domain else None


def is_below_private_suffix(domain: str) -> bool:
    """Whether a domain lies below a private suffix (acme.azurewebsites.net, acme.github.io).

    As a website it belongs to the hosting service. As a mail domain it is the customer's, because
    registries that sell names below their own domain (acme.uk.com) are private suffixes too.
    """
    return bool(_registry_suffixes(top_level_domain(domain)).privatesuffix(domain) != domain)


def has_listed_suffix(domain: str) -> bool:
    """Whether the domain ends in a suffix that is on the list."""
    tld = top_level_domain(domain)
    return tld in DOCUMENTATION_TLDS or (
        _suffixes(tld).privatesuffix(domain, accept_unknown=False) is not None
    )


# Only the suffixes of one top-level domain are read at a time: a run needs some 30 of 1,440.
@lru_cache(maxsize=_CACHED_TLDS)
def _suffixes(tld: str) -> PublicSuffixList:
    return _read_suffixes(_suffix_list(), tld)


@lru_cache(maxsize=_CACHED_TLDS)
def _registry_suffixes(tld: str) -> PublicSuffixList:
    return _read_suffixes(_registry_suffix_list(), tld)


def _read_suffixes(text: bytes, tld: str) -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    # Hosts are in ASCII here; the list's names are in Unicode and in normal form.
    lines = [_encode(line.decode()) for line in _lines_of(text, readable_domain(tld).encode())]
    return PublicSuffixList(lines, accept_encoded_idn=False)


def _lines_of(text: bytes, tld: bytes) -> list[bytes]:
    # Splitting at the ends of these few lines is faster than splitting thousands of lines.
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
