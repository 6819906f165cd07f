import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_core.web.access import (
    MAX_BODY_BYTES,
    Caller,
    Role,
    decide,
    refuse_body,
    refuse_cross_site,
    refuse_host,
    refuse_role,
)

ROLE_TYPE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
NAME_TYPE = "name"
SHAPES = Path(__file__).parents[1] / "shapes" / "easy_auth"


def principal(*roles: str, **changes: Any) -> str:
    claims = [{"typ": ROLE_TYPE, "val": role} for role in roles]
    claims.append({"typ": NAME_TYPE, "val": "ada@partner.example"})
    content = {
        "auth_typ": "aad",
        "role_typ": ROLE_TYPE,
        "name_typ": NAME_TYPE,
        "claims": claims,
    } | changes
    return base64.b64encode(json.dumps(content).encode()).decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("roles", "role", "standing"),
    [
        (["Referrals.Read"], Role.READER, "signed_in"),
        (["Referrals.Operate"], Role.OPERATOR, "signed_in"),
        (["Referrals.Read", "Referrals.Operate"], Role.OPERATOR, "signed_in"),
        (["referrals.operate"], Role.NONE, "role_missing"),
        (["Referrals.Operate "], Role.NONE, "role_missing"),
        ([], Role.NONE, "role_missing"),
    ],
)
def test_the_platforms_principal_gives_the_role(
    roles: list[str], role: Role, standing: str
) -> None:
    caller = decide({"x-ms-client-principal": principal(*roles)}, auth_enabled=True, key=None)
    assert (caller.role, caller.standing) == (role, standing)
    assert caller.name == "ada@partner.example"


@pytest.mark.parametrize("path", sorted(SHAPES.glob("*.json")), ids=lambda path: path.stem)
def test_the_header_that_the_platform_really_sends_gives_role_and_name(path: Path) -> None:
    shape = json.loads(path.read_text(encoding="utf-8"))
    header = encoded(json.dumps(shape["principal"]))

    caller = decide({"x-ms-client-principal": header}, auth_enabled=True, key=None)

    assert caller.role is Role[shape["role"]]
    assert caller.name == shape["name"]


def test_a_role_under_any_other_claim_type_counts_for_nothing() -> None:
    claims = [{"typ": typ, "val": "Referrals.Operate"} for typ in ("role", "groups", "scp", "name")]
    header = principal(claims=claims)
    assert decide({"x-ms-client-principal": header}, auth_enabled=True, key=None).role == 0


def test_a_principal_counts_for_nothing_where_authentication_is_off() -> None:
    headers = {"x-ms-client-principal": principal("Referrals.Operate")}
    assert decide(headers, auth_enabled=False, key=None).standing == "closed"
    assert decide(headers, auth_enabled=False, key="k").standing == "api_key_needed"


def test_a_key_counts_for_nothing_where_authentication_is_on() -> None:
    caller = decide({"x-api-key": "k"}, auth_enabled=True, key="k")
    assert (caller.role, caller.standing) == (Role.NONE, "login_needed")


@pytest.mark.parametrize(
    ("given_key", "key", "role", "standing"),
    [
        ("right", "right", Role.OPERATOR, "signed_in"),
        ("wrong", "right", Role.NONE, "api_key_needed"),
        ("", "right", Role.NONE, "api_key_needed"),
        (None, "right", Role.NONE, "api_key_needed"),
        ("right", None, Role.NONE, "closed"),
        ("", None, Role.NONE, "closed"),
        ("", "", Role.NONE, "closed"),
    ],
)
def test_a_key_makes_an_operator(
    given_key: str | None, key: str | None, role: Role, standing: str
) -> None:
    headers = {} if given_key is None else {"x-api-key": given_key}
    caller = decide(headers, auth_enabled=False, key=key)
    assert (caller.role, caller.standing) == (role, standing)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "!!!",
        "a",
        encoded("not json"),
        encoded("[]"),
        encoded("null"),
        encoded("{}"),
        encoded('{"claims": {}}'),
        encoded("[" * 100_000),
        base64.b64encode(b"\xff\xfe\x00").decode(),
        "é" * 20,
    ],
)
def test_a_malformed_principal_is_nobody(header: str) -> None:
    caller = decide({"x-ms-client-principal": header}, auth_enabled=True, key=None)
    assert (caller.role, caller.standing) == (Role.NONE, "login_needed")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(ROLE_TYPE),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(claims=JSON, role_type=JSON, name_type=JSON)
