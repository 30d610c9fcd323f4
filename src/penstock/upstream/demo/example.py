"""A value that fits a JSON schema: what the demo provider calls tools with and answers structured requests with."""

from __future__ import annotations

from typing import Any

_DEPTH_LIMIT = 8
_SIMPLE: dict[str, Any] = {"string": "demo", "boolean": True, "null": None}


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "string"


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return schema
    found: Any = root
    for step in reference.split("/")[1:]:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _fits(schema: object, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
        return None
    schema = _resolved(schema, root)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        choices = [choice for choice in schema.get(name) or () if choice != {"type": "null"}]
        if choices:
            return _fits(choices[0], root, depth + 1)
    kind = _kind(schema)
    if kind == "object":
        properties = schema.get("properties")
        return {key: _fits(value, root, depth + 1) for key, value in properties.items()} if isinstance(properties, dict) else {}
    if kind == "array":
        return [_fits(schema.get("items", {}), root, depth + 1)] if depth < _DEPTH_LIMIT - 1 else []
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return _SIMPLE.get(kind)


def example(schema: object) -> Any:
    """A value for `schema`: the first choice everywhere, "demo" for strings, 1 for numbers. Unknown keywords are ignored."""
    return _fits(schema, schema if isinstance(schema, dict) else {}, 0)
