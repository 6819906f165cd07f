"""The body of a page is cut into its items, whatever is wrong with one of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.errors import InvalidResponse
from pc_core.partner_center.answers import parse_page

OBJECTS = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=8,
)


def encode(wire: Any) -> bytes:
    return json.dumps(wire, ensure_ascii=False).encode("utf-8", "surrogatepass")


def test_a_page_is_cut_into_its_items_exact_bytes() -> None:
    body = b'{"@odata.count":9,"value":[ {"id" : "a","n":1.50} ,{"id":"b"}],"@odata.nextLink":"u"}'

    page = parse_page(body)

    assert page.items == [b'{"id" : "a","n":1.50}', b'{"id":"b"}']
    assert page.next_link == "u"


@pytest.mark.parametrize(
    "tail", [b"", b',"@odata.nextLink":null', b',"@odata.nextLink":""', b',"nextLink":"u"']
)
def test_a_last_page_has_no_next_link(tail: bytes) -> None:
    assert parse_page(b'{"value":[]' + tail + b"}").next_link is None


SPOILING = [
    b'{"id":"a","name":"\\ud83d"}',
    b'{"id":"a","n":NaN}',
    b'{"id":"a","n":-Infinity}',
    b'{"id":"a","name":"x\ny"}',
    b'{"id":"a","name":"\xff\xfe"}',
    b'{"id":"a","n":1.}',
    b'{"id":"a" "name":1}',
    b'{"id":"a","n":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b'{"id":"a","name":"]}\\\\\\",[{"}',
    b"nonsense",
]


@pytest.mark.parametrize("item", SPOILING, ids=range(len(SPOILING)))
def test_one_broken_item_does_not_spoil_its_page(item: bytes) -> None:
    body = b'{"value":[{"id":"before"},' + item + b',{"id":"after"}],"@odata.nextLink":"u\\u0026"}'

    page = parse_page(body)

    assert page.items == [b'{"id":"before"}', item, b'{"id":"after"}']
    assert page.next_link == "u&"


def test_a_page_may_begin_with_a_byte_order_mark() -> None:
    assert parse_page(b'\xef\xbb\xbf{"value":[{"id":"a"}]} \n').items == [b'{"id":"a"}']


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"<!DOCTYPE html><html><body>{}</body></html>",
        b"upstream connect error",
        b"null",
        b"[]",
        b'"value"',
        b"{}",
        b'{"error":{"code":"generalException"}}',
        b'{"value":null}',
        b'{"value":{}}',
        b'{"value":"[]"}',
        b'{"Value":[]}',
        b'{"value":[{"id":"a"}',
        b'{"value":[{"id":"a"},{"id":"b',
        b'{"value":[{"id":"a"}]',
        b'{"value":[]}{"value":[]}',
        b'{"value":[]} trailing',
        b'{"value":[],"@odata.nextLink":5}',
        b'{"value":[],"@odata.nextLink":{"uri":"u"}}',
        b'{"value":[NaN],"@odata.nextLink":[]}',
        b'{"value":[NaN],"@odata.nextLink":x}',
        b"{value}",
    ],
)
def test_a_response_without_a_whole_list_is_invalid_and_not_empty(body: bytes) -> None:
    with pytest.raises(InvalidResponse) as error:
        parse_page(body)

    assert str(len(body.removeprefix(b"\xef\xbb\xbf").strip())) in str(error.value)


@given(st.lists(OBJECTS, max_size=5), st.integers(0, 10_000))
def test_a_truncated_page_is_invalid(wires: list[Any], place: int) -> None:
    body = b'{"value":' + encode(wires) + b',"@odata.nextLink":"u"}'

    with pytest.raises(InvalidResponse):
        parse_page(body[: place % len(body)])


@given(st.lists(OBJECTS, max_size=5))
def test_every_page_gives_back_its_items(wires: list[Any]) -> None:
    items = [encode(wire) for wire in wires]

    page = parse_page(b'{"value":[' + b" , ".join(items) + b"]}")

    assert page.items == items
