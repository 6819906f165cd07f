"""The simulated referrals API: lists in pages, single referrals, and who may read them."""

from __future__ import annotations

import base64
import hmac
import json
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from dev.simulator.behaviour import Behaviour
from dev.simulator.entra import AccessClaims, AccessRefused, Entra
from dev.simulator.faults import CONTENT_KINDS, Fault
from dev.simulator.instants import MAX_DIGITS
from dev.simulator.message import Request, Response, answer_html, answer_json
from dev.simulator.world import OrderField, Row, World

LIST_PATH = "/v1.0/engagements/referrals"

_CONTEXT = "https://api.partner.microsoft.com/v1.0/$metadata#referrals"
_JSON_TYPE = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
# Documented tokens are about 1,000 characters long.
_TOKEN_BYTES = 700
_FOREIGN_HOST = "api.partner.example.net"

_INSTANT = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?Z"')
_ORGANIZATION = re.compile(rb'"organizationId":"[^"]*"')
_NAME = re.compile(rb'"name":(?:null|"(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    field: OrderField
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """Where a page begins; what a nextLink carries."""

    order: _Order
    size: int
    offset: int = 0
    after: tuple[int, str] | None = None
    rows_left: int | None = None
    gap: bool = False
    first: bool = True
    issued_s: float = 0.0
    # The text of the token this walk was read from.
    token: str = ""


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class _WebPageError(Exception):
    """The answer is a web page."""


class PartnerCenter:
    """Answers requests for referrals out of a `World`, as a `Behaviour` says."""

    def __init__(self, world: World, behaviour: Behaviour, entra: Entra) -> None:
        self.world = world
        self.behaviour = behaviour
        self._entra = entra
        self._token_key = random.randbytes(16)

    def answer_list(self, request: Request, fault: Fault | None = None) -> Response:
        """`GET /v1.0/engagements/referrals`; `fault` is one that changes the content.

        `$orderby`, `$top` and `$skiptoken` are heeded. `$filter` and `$skip` are only recorded:
        what the real API does with them is not known well enough to imitate.
        """
        with self.world.lock:
            response = self._answer(request, lambda: self._list(request, fault))
            self.world.note_list_answer()
            return response

    def answer_item(
        self, request: Request, referral_id: str, fault: Fault | None = None
    ) -> Response:
        """`GET /v1.0/engagements/referrals/{id}`."""
        with self.world.lock:
            return self._answer(request, lambda: self._item(referral_id, fault))

    def answer_not_found(self, request: Request) -> Response:
        """Any other path of the API's host."""
        return self._finish(request, _error(404, "itemNotFound", f"No resource at {request.path}."))

    def answer_error(self, request: Request, status: int, code: str, message: str) -> Response:
        """An error in the API's form, with the headers of every answer."""
        return self._finish(request, _error(status, code, message))

    def finish(self, request: Request, response: Response) -> Response:
        """Add the headers that every answer of the API carries."""
        return self._finish(request, response)

    # One answer

    def _answer(self, request: Request, serve: Callable[[], Response]) -> Response:
        try:
            claims = self._check_bearer(request)
            _check_headers(request)
            response = serve()
        except AccessRefused as refusal:
            return self._finish(request, self._answer_unauthorized(refusal))
        except _WebPageError:
            return self._finish(request, answer_html(200, "<p>Something went wrong.</p>"))
        except _Refused as refusal:
            return self._finish(request, _error(refusal.status, refusal.code, str(refusal)))
        if request.headers.get("validatemfa", "").lower() == "true":
            response.headers.append(("isMfaCompliant", "true" if claims.mfa else "false"))
        return self._finish(request, response)

    def _check_bearer(self, request: Request) -> AccessClaims:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AccessRefused("there is no bearer token")
        claims = self._entra.check_access_token(token)
        if self.behaviour.mfa_required and not claims.mfa:
            raise AccessRefused("multi-factor authentication is required", code=900421)
        foreign = claims.tenant_id != self._entra.tenant_id
        if foreign and self.behaviour.other_tenants == "forbidden":
            raise _Refused(403, "accessDenied", "The tenant has no access to referrals.")
        return claims

    def _answer_unauthorized(self, refusal: AccessRefused) -> Response:
        form = self.behaviour.unauthorized_body
        if form == "empty":
            return Response(status=401)
        if refusal.code is not None and form == "older_host":
            return answer_json(
                401,
                {
                    "code": refusal.code,
                    "description": str(refusal),
                    "data": [],
                    "source": "PartnerCenter",
                },
            )
        inner = None if refusal.code is None else (str(refusal.code), str(refusal))
        return _error(401, "unauthenticated", str(refusal), inner)

    def _finish(self, request: Request, response: Response) -> Response:
        request_id = str(uuid.uuid4())
        now = self.world.now.timestamp() + self.behaviour.date_offset_s
        headers = [
            ("Request-ID", request_id),
            ("client-request-id", request.headers.get("client-request-id", request_id)),
            ("x-ms-ags-diagnostic", '{"ServerInfo":{"DataCenter":"Simulated"}}'),
            ("x-azure-ref", base64.b64encode(request_id.encode()).decode()),
            ("X-Cache", "CONFIG_NOCACHE"),
        ]
        if self.behaviour.date_header:
            headers.append(("Date", formatdate(now, usegmt=True)))
        response.headers.extend(headers)
        return response

    # Lists

    def _list(self, request: Request, fault: Fault | None) -> Response:
        options = _read_options(request.query)
        walk = self._read_walk(request.query, options)
        if walk.gap:
            page: list[Row] = []
            following: _Walk | None = replace(walk, gap=False)
        else:
            page, following = self._take_page(walk)
        fragments = [self._dress(self.world.fragment(row)) for row in page]
        body = _spoil_rows(fragments, fault)
        key = b"items" if fault is not None and fault.kind == "items_key" else b"value"
        parts = [
            b'{"@odata.context":"' + _CONTEXT.encode() + b'","@odata.count":',
            str(len(fragments)).encode(),
        ]
        if fault is None or fault.kind != "no_value":
            parts += [b',"', key, b'":[', b",".join(body), b"]"]
        if following is not None:
            link = self._make_next_link(request, walk, following)
            parts += [b',"@odata.nextLink":', json.dumps(link).encode()]
        parts.append(b"}")
        return Response(status=200, headers=[("Content-Type", _JSON_TYPE)], body=b"".join(parts))

    def _read_walk(self, query: str, options: dict[str, str]) -> _Walk:
        token = _read_raw_option(query, "$skiptoken")
        if token is not None:
            return self._read_token(token)
        order = self._choose_order(options.get("$orderby"))
        size = self.behaviour.page_size
        rows_left: int | None = None
        if "$top" in options and self.behaviour.top_means != "ignored":
            if not options["$top"].isascii() or not options["$top"].isdigit():
                raise _Refused(400, "invalidRequest", "Invalid value for $top.")
            top = int(options["$top"])
            if self.behaviour.top_means == "total":
                rows_left = top
            elif top > 0:
                size = min(top, size)
        return _Walk(order=order, size=size, rows_left=rows_left)

    def _choose_order(self, asked: str | None) -> _Order:
        default = self._default_order()
        if asked is None or not asked.strip():
            return default
        words = asked.split()
        field = words[0]
        direction = words[1].lower() if len(words) > 1 else "asc"
        known = field in ("createdDateTime", "updatedDateTime") and direction in ("asc", "desc")
        if not known or len(words) > 2:
            raise _Refused(400, "invalidRequest", "Invalid value for $orderby.")
        descending = direction == "desc"
        if field == "createdDateTime":
            rule: str = self.behaviour.created_order
            order = _Order(field="createdDateTime", descending=descending)
        else:
            rule = self.behaviour.updated_order
            order = _Order(field="updatedDateTime", descending=descending)
        if rule == "refused":
            raise _Refused(400, "invalidRequest", f"Ordering by {field} is not supported.")
        if rule == "ignored":
            return default
        if rule == "creation":
            return _Order(field="createdDateTime", descending=descending)
        return order

    def _default_order(self) -> _Order:
        field, direction = self.behaviour.default_order.split()
        chosen: OrderField = "createdDateTime" if field == "createdDateTime" else "updatedDateTime"
        return _Order(field=chosen, descending=direction == "desc")

    def _take_page(self, walk: _Walk) -> tuple[list[Row], _Walk | None]:
        size = walk.size if walk.rows_left is None else min(walk.size, walk.rows_left)
        keyset = self.behaviour.paging == "keyset"
        offset = 0 if self.behaviour.page_equal_always else walk.offset
        page, last = self.world.slice(
            walk.order.field,
            descending=walk.order.descending,
            offset=offset,
            size=size,
            after=walk.after if keyset and not self.behaviour.page_equal_always else None,
        )
        reached = walk.offset + len(page)
        rows_left = None if walk.rows_left is None else walk.rows_left - len(page)
        if rows_left == 0:
            return page, None
        order = self._order_of_next(walk)
        ahead, _ = self.world.slice(
            order.field,
            descending=order.descending,
            offset=reached,
            size=1,
            after=last if keyset and order == walk.order else None,
        )
        if not self.behaviour.page_equal_always and (not ahead or not page):
            return page, None
        return page, _Walk(
            order=order,
            size=walk.size,
            offset=reached,
            after=last if order == walk.order else None,
            rows_left=rows_left,
            gap=self.behaviour.empty_page_with_next_link,
            first=False,
        )

    def _order_of_next(self, walk: _Walk) -> _Order:
        by_change = walk.order.field == "updatedDateTime"
        rule = self.behaviour.updated_order if by_change else self.behaviour.created_order
        if self.behaviour.next_link_loses_order or rule == "first_page_only":
            return self._default_order()
        return walk.order

    # nextLink

    def _make_next_link(self, request: Request, walk: _Walk, following: _Walk) -> str:
        token = self._make_token(following)
        if self.behaviour.next_link_repeats and not walk.first:
            token = walk.token
        host = request.headers.get("host", "localhost")
        query = f"$skiptoken={token}"
        form = self.behaviour.next_link_form
        if form == "documented_odd":
            return f"http://{host}/v1.0/referrals?{query}"
        if form == "relative":
            return f"{LIST_PATH}?{query}"
        if form == "foreign_host":
            return f"https://{_FOREIGN_HOST}{LIST_PATH}?{query}"
        return f"https://{host}{LIST_PATH}?{query}"

    def _make_token(self, walk: _Walk) -> str:
        content = json.dumps(
            {
                "field": walk.order.field,
                "descending": walk.order.descending,
                "size": walk.size,
                "offset": walk.offset,
                "after": walk.after,
                "rows_left": walk.rows_left,
                "gap": walk.gap,
                "issued_s": time.time(),
            }
        ).encode()
        padded = content + b"\n" + random.randbytes(_TOKEN_BYTES - len(content))
        return _encode_token(hmac.digest(self._token_key, padded, "sha256") + padded)

    def _read_token(self, text: str) -> _Walk:
        try:
            signed = base64.b64decode(unquote(text), validate=True)
        except ValueError:
            signed = b""
        padded = signed[32:]
        if not hmac.compare_digest(hmac.digest(self._token_key, padded, "sha256"), signed[:32]):
            raise _Refused(400, "invalidRequest", "The skip token is not valid.")
        content = json.loads(padded.partition(b"\n")[0])
        verbatim = _encode_token(signed)
        if self.behaviour.next_link_must_be_verbatim and text != verbatim:
            raise _Refused(400, "invalidRequest", "The skip token was changed.")
        ttl_s, issued_s = self.behaviour.next_link_ttl_s, content["issued_s"]
        if issued_s < self.behaviour.expired_before_s or (
            ttl_s is not None and time.time() > issued_s + ttl_s
        ):
            if self.behaviour.expired_link == "web_page":
                raise _WebPageError
            raise _Refused(
                self.behaviour.expired_link, "invalidRequest", "The skip token has expired."
            )
        after = content["after"]
        return _Walk(
            order=_Order(field=content["field"], descending=content["descending"]),
            size=content["size"],
            offset=content["offset"],
            after=None if after is None else (after[0], after[1]),
            rows_left=content["rows_left"],
            gap=content["gap"],
            first=False,
            issued_s=content["issued_s"],
            token=verbatim,
        )

    # Single referrals

    def _item(self, referral_id: str, fault: Fault | None) -> Response:
        if self.behaviour.by_id_only in (None, referral_id):
            if self.behaviour.by_id == "without_id":
                return answer_json(200, {})
            if self.behaviour.by_id != "normal":
                raise _Refused(self.behaviour.by_id, "accessDenied", "The referral is refused.")
        row = self.world.find(referral_id)
        if row is None:
            raise _Refused(404, "itemNotFound", "The referral does not exist.")
        body = self._dress(self.world.fragment(row))
        headers = [("Content-Type", _JSON_TYPE)]
        if body.startswith(b"{") and len(body) > 2:
            context = b'{"@odata.context":"' + _CONTEXT.encode() + b'/$entity",'
            etag = re.search(rb'"eTag":"((?:[^"\\]|\\.)*)"', body)
            if etag is not None:
                headers.append(("ETag", etag[1].replace(b'\\"', b'"').decode()))
            body = context + body[1:]
        return Response(status=200, headers=headers, body=_spoil_rows([body], fault)[0])

    def _dress(self, fragment: bytes) -> bytes:
        digits = self.behaviour.fraction_digits
        if digits is not None:
            fragment = _INSTANT.sub(lambda match: _with_digits(match, digits), fragment)
        if self.behaviour.organization_id is not None:
            own = b'"organizationId":' + json.dumps(self.behaviour.organization_id).encode()
            # Only the first one is the referral's own; the inviter's comes later.
            fragment = _ORGANIZATION.sub(lambda _: own, fragment, count=1)
        return fragment


def _check_headers(request: Request) -> None:
    if "client-request-id" not in request.headers:
        raise _Refused(400, "invalidRequest", "The header client-request-id is required.")


def _read_options(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))


