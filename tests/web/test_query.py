from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.web.query import BadParameter, Members, Query


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
    assert Query({"at": value}).instant("at") == expected


@pytest.mark.parametrize(
    "value", ["2026-13-01", "2026-01-31T08:00:00", "yesterday", "0001-01-01T00:00:00+14:00"]
)
def test_an_instant_that_is_none_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadParameter, match="at: must be a date"):
        Query({"at": value}).instant("at")


@pytest.mark.parametrize(
    "value", ["0", "201", "-1", "1.5", "1e2", "ten", "\u0661", "9999999999999"]
)
def test_a_number_outside_its_bounds_is_refused(value: str) -> None:
    with pytest.raises(BadParameter, match="limit: must be a whole number from 1 to 200"):
        Query({"limit": value}).number("limit", low=1, high=200)


@pytest.mark.parametrize("value", ["a\0b", "a\nb", "\ud800", "x" * 201])
def test_a_text_that_a_database_could_not_take_is_refused(value: str) -> None:
    with pytest.raises(BadParameter, match="q: must"):
        Query({"q": value}).text("q")


def test_a_list_is_split_and_trimmed() -> None:
    assert Query({"status": " New, Active,,"}).words("status") == ("New", "Active")
    assert Query({}).words("status") == ()
    with pytest.raises(BadParameter, match="at most 20"):
        Query({"status": ",".join("abcdefghijklmnopqrstu")}).words("status")


def test_a_parameter_that_nobody_reads_is_refused_with_those_that_are() -> None:
    query = Query({"q": "a", "page": "2"})
    query.text("q")
    with pytest.raises(BadParameter, match="page: is not known here; known: q"):
        query.end()


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b"\xff", b'"mode"', b"[" * 100_000, b"NaN!"]
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadParameter, match="body: must be"):
        Members(body)


def test_members_are_read_by_their_type() -> None:
    members = Members(b'{"mode": "full", "accept_missing": true}')
    assert (members.text("mode"), members.flag("accept_missing")) == ("full", True)
    members.end()
    with pytest.raises(BadParameter, match="accept_missing: must be true or false"):
        Members(b'{"accept_missing": "true"}').flag("accept_missing")
    with pytest.raises(BadParameter, match="mode: must be a text"):
        Members(b'{"mode": 1}').text("mode")
    with pytest.raises(BadParameter, match="extra: is not known here"):
        Members(b'{"extra": 1}').end()


@given(st.dictionaries(st.text(), st.text()), st.sampled_from(["q", "limit", "at", "on"]))
def test_no_parameter_of_any_text_does_more_than_be_refused(
    given_query: dict[str, str], name: str
) -> None:
    query = Query(given_query)
    try:
        match name:
            case "q":
                query.text("q")
            case "limit":
                query.number("limit", low=1, high=9)
            case "at":
                query.instant("at")
            case _:
                query.flag("on")
        query.end()
        refused = ""
    except BadParameter as error:
        refused = error.parameter
    assert refused.isascii()
