"""Addresses as the Functions host reads them, and the routes that their paths match. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from dev.host.errors import HostError

KEPT_IN_A_PATH = "/!$&'()*+,;=:@~%"


def read_path(raw: str) -> str:
    """The path of a request, percent-decoded and without dot segments.

    An encoded slash stays encoded, and so do bytes that are no UTF-8.
    """
    decoded = unquote(re.sub("%(?=2[fF])", "%25", raw), errors="surrogateescape")
    kept: list[str] = []
    for part in _readable(decoded).split("/"):
        if part == "..":
            kept[1:] = kept[1:-1]
        elif part != ".":
            kept.append(part)
    return "/".join(kept)


def write_path(path: str) -> str:
    """The path as it stands in the address that a function sees."""
    return re.sub("%(?![0-9A-Fa-f]{2})", "%25", quote(path, safe=KEPT_IN_A_PATH))


def read_query(raw: str) -> dict[str, str]:
    """The query's values by name: repeated ones joined by commas, empty ones left out.

    Of two spellings of a name the last one stays.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True, errors="surrogateescape"):
        key = name.lower()
        found[key] = (name, f"{found[key][1]},{value}" if key in found else value)
    return {_readable(name): _readable(value) for name, value in found.values() if value}


def _readable(text: str) -> str:
    return re.sub("[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) & 0xFF:02X}", text)


@dataclass(frozen=True, slots=True)
class Route:
    """A route such as `referrals/{referral_id}` or `mini-ui/{*path}`."""

    template: str
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, template: str) -> "Route":
        """Read a template of literals, `{name}` and, at its end, `{*name}`.

        Raises:
            HostError: it has anything else.
        """
        pattern = ""
        for part in filter(None, template.split("/")):
            found = re.fullmatch(r"\{(\*?)([A-Za-z_]\w*)\}", part)
            if "(?:" in pattern or (found is None and re.search("[{}]", part)):
                raise HostError(
                    f"The route {template!r} has {part!r}, which this host cannot read."
                )
            if found is None:
                pattern += "/" + re.escape(part)
            elif found[1]:
                pattern += f"(?:/(?P<{found[2]}>[^/].*))?"
            else:
                pattern += f"/(?P<{found[2]}>[^/]+)"
        return cls(template, re.compile(pattern + "/?", re.IGNORECASE | re.DOTALL))

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a path that `read_path` gave, None if the route is not its own.

        Literals match in any case; one slash at the end is ignored.
        """
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        return {name: value for name, value in found.groupdict().items() if value is not None}