def _read_raw_option(query: str, name: str) -> str | None:
    """The value as it was sent: a token's percent-encoding matters."""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if unquote(key) == name:
            return value
    return None


def _encode_token(token: bytes) -> str:
    """Base64 with the lower-case percent-encoding of Microsoft's samples."""
    encoded = quote(base64.b64encode(token).decode(), safe="")
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)


def _with_digits(match: re.Match[bytes], digits: int) -> bytes:
    fraction = (match[2] or b"").ljust(MAX_DIGITS, b"0")[:digits]
    return b'"' + match[1] + (b"." + fraction if fraction else b"") + b'Z"'


def _spoil_rows(fragments: list[bytes], fault: Fault | None) -> list[bytes]:
    if fault is None or fault.kind not in CONTENT_KINDS:
        return fragments
    if fault.kind == "empty_value":
        return []
    poison = {"lone_surrogate": rb'"name":"Yar\ud83dm"', "nul": rb'"name":"Bo\u0000luk"'}
    if fault.kind in poison and fragments:
        at = min(fault.row, len(fragments) - 1)
        spoiled = _NAME.sub(lambda _: poison[fault.kind], fragments[at], count=1)
        return [*fragments[:at], spoiled, *fragments[at + 1 :]]
    return fragments


def _error(status: int, code: str, message: str, inner: tuple[str, str] | None = None) -> Response:
    error: dict[str, Any] = {"code": code, "message": message, "target": "referrals"}
    if inner is not None:
        error["innerError"] = {"code": inner[0], "message": inner[1]}
    return answer_json(status, {"error": error})
