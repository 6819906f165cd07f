from datetime import UTC, datetime
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from pc_core.reading import CompanySort, Instant, Text, Words
from pc_core.web.exchange import Body, HttpRequest, Parameters
from pc_core.web.query import BadParameter, read


class Search(Parameters, frozen=True, kw_only=True):
    q: Text | None = None
    status: Words = ()
    color: Literal["red", "green"] | None = "red"
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    at: Instant | None = None
    on: bool = False
    sort: CompanySort = CompanySort()


class Order(Body, frozen=True, kw_only=True):
    mode: Literal["incremental", "full"] | None = None
    accept_missing: bool = False


def search(**query: str) -> Search:
    return read(Search, HttpRequest(method="GET", path="/", query=query))


def order(body: bytes) -> Order:
    return read(Order, HttpRequest(method="POST", path="/", body=body))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00+03:00", datetime(2026, 1, 31, 5, tzinfo=UTC)),
        ("2026-01-31T08:00:00 03:00", datetime(2026, 1, 31, 5, tzinfo=UTC)),
        ("", None),
    ],
)
def test_an_instant_is_a_date_or_a_time_with_its_offset(
    value: str, expected: datetime | None
) -> None:
    assert search(at=value).at == expected


@pytest.mark.parametrize(
    "value", ["2026-13-01", "2026-01-31T08:00:00", "yesterday", "0001-01-01T00:00:00+14:00"]
)
def test_an_instant_that_is_none_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadParameter, match="at: must be a date"):
        search(at=value)


@pytest.mark.parametrize(
    "value", ["0", "201", "-1", "1.5", "1e2", "ten", "\u0661", "9999999999999"]
)
def test_a_number_outside_its_bounds_is_refused(value: str) -> None:
    with pytest.raises(BadParameter, match="limit: must be a whole number from 1 to 200"):
        search(limit=value)


@pytest.mark.parametrize("value", ["a\0b", "a\nb", "a\n", "\ud800", "x" * 201])
def test_a_text_that_a_database_could_not_take_is_refused(value: str) -> None:
    with pytest.raises(BadParameter, match="q: must"):
        search(q=value)


def test_a_list_is_split_and_trimmed() -> None:
    assert search(status=" New, Active,,").status == ("New", "Active")
    assert search().status == ()
    with pytest.raises(BadParameter, match="at most 20"):
        search(status=",".join("abcdefghijklmnopqrstu"))


def test_a_closed_list_takes_its_words_and_any_where_it_may_be_none() -> None:
    assert (search().color, search(color="green").color, search(color="any").color) == (
        "red",
        "green",
        None,
    )
    with pytest.raises(BadParameter, match="color: must be one of: green, red, any"):
        search(color="blue")


def test_a_sort_is_a_key_with_or_without_its_order() -> None:
    assert search(sort="company").sort == CompanySort(key="company")
    assert search(sort="company:asc").sort == CompanySort(key="company", order="asc")
    for wrong in ("size", "company:up", "company:asc:asc"):
        with pytest.raises(BadParameter, match="one of: updated, company, with :asc or :desc"):
            search(sort=wrong)


def test_a_flag_is_true_or_false_and_nothing_like_it() -> None:
    assert (search(on="true").on, search(on="false").on) == (True, False)
    for wrong in ("1", "TRUE", "yes"):
        with pytest.raises(BadParameter, match="on: must be true or false"):
            search(on=wrong)


def test_a_parameter_that_is_unknown_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadParameter, match="page: is not known here; known: at, color, limit"):
        search(q="a", page="")


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b"\xff", b'"mode"', b"[" * 100_000, b"NaN!"]
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadParameter, match="body: must be"):
        order(body)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b'{"accept_missing": "true"}', "accept_missing: must be true or false"),
        (b'{"accept_missing": null}', "accept_missing: must be true or false"),
        (b'{"mode": 1}', "mode: must be one of: full, incremental$"),
        (b'{"mode": "any"}', "mode: must be one of: full, incremental$"),
        (b'{"extra": 1}', "extra: is not known here; known: accept_missing, mode"),
    ],
)
def test_members_of_a_body_are_taken_by_their_type_alone(body: bytes, refusal: str) -> None:
    assert order(b'{"mode": "full", "accept_missing": true}') == Order(
        mode="full", accept_missing=True
    )
    assert order(b"") == order(b'{"mode": null}') == Order()
    with pytest.raises(BadParameter, match=refusal):
        order(body)


@given(st.dictionaries(st.sampled_from([*Search.__struct_fields__, "\u0131"]), st.text()))
def test_no_parameter_of_any_text_does_more_than_be_refused(query: dict[str, str]) -> None:
    try:
        search(**query)
        refused = ""
    except BadParameter as error:
        refused = error.parameter
    assert refused.isascii()
