"""Schemas: a JSON Schema as Anthropic's structured outputs take it.

Every object must be closed, and bounds of numbers, strings and lists are not known: they are put into words, for the model to
read. Source: the page on structured outputs.
"""

from __future__ import annotations

from typing import Any

import msgspec

_BOUNDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "maxItems",
    "uniqueItems", "minProperties", "maxProperties", "patternProperties", "propertyNames", "contains",
}  # fmt: skip
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "allOf", "oneOf", "prefixItems")


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with closed objects, and without what is not known."""
    found: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _BOUNDS or (name == "minItems" and value not in (0, 1)) or (name == "format" and value not in _FORMATS):
            bounds[name] = value
        elif name in _NAMED and isinstance(value, dict):
            found[name] = {key: closed(item) if isinstance(item, dict) else item for key, item in value.items()}
        elif name in _LISTED and isinstance(value, list):
            found["anyOf" if name == "oneOf" else name] = [closed(item) if isinstance(item, dict) else item for item in value]
        elif name == "items" and isinstance(value, dict):
            found[name] = closed(value)
        elif name not in ("$schema", "additionalProperties"):
            found[name] = value
    if found.get("type") == "object" or "properties" in found:
        found["additionalProperties"] = False
    if bounds:
        words = msgspec.json.encode(bounds).decode()
        said = found.get("description")
        found["description"] = f"{said} {words}" if isinstance(said, str) and said else words
    return found


def can_be_closed(schema: Any) -> bool:
    """No object of it is free to have fields that it does not name: closed, such a one would always be empty."""
    if isinstance(schema, list):
        return all(map(can_be_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and not schema.get("properties") and schema.get("additionalProperties") is not False:
        return False
    return all(map(can_be_closed, schema.values()))


def instruction(schema: dict[str, Any] | None) -> str:
    """What a model is told that must answer in JSON and cannot be held to it."""
    told = "Answer with a single JSON object and nothing else: no explanation before or after it, and no code fence."
    if not schema:
        return told
    return f"{told} It must follow this JSON Schema:\n{msgspec.json.encode(schema).decode()}"
