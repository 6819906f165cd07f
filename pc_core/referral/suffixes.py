"""Registrable domains, by the public suffix list."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from pc_core.referral.domain_lists import DOCUMENTATION_TLDS
from pc_core.referral.hosts import normalise_host, readable_domain, tld_of

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


_CACHED_TLDS: Final = 2_048  # the root zone holds some 1,440


def registrable_domain(host: str) -> str | None:
    """What somebody registered below a public suffix; None for a suffix itself and for junk.

    Private suffixes count: nobody's customer is github.io or blogspot.com, and acme.uk.com is not
    beta.uk.com. A top-level domain that is not on the list counts as a public suffix.
    """
    found = normalise_host(host)
    return below_suffix(found) if found is not None else None


def below_suffix(host: str) -> str | None:
    """The label below the public suffix, with the suffix; None if there is none."""
    domain: str | None = _suffixes(tld_of(host)).privatesuffix(host)
    return domain if domain is not None and "_" not in domain else None


def is_below_private_suffix(domain: str) -> bool:
    """Whether a domain is somebody's place at a host's (acme.azurewebsites.net, acme.github.io).

    As a website that names the host. Where people have mail there it is theirs: registries that
    sell names below their own (acme.uk.com) are private suffixes too.
    """
    return bool(_registry_suffixes(tld_of(domain)).privatesuffix(domain) != domain)


def has_listed_suffix(domain: str) -> bool:
    """Whether the domain ends in a suffix that the list names."""
    tld = tld_of(domain)
    return tld in DOCUMENTATION_TLDS or (
        _suffixes(tld).privatesuffix(domain, accept_unknown=False) is not None
    )


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
