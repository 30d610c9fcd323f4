"""Schemas: Google's own kind, a part of OpenAPI's with types in capitals, as JSON Schema; and JSON Schema as Google takes it."""

from __future__ import annotations

from typing import Any

_COUNTS = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
_RENAMED = {
    "any_of": "anyOf",
    "max_items": "maxItems",
    "min_items": "minItems",
    "max_length": "maxLength",
    "min_length": "minLength",
    "max_properties": "maxProperties",
    "min_properties": "minProperties",
    "additional_properties": "additionalProperties",
    "defs": "$defs",
    "ref": "$ref",
}
_LEFT_OUT = frozenset(("nullable", "example", "propertyOrdering", "property_ordering"))
_SCHEMAS_BY_NAME = frozenset(("properties", "$defs", "definitions", "patternProperties"))
_SCHEMA = frozenset(("items", "additionalProperties", "not"))
_SCHEMAS = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_DEPTH = 100


def json_schema(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """A Google Schema as JSON Schema. What is JSON Schema already stays as it is."""
    found: dict[str, Any] = {}
    if depth > _DEPTH:
        return found
    for name, value in schema.items():
        key = _RENAMED.get(name, name)
        if key in _LEFT_OUT:
            continue
        found[key] = _value(key, value, depth)
    if found.get("type") == "type_unspecified":
        del found["type"]
    if schema.get("nullable") is True:
        _allow_null(found)
    return found


def _value(key: str, value: Any, depth: int) -> Any:
    if key == "type" and isinstance(value, str):
        return value.lower()
    if key in _COUNTS and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)  # 64-bit integers are strings in Google's JSON
    if key in ("properties", "$defs") and isinstance(value, dict):
        return {name: json_schema(item, depth + 1) if isinstance(item, dict) else item for name, item in value.items()}
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return json_schema(value, depth + 1)
    if key in ("anyOf", "prefixItems") and isinstance(value, list):
        return [json_schema(item, depth + 1) if isinstance(item, dict) else item for item in value]
    return value


def _allow_null(schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        schema["type"] = [kind, "null"]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]


def taken(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """JSON Schema as Google takes it: it passes over keywords that it does not know, but refuses any beside a reference.

    A constant, which it does not know, is a choice of one.
    """
    found: dict[str, Any] = {}
    if depth > _DEPTH:
        return found
    refers = isinstance(schema.get("$ref"), str)
    for name, value in schema.items():
        if name == "$schema" or (refers and not name.startswith("$")):
            continue
        if name == "const" and "enum" not in schema:
            found["enum"] = [value]
        elif name in _SCHEMAS_BY_NAME and isinstance(value, dict):
            found[name] = {key: taken(item, depth + 1) if isinstance(item, dict) else item for key, item in value.items()}
        elif name in _SCHEMA and isinstance(value, dict):
            found[name] = taken(value, depth + 1)
        elif name in _SCHEMAS and isinstance(value, list):
            found[name] = [taken(item, depth + 1) if isinstance(item, dict) else item for item in value]
        else:
            found[name] = value
    return found
