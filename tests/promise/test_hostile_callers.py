"""Strangers, liars and fuzzers at every route: no error of ours, no data, no slow path."""

import base64
import csv
import http.client
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import psycopg
import pytest

from pc_core.web import openapi
from pc_core.web.access import MAX_BODY_BYTES, Role
from pc_core.web.exchange import Route
from tests.web.conftest import API, Served, sign_in

SLOWEST_S = 5.0  # on a busy machine; the usual answer takes milliseconds
PLACEHOLDER = "11111111-2222-4333-8444-555555555555"
TRACES = ("Traceback", 'File "', "psycopg", "msgspec", "pc_core", "SQLSTATE", "line ")
ATTACKS = (
    "' OR '1'='1",
    "'; DROP TABLE partner_center_referrals; --",
    '" OR ""="',
    "1) UNION SELECT erasure_key::text FROM partner_center_sync_state --",
    "%' AND pg_sleep(10) --",
    "$1",
    "%s %(q)s %%",
    "\\",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}",
    "../../../../etc/passwd",
    "..%2f..%2f",
    "=cmd|' /C calc'!A0",
    "\u0000",
    "a\r\nSet-Cookie: x=1",
    "\ud83d\ude00" * 50,
    "İ" * 100,
    "a & b | ! ( :* ) <-> 'c'",
    "9" * 400,
    "-1",
    "1e309",
    "NaN",
    "null",
    "x" * 5000,
    "😀é\u202e",
)


@dataclass(frozen=True, slots=True)
class Got:
    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float


def send(
    served: Served,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Got:
    """A request exactly as given, over a connection of its own."""
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    began_s = time.monotonic()
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return Got(answer.status, found, content, time.monotonic() - began_s)


def fill(route: Route[Any], value: str = PLACEHOLDER) -> str:
    """The route's path with its placeholders filled."""
    parts = [value if part.startswith("{") else part for part in route.path.split("/")]
    return "/" + "/".join(parts)


def assert_harmless(got: Got) -> None:
    """No error of ours, no trace of our insides, no waiting."""
    assert got.status < 500 or got.status in (502, 503), got.body[:300]
    assert got.took_s < SLOWEST_S
    if got.status >= 400 and got.body:
        text = got.body.decode("utf-8", "replace")
        assert not [trace for trace in TRACES if trace in text], text[:300]
        if "json" in got.headers.get("content-type", ""):
            problem = json.loads(got.body)
            assert problem["status"] == got.status
            assert problem["code"]


CLOSED = [route for route in openapi.routes() if route.who is not Role.NONE]
ALL = openapi.routes()


@pytest.fixture(scope="module")
def secrets(served: Served) -> list[bytes]:
    """The app with data in it, and texts that no stranger may see."""
    sign_in(served)
    status, _, _ = served.ask(f"{API}/referrals/sync", method="POST", body={"mode": "full"})
    assert status == 200
    _, _, listed = served.ask(f"{API}/referrals?limit=200")
    found = {
        str(row[key]).encode()
        for row in listed["referrals"]
        for key in ("referral_id", "company_name", "domain")
        if row[key]
    }
    assert len(found) > 100
    return sorted(found)


def principal(*roles: str, **changes: Any) -> str:
    content = {
        "auth_typ": "aad",
        "name_typ": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "role_typ": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
        "claims": [{"typ": "roles", "val": role} for role in roles],
        **changes,
    }
    return base64.b64encode(json.dumps(content).encode()).decode()


FORGERIES: dict[str, dict[str, str]] = {
    "nothing": {"X-API-Key": ""},
    "a wrong key": {"X-API-Key": "wrong"},
    "a key with blanks": {"X-API-Key": "  "},
    "a long key": {"X-API-Key": "k" * 6000},
    "an odd key": {"X-API-Key": "k\u00e9\u00ff"},
    "a forged principal": {
        "X-API-Key": "",
        "X-MS-Client-Principal": principal("Referrals.Operate"),
        "X-MS-Client-Principal-Id": PLACEHOLDER,
        "X-MS-Client-Principal-Name": "admin",
        "X-MS-Client-Principal-IdP": "aad",
    },
    "a principal that is none": {"X-API-Key": "", "X-MS-Client-Principal": "%%%"},
    "a bearer token": {"X-API-Key": "", "Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
    "basic": {"X-API-Key": "", "Authorization": "Basic YWRtaW46YWRtaW4="},
    "an internal caller": {
        "X-API-Key": "",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "localhost",
        "X-Original-URL": "/healthz",
        "X-Rewrite-URL": "/healthz",
        "X-HTTP-Method-Override": "GET",
    },
    "a functions key": {"X-API-Key": "", "X-Functions-Key": "guess"},
    "a cookie": {"X-API-Key": "", "Cookie": "AppServiceAuthSession=x"},
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forged_credential_opens_any_route(
    served: Served, secrets: list[bytes], name: str
) -> None:
    for route in CLOSED:
        for suffix in ("", "?format=csv", "?limit=200&code=guess"):
            got = send(
                served,
                route.method,
                fill(route) + suffix,
                headers=FORGERIES[name],
                body=b"{}" if route.method == "POST" else None,
            )

            assert got.status == 401, (route.path, got.body[:200])
            assert_harmless(got)
            assert not [one for one in secrets if one in got.body]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "evil.example:80@localhost"}, 421),
        ({"Host": "localhost/evil.example"}, 421),
        ({"Host": "[::1"}, 400),
        ({"Host": "169.254.169.254"}, 421),
    ],
)
def test_no_foreign_host_is_answered_with_data(
    served: Served, secrets: list[bytes], headers: dict[str, str], status: int
) -> None:
    for route in CLOSED:
        got = send(
            served,
            route.method,
            fill(route),
            headers={"X-API-Key": served.key, **headers},
            body=b"{}" if route.method == "POST" else None,
        )

        assert got.status == status, (route.path, got.status)
        assert_harmless(got)
        assert not [one for one in secrets if one in got.body]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_no_foreign_page_makes_a_browser_act(served: Served, headers: dict[str, str]) -> None:
    runs = served.ask(f"{API}/sync-runs")[2]["runs"]
    for route in CLOSED:
        if route.method != "POST":
            continue
        got = send(
            served,
            "POST",
            fill(route),
            headers={"X-API-Key": served.key, "Content-Type": "application/json", **headers},
            body=b"{}",
        )

        assert got.status == 403, (route.path, got.body[:200])
        assert "access-control-allow-origin" not in got.headers
        assert_harmless(got)
    assert served.ask(f"{API}/sync-runs")[2]["runs"] == runs, "nothing was started"


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW")


