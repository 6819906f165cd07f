"""The OpenAPI description of the interface, from the routes and their types."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from functools import cache
from typing import Any

import msgspec

from pc_core import __version__
from pc_core.web import respond
from pc_core.web.access import OPERATE_ROLE, READ_ROLE, Role
from pc_core.web.exchange import Body, HttpAnswer, Parameters, Route, Unread, Visit
from pc_core.web.query import Parameter, parameters
from pc_core.web.routes import companies, health, quarantine, referrals, runs, sign_in, status, sync

Schema = dict[str, Any]

_ROLE_NAMES = {Role.READER: READ_ROLE, Role.OPERATOR: OPERATE_ROLE}
_ALWAYS = (400, 401, 403, 421, 500, 503)
_ALWAYS_OF_POST = (413, 415)
_WORDS = {
    202: "The time of the run ended; the next run continues",
    400: "A parameter or the Host header is wrong",
    401: "The caller is not signed in, or the key is missing or wrong",
    403: "The role is missing, or access is not set up",
    404: "Not stored here",
    409: "Another run is at work, or the feature is switched off",
    413: "The body is too large",
    415: "The body is not JSON",
    421: "Not a name of this app",
    500: "A setting is wrong, or an unexpected error",
    502: "An unusable answer of Partner Center, or a person has to decide",
    503: "Out of reach: Retry-After says when to try again; without it, a person has to act",
}


def routes() -> tuple[Route[Any], ...]:
    """Every described route."""
    return (
        health.HEALTH,
        health.LIVE,
        health.READY,
        sync.SYNC,
        runs.RUNS,
        runs.RUN,
        status.STATUS,
        referrals.LIST,
        referrals.DETAIL,
        referrals.NEEDS_ATTENTION,
        referrals.STATISTICS,
        companies.LIST,
        companies.ONE,
        quarantine.LIST,
        quarantine.REPLAY,
        sign_in.START,
        sign_in.POLL,
        OPENAPI,
    )


@cache
def document() -> dict[str, Any]:
    """The whole description, plain JSON types."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes():
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Partner Center sync",
            "version": __version__,
            "description": "Referrals from Microsoft Partner Center, kept in a database. Errors "
            "are problem documents (RFC 9457) with a stable `code`.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "entra": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An Entra ID token for this app, or the session of App "
                    "Service Authentication.",
                },
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "The operator's key, where App Service Authentication is off.",
                },
            },
        },
    }


def _operation(route: Route[Any]) -> dict[str, Any]:
    responses = {str(status): _response(status, body) for status, body in route.answers.items()}
    if route.exports:
        responses["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
        responses["200"]["headers"] = {
            "Link": {
                "description": 'With format=csv: the next part, rel="next".',
                "schema": {"type": "string"},
            }
        }
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "security": [],
        "responses": responses,
    }
    if issubclass(route.given, Body):
        content = {"application/json": {"schema": _reference(route.given)}}
        operation["requestBody"] = {"required": False, "content": content}
    elif route.given is not Unread:
        given: type[Parameters] = route.given
        words = _attributes(route.given)
        operation["parameters"] = [
            _parameter(name, one, words.get(name, ""), in_path=f"{{{name}}}" in route.path)
            for name, one in parameters(given).items()
        ]
    if route.who is not Role.NONE:
        operation["description"] = f"Needs the role {_ROLE_NAMES[route.who]}."
        operation["security"] = [{"entra": []}, {"key": []}]
        for status in _ALWAYS + (_ALWAYS_OF_POST if route.method == "POST" else ()):
            responses.setdefault(str(status), _response(status, respond.Problem))
    return operation


def _response(status: int, body: type) -> dict[str, Any]:
    media_type = "application/json"
    words = _summary(body)
    if issubclass(body, respond.Problem):
        media_type, words = "application/problem+json", _WORDS[status]
    schema = {"type": "object"} if body is dict else _reference(body)
    return {
        "description": _WORDS[status] if status == 202 else words,
        "content": {media_type: {"schema": schema}},
    }


def _parameter(name: str, one: Parameter, words: str, *, in_path: bool) -> dict[str, Any]:
    schema = one.schema
    if schema.get("type") == "array" or "format" in schema:
        # A comma-separated list, or a date or a time: JSON Schema has no word for these texts.
        schema = {"type": "string"}
    described = {"name": name, "required": in_path, "description": words, "schema": schema}
    if in_path:
        return {**described, "in": "path"}
    return {**described, "in": "query", "allowEmptyValue": True}  # empty counts as not given


def _reference(named: type) -> Schema:
    return {"$ref": f"#/components/schemas/{named.__name__}"}


def _schemas() -> dict[str, Schema]:
    bodies = {route.given for route in routes() if issubclass(route.given, Body)}
    answers = {body for route in routes() for body in route.answers.values() if body is not dict}
    found = {**_components(bodies), **{n: _answered(s) for n, s in _components(answers).items()}}
    problem, run = found["RunProblem"], found["ShownRun"]
    problem["properties"] = {**run["properties"], **problem["properties"]}
    return found


def _components(types: set[type]) -> dict[str, Schema]:
    def hook(unknown: type) -> Schema:
        if issubclass(unknown, Counter):
            return {"type": "object", "additionalProperties": {"type": "integer"}}
        raise NotImplementedError(unknown)

    _, found = msgspec.json.schema_components(
        sorted(types, key=lambda one: one.__name__),
        schema_hook=hook,
        ref_template="#/components/schemas/{name}",
    )
    for one in types:
        found[one.__name__]["description"] = _summary(one)
        for name, words in _attributes(one).items():
            found[one.__name__]["properties"][name]["description"] = words
    return found


def _answered(schema: Any) -> Any:
    """A schema as answers are written: decimals as numbers, and no member left out as a default."""
    match schema:
        case {"format": "decimal"}:
            return {"type": "number"}
        case dict():
            plain = {name: _answered(value) for name, value in schema.items()}
            properties = plain.get("properties", {})
            defaults = [name for name, value in properties.items() if "default" in value]
            for name in defaults:
                del properties[name]["default"]
            return {**plain, "required": [*plain["required"], *defaults]} if properties else plain
        case list():
            return [_answered(value) for value in schema]
    return schema


def _summary(documented: type) -> str:
    """The first paragraph of a type's docstring."""
    return " ".join(inspect.cleandoc(documented.__doc__ or "").partition("\n\n")[0].split())


def _attributes(documented: type) -> dict[str, str]:
    """What the docstrings of a type and its bases say of each attribute."""
    found = {}
    for one in reversed(documented.__mro__):
        text = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")[2]
        for names, words in re.findall(r"^ {4}([\w, ]+): ((?:.|\n {5,})+)", text, re.MULTILINE):
            for name in names.split(", "):
                found[name] = words[0].upper() + " ".join(words[1:].split())
    return found


def _show(_: Visit, __: Parameters) -> HttpAnswer:
    return respond.json_answer(document())


OPENAPI = Route(
    path="api/v1/openapi.json",
    method="GET",
    who=Role.NONE,
    given=Parameters,
    handle=_show,
    operation_id="describe",
    summary="OpenAPI description",
    answers={200: dict},
)
