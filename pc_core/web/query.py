"""A route's parameters, read by their types from the query, the path or the JSON body.

The OpenAPI description and the words of a refusal come from the same types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct, inspect

from pc_core.reading import ForeignCursor
from pc_core.web.exchange import Body, HttpRequest, Parameters, Unread

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class BadParameter(ValueError):
    """A parameter or a body's member that cannot be used: its name, and what it must be."""

    def __init__(self, parameter: str, detail: str) -> None:
        shown = parameter[:100].encode("ascii", "backslashreplace").decode()
        super().__init__(f"{shown}: {detail}")
        self.parameter = shown
        self.detail = detail


class Parameter(Struct, frozen=True):
    """One parameter of a route.

    Attributes:
        hint: its annotation.
        kind: its type, without None.
        schema: JSON Schema of its text in the address, or of the body's member.
    """

    hint: Any
    kind: inspect.Type
    schema: dict[str, Any]


@cache
def parameters(given: type[Parameters]) -> Mapping[str, Parameter]:
    """The parameters of a route, by name."""
    hints = get_type_hints(given, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(given):
        hint = hints[field.name]
        kind = inspect.type_info(hint)
        if isinstance(kind, inspect.UnionType):
            kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
        schema = _schema(hint, kind, field.default, in_body=issubclass(given, Body))
        found[field.name] = Parameter(hint, kind, schema)
    return found


def _schema(hint: Any, kind: inspect.Type, default: Any, *, in_body: bool) -> dict[str, Any]:
    if isinstance(kind, inspect.StructType):
        hints = get_type_hints(kind.cls)
        orders = ["", *(f":{order}" for order in get_args(hints["order"]))]
        sorts = [f"{key}{order}" for key in get_args(hints["key"]) for order in orders]
        return {"enum": sorts, "default": f"{default.key}:{default.order}"}
    schema = msgspec.json.schema(hint)
    [schema, *or_null] = schema.get("anyOf", [schema])
    if or_null and "enum" in schema and not in_body:
        schema["enum"].append("any")
        default = "any" if default is None else default
    return schema if default in (NODEFAULT, None, ()) else {**schema, "default": default}


def read[Given: Parameters](given: type[Given], request: HttpRequest) -> Given:
    """The parameters of a request.

    An empty value in the query counts as not given.

    Raises:
        BadParameter: one is unknown or not allowed, or the body is no JSON object.
    """
    if given is Unread:
        return given()
    known = parameters(given)
    is_body = issubclass(given, Body)
    sent: Mapping[str, Any] = _members(request.body) if is_body else request.query
    in_path = {name: text for name, text in request.placeholders.items() if name in known}
    for name in sent:
        if name not in known or name in in_path:
            names = ", ".join(sorted(known.keys() - in_path.keys())) or "none"
            raise BadParameter(name, f"is not known here; known: {names}")
    if not is_body:
        sent = {name: text for name, text in sent.items() if text.strip()} | in_path
    return given(
        **{name: _read(name, known[name], value, in_body=is_body) for name, value in sent.items()}
    )


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadParameter("body", "must be JSON") from None
    if not isinstance(members, dict):
        raise BadParameter("body", "must be a JSON object")
    return members


def _read(name: str, parameter: Parameter, value: Any, *, in_body: bool) -> Any:
    if isinstance(value, str) and _CONTROL.search(value):
        raise BadParameter(name, "must not contain control characters")
    try:
        plain = value if in_body else _from_text(parameter.kind, value)
        return msgspec.convert(plain, parameter.hint)
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise BadParameter(name, f"must be {_allowed(parameter.schema)}") from None


def _from_text(kind: inspect.Type, text: str) -> object:
    match kind:
        case inspect.IntType() if re.fullmatch(r"[0-9]{1,9}", text):
            return int(text)
        case inspect.BoolType():
            return {"true": True, "false": False}.get(text)
        case inspect.DateTimeType():
            return _instant(text)
        case inspect.VarTupleType():
            return [word.strip() for word in text.split(",") if word.strip()]
        case inspect.LiteralType() if text == "any" and text not in kind.values:
            return None
        case inspect.StructType():
            key, _, order = text.partition(":")
            return {"key": key, "order": order or "desc"}
    return text


def _instant(text: str) -> datetime:
    # A plus sign that was not encoded arrives as a space.
    at = datetime.fromisoformat(text.strip().replace(" ", "+"))
    if at.tzinfo is None and "T" not in text.upper():
        at = at.replace(tzinfo=UTC)
    if at.tzinfo is None:
        raise ValueError
    return at.astimezone(UTC)


def _allowed(schema: Mapping[str, Any]) -> str:
    """What a schema allows, in words."""
    match schema:
        case {"enum": words}:
            keys = [word for word in words if ":" not in word]
            orders = ", with :asc or :desc behind it" if len(keys) < len(words) else ""
            return f"one of: {', '.join(keys)}{orders}"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"a whole number from {low} to {high}"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "array", "items": items, **rest}:
            most = f"at most {rest['maxItems']}, " if "maxItems" in rest else ""
            return f"a list separated by commas, {most}each {_allowed(items)}"
        case {"format": "date-time"}:
            return "a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z"
        case {"maxLength": most}:
            return f"a text of at most {most} characters"
    return str(schema.get("description", "a text"))


@contextmanager
def own_cursor() -> Iterator[None]:
    """Turn the refusal of a cursor into one of the parameter.

    Raises:
        BadParameter: the cursor belongs to another filter or sort, or is none.
    """
    try:
        yield
    except ForeignCursor as wrong:
        raise BadParameter("cursor", str(wrong)) from None
