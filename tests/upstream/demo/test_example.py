"""Values that fit a schema."""

from __future__ import annotations

import pytest

from penstock.upstream.demo.example import example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "demo"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 18}, 18),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"type": ["null"]}, None),
        ({"type": "array", "items": {"type": "string"}}, ["demo"]),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": "string", "default": "x"}, "x"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"allOf": [{"type": "boolean"}]}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}}, {"a": "demo", "b": "demo"}),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}),
        ({"type": "object"}, {}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer"}}}, 1),
        ({"$ref": "#/nowhere/at/all"}, "demo"),
        ({}, "demo"),
        (None, None),
        ("not a schema", None),
        ({"type": "object", "properties": 5}, {}),
    ],
)
def test_values(schema, value):
    assert example(schema) == value


def test_a_schema_that_contains_itself_ends():
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    value = example(tree)
    assert value["children"][0]["children"]
    while value["children"]:
        value = value["children"][0]


def test_a_schema_that_is_itself_ends():
    assert example({"anyOf": [{"$ref": "#"}]}) is None
