"""What Partner Center's error responses say."""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from pc_core.errors import SignInNeeded, SignInState
from pc_core.partner_center.refusals import not_allowed, read_error

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
NO_HEADERS: CaseInsensitiveDict[str] = CaseInsensitiveDict()


def challenge(encoded: str, word: str = "insufficient_claims") -> CaseInsensitiveDict[str]:
    value = f'Bearer realm="", error="{word}", claims="{encoded}"'
    return CaseInsensitiveDict({"www-authenticate": value})


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b"", ()),
        (b"Unauthorized", ()),
        (b"<html><h1>502</h1></html>", ()),
        (b"[1]", ()),
        (b'{"error": "text"}', ()),
        (b'{"code": "unAuthorized", "description": "d", "data": []}', ("unAuthorized",)),
        (
            b'{"error":{"code":"top","innerError":{"code":"in","innererror":{"code":900421}}}}',
            ("top", "in", "900421"),
        ),
        (b'{"code": "a person: ada@example.com"}', ()),
        (b'{"code": null, "description": "MFA is missing (900421)."}', ("900421",)),
        (b'{"error":{"code":"who","message":"900420: audience"}}', ("who", "900420")),
    ],
)
def test_codes_are_found_in_every_form_of_body(body: bytes, codes: tuple[str, ...]) -> None:
    assert read_error(401, NO_HEADERS, body).codes == codes


@pytest.mark.parametrize("word", ["insufficient_claims", "insufficent_claims"])
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("strip", ["", "="])
def test_a_claims_challenge_is_decoded(
    word: str, status: int, encode: Callable[[bytes], bytes], strip: str
) -> None:
    encoded = encode(CLAIMS.encode()).decode().rstrip(strip)

    assert read_error(status, challenge(encoded, word), b"").claims == CLAIMS


@pytest.mark.parametrize("encoded", ["!!!", "bm90IGpzb24=", "WzFd", "gICA"])
def test_a_claims_challenge_that_is_none_is_left_alone(encoded: str) -> None:
    assert read_error(401, challenge(encoded), b"").claims is None


def test_another_status_is_no_claims_challenge() -> None:
    encoded = base64.b64encode(CLAIMS.encode()).decode()

    assert read_error(400, challenge(encoded), b"").claims is None


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        (900421, SignInState.SIGN_IN_NEEDED, "mfa_missing"),
        (900420, SignInState.MISCONFIGURED, "wrong_audience"),
        (1, SignInState.SIGN_IN_NEEDED, "api_unauthorized"),
    ],
)
def test_a_second_401_is_explained_by_its_code(code: int, state: SignInState, reason: str) -> None:
    refusal = read_error(401, NO_HEADERS, json.dumps({"error": {"code": code}}).encode())

    error = not_allowed(refusal, "/p")

    assert isinstance(error, SignInNeeded)
    assert (error.state, error.code) == (state, reason)


@given(st.binary(max_size=300), st.text(max_size=100))
def test_no_refusal_breaks_reading(body: bytes, header: str) -> None:
    headers = CaseInsensitiveDict({"WWW-Authenticate": header})

    assert read_error(401, headers, body).status == 401