@pytest.mark.parametrize("method", METHODS)
def test_no_other_method_does_anything(served: Served, secrets: list[bytes], method: str) -> None:
    known = {(route.path, route.method) for route in ALL}
    for route in ALL:
        if (route.path, method) in known or method == "CONNECT":
            continue
        got = send(
            served,
            method,
            fill(route),
            headers={"X-API-Key": served.key, "Content-Type": "application/json"},
            body=b"{}",
        )

        assert got.status in (400, 404, 405, 501), (route.path, got.status)
        assert_harmless_anywhere(got)
        assert not [one for one in secrets if one in got.body]


def assert_harmless_anywhere(got: Got) -> None:
    """As `assert_harmless`, where the host and not the app may have answered."""
    assert got.took_s < SLOWEST_S
    assert b"Traceback" not in got.body


BODIES: dict[str, tuple[bytes, str, set[int]]] = {
    "twenty megabytes": (b'{"mode":"' + b"x" * 20_000_000 + b'"}', "application/json", {413}),
    "a little too much": (b" " * (MAX_BODY_BYTES + 1), "application/json", {413}),
    "deep": (b"[" * 8000 + b"]" * 8000, "application/json", {400}),
    "no JSON": (b"{mode", "application/json", {400}),
    "a list": (b"[]", "application/json", {400}),
    "not UTF-8": (b'{"mode":"\xff"}', "application/json", {400}),
    "half a pair": (rb'{"mode":"\ud800","id":"\ud800"}', "application/json", {400}),
    "a form": (b"mode=full", "application/x-www-form-urlencoded", {415}),
    "text": (b'{"mode":"full"}', "text/plain", {415}),
    "XML": (b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>", "text/xml", {415}),
    "unknown members": (b'{"__proto__":1,"constructor":2}', "application/json", {400}),
    "a huge number": (b'{"mode":1e999}', "application/json", {400}),
    "many digits": (b'{"mode":' + b"1" * 6000 + b"}", "application/json", {400}),
    "other types": (b'{"mode":[],"id":{},"confirm_account":7}', "application/json", {400}),
}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_breaks_a_route(served: Served, name: str) -> None:
    body, media_type, statuses = BODIES[name]
    for route in CLOSED:
        if route.method != "POST":
            continue
        got = send(
            served,
            "POST",
            fill(route),
            headers={"X-API-Key": served.key, "Content-Type": media_type},
            body=body,
        )

        assert got.status in statuses, (route.path, got.status, got.body[:300])
        assert_harmless(got)


def parameters(route: Route[Any]) -> list[str]:
    operation = openapi.document()["paths"][f"/{route.path}"][route.method.lower()]
    return [
        parameter["name"]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    ]


GETS = [route for route in ALL if route.method == "GET"]


@pytest.mark.parametrize("route", GETS, ids=lambda route: route.path)
def test_no_parameter_reaches_the_database_or_the_answer_as_code(
    served: Served, secrets: list[bytes], route: Route[Any]
) -> None:
    key = {"X-API-Key": served.key}
    for name in [*parameters(route), "unheard_of", "code", "__proto__"]:
        for attack in ATTACKS:
            query = urlencode({name: attack.encode("utf-8", "surrogatepass")})
            got = send(served, "GET", f"{fill(route)}?{query}", headers=key)

            assert_harmless(got)
            assert "set-cookie" not in got.headers
            assert got.headers.get("x-content-type-options") == "nosniff"
            assert "html" not in got.headers.get("content-type", "")
    if "{" in route.path:
        for attack in ATTACKS:
            path = fill(route, quote(attack.encode("utf-8", "surrogatepass"), safe=""))
            got = send(served, "GET", path, headers=key)
            assert_harmless_anywhere(got)
            assert got.status in (200, 400, 404), (path[:100], got.status)
    count = served.ask(f"{API}/referrals?limit=1")[2]["total"]
    assert count > 100, "the table is still there"


@pytest.mark.parametrize("route", ALL, ids=lambda route: f"{route.method} {route.path}")
def test_no_giant_query_or_header_breaks_a_route(served: Served, route: Route[Any]) -> None:
    for headers, suffix in (
        ({}, "?" + "&".join(f"p{n}=1" for n in range(5_000))),
        ({}, "?q=" + "x" * 30_000),
        ({}, "?" + "q=x&" * 5_000),
        ({"X-Long": "h" * 30_000}, ""),
        ({f"X-{n}": "1" for n in range(80)}, ""),
    ):
        got = send(
            served,
            route.method,
            fill(route) + suffix,
            headers={"X-API-Key": "wrong", **headers},
        )

        assert_harmless_anywhere(got)
        assert got.status in (200, 400, 401, 404, 414, 431), (route.path, got.status)


STARTS = ("=", "@", "\t", "\r", *map(chr, (0xFF1D, 0xFF0B, 0xFF0D, 0xFF20)))
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", '=HYPERLINK("http://x")')


def test_no_cell_of_the_export_is_a_formula(served: Served, secrets: list[bytes]) -> None:
    url = served.database_url
    with psycopg.connect(url, autocommit=True) as sql:
        ids = [
            row[0]
            for row in sql.execute(
                "SELECT referral_id FROM partner_center_referrals ORDER BY 1 LIMIT %s",
                [len(FORMULAS)],
            )
        ]
        for one, formula in zip(ids, FORMULAS, strict=True):
            sql.execute(
                "UPDATE partner_center_referrals SET name = %s, company_name = %s,"
                " customer_city = %s WHERE referral_id = %s",
                [formula, formula, formula, one],
            )

    _, _, exported = served.ask(f"{API}/referrals?format=csv")

    rows = {row["referral_id"]: row for row in csv.DictReader(io.StringIO(exported.decode()[1:]))}
    for one, formula in zip(ids, FORMULAS, strict=True):
        assert rows[one]["name"] == f"'{formula}"
    for row in rows.values():
        assert not [cell for cell in row.values() if cell.startswith(STARTS)]