def test_no_principal_of_any_shape_raises_or_gains_a_role(
    claims: Any, role_type: Any, name_type: Any
) -> None:
    header = principal(claims=claims, role_typ=role_type, name_typ=name_type)
    assert decide({"x-ms-client-principal": header}, auth_enabled=True, key=None).role == 0


@given(headers=st.dictionaries(st.sampled_from(["x-ms-client-principal", "x-api-key"]), st.text()))
def test_no_header_of_any_text_raises_or_gains_a_role(headers: dict[str, str]) -> None:
    assert decide(headers, auth_enabled=True, key=None).role == 0
    assert decide(headers, auth_enabled=False, key="a key that no test makes up").role == 0


@pytest.mark.parametrize(
    ("standing", "role", "needed", "expected"),
    [
        ("signed_in", Role.OPERATOR, Role.OPERATOR, None),
        ("signed_in", Role.OPERATOR, Role.READER, None),
        ("signed_in", Role.READER, Role.READER, None),
        ("signed_in", Role.READER, Role.OPERATOR, (403, "role_missing")),
        ("role_missing", Role.NONE, Role.READER, (403, "role_missing")),
        ("login_needed", Role.NONE, Role.READER, (401, "login_needed")),
        ("api_key_needed", Role.NONE, Role.READER, (401, "api_key_needed")),
        ("closed", Role.NONE, Role.READER, (403, "access_not_configured")),
        ("closed", Role.NONE, Role.NONE, None),
    ],
)
def test_a_role_that_is_missing_is_refused_with_the_way_in(
    standing: Any, role: Role, needed: Role, expected: tuple[int, str] | None
) -> None:
    refusal = refuse_role(Caller(role=role, standing=standing), needed)
    assert (refusal and (refusal.status, refusal.code)) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("app.azurewebsites.net", None),
        ("APP.azurewebsites.net.", None),
        ("app.azurewebsites.net:443", None),
        ("referrals.partner.example", None),
        ("localhost:7071", None),
        ("127.0.0.1:7071", None),
        ("[::1]:7071", None),
        ("evil.example", 421),
        ("app.azurewebsites.net.evil.example", 421),
        ("evil.example:app.azurewebsites.net", 421),
        ("127.0.0.1.evil.example", 421),
        ("app.azurewebsites.net@evil.example", 421),
        ("[::1", 400),
        ("", 400),
    ],
)
def test_only_our_own_names_are_answered(host: str, expected: int | None) -> None:
    known = {"app.azurewebsites.net:443", "Referrals.partner.example"}
    refusal = refuse_host({"host": host}, known_hosts=known)
    assert (refusal and refusal.status) == expected


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://app.example"}, False),
        ({"origin": "https://app.example"}, False),
        ({"origin": "https://app.example:443"}, False),
        ({"origin": "https://APP.example"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": ""}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "https://evil.example"}, True),
        ({"origin": "https://app.example.evil.example"}, True),
        ({"origin": "https://app.example:8443"}, True),
        ({"origin": "http://app.example"}, True),
        ({"origin": "https://[app"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, True),
    ],
)
def test_a_browsers_post_must_come_from_our_own_page(
    headers: dict[str, str], refused: bool
) -> None:
    refusal = refuse_cross_site({"host": "app.example", **headers})
    assert (refusal is not None) == refused


def test_plain_http_is_our_own_origin_on_loopback_alone() -> None:
    ours = {"host": "127.0.0.1:7071", "origin": "http://127.0.0.1:7071"}
    assert refuse_cross_site(ours) is None
    assert refuse_cross_site({**ours, "origin": "http://127.0.0.1:9999"}) is not None


@given(
    headers=st.dictionaries(
        st.sampled_from(["host", "origin", "sec-fetch-site", "content-type"]), st.text()
    ),
    body=st.binary(max_size=200),
)
def test_no_header_of_any_text_breaks_a_check(headers: dict[str, str], body: bytes) -> None:
    refuse_host(headers, known_hosts={"app.example"})
    refuse_cross_site(headers)
    refuse_body(headers, body)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b"{}", None),
        ("Application/JSON; charset=utf-8", b"{}", None),
        ("", b"", None),
        ("text/plain", b"", None),
        ("application/x-www-form-urlencoded", b"mode=full", 415),
        ("text/plain", b"{}", 415),
        ("", b"{}", 415),
        ("application/json", b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)
def test_a_body_must_be_json_of_a_sensible_size(
    content_type: str, body: bytes, expected: int | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    refusal = refuse_body(headers, body)
    assert (refusal and refusal.status) == expected
