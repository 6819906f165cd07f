"""The static page. Its files' addresses hold a hash, so a browser may keep them for a year."""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path

from msgspec import Struct

from pc_core.web import respond
from pc_core.web.access import Role
from pc_core.web.exchange import HttpAnswer, Route, Unread, Visit

_FOLDER = Path(__file__).parents[1] / "static"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class _Site(Struct, frozen=True, kw_only=True):
    version: str
    page: bytes
    files: dict[str, bytes]


@cache
def _site() -> _Site:
    files = {
        path.name: path.read_bytes()
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _MEDIA_TYPES
    }
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    version = digest.hexdigest()[:16]
    page = files.pop("index.html").replace(b"{assets}", f"/mini-ui/{version}".encode())
    return _Site(version=version, page=page, files=files)


def _show(visit: Visit, __: Unread) -> HttpAnswer:
    """`/mini-ui/` is the page, `/mini-ui/<version>/<file>` one of its files.

    The modules import each other by relative names, so one version in the path covers them all.
    A file asked for under another version (a page from before a deployment) is served as it is
    now, and not kept.
    """
    site = _site()
    version, _, name = visit.request.placeholders.get("path", "").partition("/")
    if not version and not name:
        return _file(visit, site.page, suffix=".html", cache_control=_ASK_AGAIN)
    content = site.files.get(name)
    if content is None:
        return respond.not_found("That file")
    kept = _FOREVER if version == site.version else _ASK_AGAIN
    return _file(visit, content, suffix=Path(name).suffix, cache_control=kept)


def _file(visit: Visit, content: bytes, *, suffix: str, cache_control: str) -> HttpAnswer:
    # The platform compresses nothing that a function answers.
    packed = _takes_gzip(visit.request.headers.get("accept-encoding", ""))
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}{"-gzip" if packed else ""}"'
    known = visit.request.headers.get("if-none-match", "")
    return respond.file_answer(
        _pack(content) if packed else content,
        media_type=_MEDIA_TYPES[suffix],
        etag=etag,
        cache=cache_control,
        matches=etag in {tag.strip().removeprefix("W/") for tag in known.split(",")},
        encoding="gzip" if packed else None,
    )


def _takes_gzip(accepted: str) -> bool:
    for offer in accepted.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() in ("gzip", "*"):
            return re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None
    return False


@cache
def _pack(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


MINI_UI = Route(path="mini-ui/{*path}", method="GET", who=Role.NONE, given=Unread, handle=_show)
HOME = Route(
    path="/",
    method="GET",
    who=Role.NONE,
    given=Unread,
    handle=lambda _, __: respond.redirect("/mini-ui/"),
)
