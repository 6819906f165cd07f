"""The bodies of Partner Center's responses: a page is cut into its items. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from pc_core.errors import InvalidResponse


class PageBody(NamedTuple):
    """One page of the list: the exact JSON text of each item, and the link to the next page."""

    items: list[bytes]
    next_link: str | None


class _WirePage(msgspec.Struct, gc=False):
    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)


# Made at import, so that two threads cannot complete the type at the same time; see
# `pc_core.referral.wire`.
_PAGE_DECODER: Final = msgspec.json.Decoder(_WirePage)
# Strings, brackets and commas are enough to cut a page into its items.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_JSON_SPACE: Final = b" \t\r\n"


def parse_page(body: bytes) -> PageBody:
    """Cut a page of the list into its items, without checking them.

    An invalid item (a lone surrogate, `NaN`, invalid UTF-8, …) does not affect the rest of its
    page: if the fast parser fails, the page is cut at its brackets.

    Raises:
        InvalidResponse: the body is not a JSON object with a list `value`, or it is truncated.
    """
    try:
        page = _PAGE_DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _cut_page(body)
    return PageBody([bytes(item) for item in page.value], page.next_link or None)


def _cut_page(body: bytes) -> PageBody:
    """The same for bodies that are not valid JSON."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip(_JSON_SPACE)
    if not body.startswith(b"{"):
        raise _invalid(body, "is not a JSON object" if body else "is empty")
    members = dict(_members(body))
    value = members.get(b"value", b"")
    if not value.startswith(b"["):
        raise _invalid(body, "has no list `value`")
    if not value.endswith(b"]"):
        raise _invalid(body, "is truncated")
    try:
        next_link = json.loads(members.get(b"@odata.nextLink", b"null"))
    except ValueError:
        next_link = ...
    if next_link is not None and not isinstance(next_link, str):
        raise _invalid(body, "has an `@odata.nextLink` that is not a string")
    return PageBody([item for item in _split(value, body) if item], next_link or None)


def _members(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    for member in _split(body, body):
        key, colon, value = member.partition(b":")
        if not colon and member:
            raise _invalid(body, "is not a JSON object")
        yield key.strip(_JSON_SPACE).strip(b'"'), value.strip(_JSON_SPACE)


def _split(container: bytes, body: bytes) -> Iterator[bytes]:
    """The parts of a list or object between its own commas."""
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
                    raise _invalid(body, "continues after its end")
                return
        elif sign == b"," and depth == 1:
            yield container[start : token.start()].strip(_JSON_SPACE)
            start = token.end()
        elif sign == b'"':
            break
    raise _invalid(body, "is truncated")


def _invalid(body: bytes, problem: str) -> InvalidResponse:
    return InvalidResponse(
        f"Partner Center returned an invalid response: the list of {len(body)} bytes {problem}. "
        "No data was changed; saved pages are kept. The next run tries again."
    )


def single_item(body: bytes, path: str) -> bytes:
    """The item of a response to a request by id.

    Raises:
        InvalidResponse: the body is not a referral.
    """
    item = body.removeprefix(b"\xef\xbb\xbf").strip()
    if item.startswith(b"{") and item.endswith(b"}"):
        items = parse_page(b'{"value":[' + item + b"]}").items
        if len(items) == 1 and _may_be_a_referral(items[0]):
            return items[0]
    raise InvalidResponse(
        f"Partner Center returned an invalid response: GET {path} is not a referral. No data was "
        "changed; the referral is requested again later."
    )


def _may_be_a_referral(item: bytes) -> bool:
    """Whether it has an id; invalid JSON may still be a referral that is set aside later."""
    try:
        content = json.loads(item)
    except (ValueError, RecursionError):
        return True
    return isinstance(content, dict) and "id" in content
