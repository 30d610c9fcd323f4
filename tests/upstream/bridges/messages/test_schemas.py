from __future__ import annotations

from penstock.upstream.bridges.messages.schemas import can_be_closed, closed, instruction


def test_objects_are_closed_and_bounds_put_into_words():
    found = closed(
        {
            "type": "object",
            "$schema": "x",
            "properties": {
                "age": {"type": "integer", "minimum": 0, "description": "In years."},
                "tags": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}, "maxItems": 3},
                "minimum": {"oneOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
            },
            "required": ["age"],
        }
    )
    assert found == {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "description": 'In years. {"minimum":0}'},
            "tags": {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
                "description": '{"maxItems":3}',
            },
            "minimum": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        },
        "required": ["age"],
        "additionalProperties": False,
    }


def test_what_takes_any_field_cannot_be_closed():
    assert not can_be_closed({"type": "object"})
    assert not can_be_closed({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}})
    assert can_be_closed({"type": "object", "properties": {"a": {"type": ["string", "null"]}}})
    assert can_be_closed({"type": "object", "properties": {}, "additionalProperties": False})


def test_the_instruction_shows_the_schema():
    assert '{"type":"object"}' in instruction({"type": "object"})
    assert "Schema" not in instruction(None)
