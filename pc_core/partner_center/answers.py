"""Reads the bodies of Partner Center's answers: a page is cut into its items."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from pc_core.errors import (
    NonsenseAnswer,
)


def single_item(body: bytes, path: str) -> bytes:
    """The one item of an answer to a question by id."""
    item = body.removeprefix(b"\xef\xbb\xbf").strip()
    if item.startswith(b"{") and item.endswith(b"}"):
        items = parse_page(b'{"value":[' + item + b"]}").items
        if len(items) == 1 and _may_be_a_referral(items[0]):
            return items[0]
    raise NonsenseAnswer(
        f"Partner Center's answer to GET {path} is no referral. Nothing was concluded from it; "
        "the referral is asked for again later."
    )


def _may_be_a_referral(item: bytes) -> bool:
    """Whether it has an id; JSON that only a tolerant parser reads is left for it to judge."""
    try:
        content = json.loads(item)
    except (ValueError, RecursionError):
        return True
    return isinstance(content, dict) and "id" in content


class Page(NamedTuple):
    """One answer of the list call: each item's exact JSON text, and where to go on (or None)."""

    items: list[bytes]
    next_link: str | None


class _WirePage(msgspec.Struct, gc=False):
    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)


_PAGE_DECODER: Final = msgspec.json.Decoder(_WirePage)


# Strings, brackets and commas are all that is needed to cut a page into its items.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)


_JSON_SPACE: Final = b" \t\r\n"


def parse_page(body: bytes) -> Page:
    """Cut an answer of the list call into its items, without judging them.

    An item that is broken in itself (a lone surrogate, `NaN`, invalid UTF-8, …) does not spoil its
    page: where the fast parser refuses, the page is cut at its brackets instead.

    Raises:
        NonsenseAnswer: the body is no JSON object with a list `value`, or it is cut off.
    """
    try:
        page = _PAGE_DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _cut_page(body)
    return Page([bytes(item) for item in page.value], page.next_link or None)


def _cut_page(body: bytes) -> Page:
    """What `parse_page` does, for bodies that are not quite JSON."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip(_JSON_SPACE)
    if not body.startswith(b"{"):
        raise _nonsense(body, "is no JSON object" if body else "is empty")
    members = dict(_members(body))
    value = members.get(b"value", b"")
    if not value.startswith(b"["):
        raise _nonsense(body, "has no list `value`")
    if not value.endswith(b"]"):
        raise _nonsense(body, "is cut off")
    try:
        next_link = json.loads(members.get(b"@odata.nextLink", b"null"))
    except ValueError:
        next_link = ...
    if next_link is not None and not isinstance(next_link, str):
        raise _nonsense(body, "has an `@odata.nextLink` that is no text")
    return Page([item for item in _split(value, body) if item], next_link or None)


def _members(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    for member in _split(body, body):
        key, colon, value = member.partition(b":")
        if not colon and member:
            raise _nonsense(body, "is no JSON object")
        yield key.strip(_JSON_SPACE).strip(b'"'), value.strip(_JSON_SPACE)


def _split(container: bytes, body: bytes) -> Iterator[bytes]:
    """The parts of a bracketed list or object between its own commas."""
    depth = 0
    start = 1
    for token in _TOKEN.finditer(container):
        sign = token.group()
        if sign in (b"[", b"{"):
            depth += 1
        elif sign in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                yield container[start : token.start()].strip(_JSON_SPACE)
                if container[token.end() :].strip(_JSON_SPACE):
                    raise _nonsense(body, "goes on after its end")
                return
        elif sign == b"," and depth == 1:
            yield container[start : token.start()].strip(_JSON_SPACE)
            start = token.end()
        elif sign == b'"':
            break
    raise _nonsense(body, "is cut off")


def _nonsense(body: bytes, what: str) -> NonsenseAnswer:
    return NonsenseAnswer(
        f"Partner Center's list answer of {len(body)} bytes {what}. Nothing was concluded from it; "
        "what was saved stays saved. The next run asks again."
    )
