"""The addresses of the referrals API, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.errors import InvalidResponse
from pc_core.partner_center.links import first_query, next_query, referral_path

BASE = "https://api.partner.microsoft.com"
TOKEN = "$skiptoken=%2bRID%3a%7eab%2f0%2d%3d&x=a%20b+c"  # lower case; %7e and %2d are unreserved


def test_options_of_the_first_page_are_encoded_once() -> None:
    query = first_query(order="updatedDateTime desc", top=200)

    assert query == "$orderby=updatedDateTime%20desc&$top=200"


def test_nothing_is_asked_for_unless_wanted() -> None:
    assert first_query(order=None, top=None) == ""


@pytest.mark.parametrize(
    "link",
    [
        f"http://api.partner.microsoft.com/v1.0/referrals?{TOKEN}",
        f"https://api.partner.microsoft.com/v1.0/engagements/referrals?{TOKEN}",
        f"https://API.partner.microsoft.com:443/v1.0/engagements/referrals?{TOKEN}",
        f"//api.partner.microsoft.com/v1.0/referrals?{TOKEN}",
        f"/v1.0/engagements/referrals?{TOKEN}",
        f"referrals?{TOKEN}",
        f"?{TOKEN}",
        f"  https://api.partner.microsoft.com/v1.0/referrals?{TOKEN}#part ",
    ],
)
def test_every_form_of_a_next_link_is_reduced_to_its_untouched_query(link: str) -> None:
    assert next_query(link, base_url=BASE) == TOKEN


@pytest.mark.parametrize(
    "link",
    [
        f"https://collector.example.net/v1.0/engagements/referrals?{TOKEN}",
        f"//collector.example.net/v1.0?{TOKEN}",
        f"https://api.partner.microsoft.com.example.net/?{TOKEN}",
        f"https://api.partner.microsoft.com@example.net/?{TOKEN}",
        f"https://api.partner.microsoft.com\\@example.net/?{TOKEN}",
        f"https://example.net\\.api.partner.microsoft.com/?{TOKEN}",
        f"ftp://api.partner.microsoft.com/?{TOKEN}",
        f"javascript:?{TOKEN}",
        f"https:///v1.0?{TOKEN}#x".replace("///", "//:443/"),
    ],
)
def test_a_next_link_to_another_host_is_refused(link: str) -> None:
    with pytest.raises(InvalidResponse) as refused:
        next_query(link, base_url=BASE)

    assert refused.value.code == "next_link_foreign"


@pytest.mark.parametrize("link", ["", "/v1.0/referrals", "/v1.0/referrals?", "http://[::1?a=b"])
def test_a_next_link_that_leads_nowhere_is_refused(link: str) -> None:
    with pytest.raises(InvalidResponse):
        next_query(link, base_url=BASE)


def test_only_what_may_not_stand_in_a_request_is_encoded() -> None:
    query = next_query("?$orderby=updatedDateTime desc&n=ş%2f\r\nX: y", base_url=BASE)

    assert query == "$orderby=updatedDateTime%20desc&n=%C5%9F%2f%0D%0AX:%20y"


@given(st.text(min_size=1))
def test_no_link_smuggles_anything_into_a_request(text: str) -> None:
    try:
        query = next_query(f"?{text}", base_url=BASE)
    except InvalidResponse:
        return

    assert query.isascii()
    assert query.isprintable()
    assert " " not in query


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    assert referral_path("../a b?c/ş") == ("/v1.0/engagements/referrals/..%2Fa%20b%3Fc%2F%C5%9F")
