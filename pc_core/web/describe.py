"""Pieces of the OpenAPI description that the routes' operations are written with."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def answer(description: str, schema: str) -> dict[str, Any]:
    """A JSON answer of a named schema."""
    return {
        "description": description,
        "content": {"application/json": {"schema": reference(schema)}},
    }


def problem(description: str, schema: str = "Problem") -> dict[str, Any]:
    """A problem document (RFC 9457)."""
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": reference(schema)}},
    }


def reference(schema: str) -> Schema:
    """A pointer to a named schema."""
    return {"$ref": f"#/components/schemas/{schema}"}


def placeholder(name: str, description: str) -> dict[str, Any]:
    """A part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }


def parameter(name: str, description: str, schema: Schema) -> dict[str, Any]:
    """An optional parameter of the query."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "allowEmptyValue": True,  # it counts as not given
        "description": description,
        "schema": schema,
    }


def whole(low: int, high: int, default: int | None = None) -> Schema:
    """A whole number within bounds."""
    schema: Schema = {"type": "integer", "minimum": low, "maximum": high}
    return schema if default is None else {**schema, "default": default}


TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
INSTANT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
INTEGER_OR_NULL: Schema = {"type": ["integer", "null"]}
COUNTS_BY_NAME: Schema = {"type": "object", "additionalProperties": COUNT}
ANY: Schema = {}


def members(**properties: Schema) -> Schema:
    """An object whose members are all there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def may_have(schema: Schema, /, **properties: Schema) -> Schema:
    """That object, with members that may be missing."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def list_of(schema: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": schema}


def either(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}
