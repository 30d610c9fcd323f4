from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.gemini.schemas import json_schema, taken

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "nullable", "items", "properties", "anyOf", "enum", "x"]), inner)
    ),
    max_leaves=10,
)


def test_googles_schema_becomes_json_schema():
    assert json_schema(
        {
            "type": "OBJECT",
            "properties": {
                "type": {"type": "STRING", "nullable": True, "enum": ["a"], "max_length": "9"},
                "n": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": "1"},
                "u": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True, "example": 1},
            },
            "required": ["n"],
            "propertyOrdering": ["n"],
        }
    ) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["a", None], "maxLength": 9},
            "n": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1},
            "u": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
        },
        "required": ["n"],
    }


def test_json_schema_stays():
    schema = {
        "type": ["string", "null"],
        "$defs": {"a": {"type": "object", "additionalProperties": False}},
        "prefixItems": [{"$ref": "#/$defs/a"}],
    }
    assert json_schema(schema) == schema
    assert json_schema({"type": "TYPE_UNSPECIFIED"}) == {}


def test_google_takes_nothing_beside_a_reference():
    assert taken(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {"$ref": {"$ref": "#/$defs/a", "description": "x", "$comment": "y"}, "const": {"const": 1}},
            "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b", "default": 1}, True], "items": {"const": "c", "enum": ["c"]}}},
            "enum": [{"$ref": "stays", "x": 1}],
        }
    ) == {
        "type": "object",
        "properties": {"$ref": {"$ref": "#/$defs/a", "$comment": "y"}, "const": {"enum": [1]}},
        "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}, True], "items": {"const": "c", "enum": ["c"]}}},
        "enum": [{"$ref": "stays", "x": 1}],
    }


def test_a_schema_without_end_is_cut():
    schema: dict = {"type": "STRING"}
    for _ in range(500):
        schema = {"items": schema}
    assert "STRING" not in str(json_schema(schema))


@given(st.dictionaries(st.text(max_size=5), ANY))
def test_anything_is_read(schema):
    assert taken(taken(json_schema(json_schema(schema)))) is not None
