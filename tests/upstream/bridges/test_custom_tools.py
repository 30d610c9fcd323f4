from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Tool
from penstock.upstream.bridges.custom_tools import Unwrapping, as_function, format_of, names, unwrap, wrap

GRAMMAR = 'start: "*** Begin Patch" LF'
FLAT = {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR}}
NESTED = {
    "type": "custom",
    "custom": {"name": "apply_patch", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": GRAMMAR}}},
}


@pytest.mark.parametrize("raw", [FLAT, NESTED])
def test_a_custom_tool_becomes_a_function_that_tells_its_grammar(raw):
    tool = Tool("apply_patch", "Edits files.", kind="custom", raw=raw)
    assert format_of(tool) == ("lark", GRAMMAR)
    function = as_function(tool)
    assert function.kind == "function" and function.name == "apply_patch"
    assert function.description.startswith("Edits files.") and GRAMMAR in function.description
    assert function.schema is not None and function.schema["required"] == ["input"]


@pytest.mark.parametrize("raw", [None, {}, {"format": {"type": "text"}}, {"format": 5}, {"format": {"syntax": 1, "definition": 2}}])
def test_a_tool_without_a_grammar_has_none(raw):
    tool = Tool("run", kind="custom", raw=raw)
    assert format_of(tool) is None and "grammar" not in as_function(tool).description


def test_names_are_those_of_custom_tools():
    assert names([Tool("a"), Tool("b", kind="custom"), Tool("c", kind="hosted")]) == {"b"}


@given(st.text())
def test_what_was_wrapped_is_unwrapped(text):
    assert unwrap(wrap(text)) == text


@given(st.text(), st.lists(st.integers(0, 200)), st.booleans(), st.sampled_from(['{"input":', ' {\n "input" : ']))
def test_pieces_of_any_size_give_the_same_text(text, cuts, ascii_only, opening):
    arguments = opening + json.dumps(text, ensure_ascii=ascii_only) + "}"
    edges = sorted({0, len(arguments), *(cut for cut in cuts if cut < len(arguments))})
    unwrapping = Unwrapping()
    pieces = [unwrapping.more(arguments[a:b]) for a, b in itertools.pairwise(edges)]
    assert "".join(pieces) + unwrapping.rest() == text


ODD = st.lists(
    st.sampled_from(['"', "\\", "\\u", "d800", "\\ud83d", "\\ude00", "\\q", "n", "{", "}", '{"input":"', "x", "\n", "\ud800"])
).map("".join)


@given(ODD, st.booleans())
def test_pieces_give_what_the_whole_gives_however_odd(odd, inside):
    arguments = '{"input":"' + odd if inside else odd
    unwrapping = Unwrapping()
    pieces = [unwrapping.more(letter) for letter in arguments]
    told = "".join(pieces) + unwrapping.rest()
    assert told == unwrap(arguments)
    told.encode()


def test_text_is_given_as_early_as_it_is_known():
    unwrapping = Unwrapping()
    assert [unwrapping.more(piece) for piece in ('{"inp', 'ut": "ab', "c\\", "nd", "\\ud83d", '\\ude00e"', "}")] == [
        "",
        "ab",
        "c",
        "\nd",
        "",
        "😀e",
        "",
    ]
    assert unwrapping.rest() == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"patch": "p"}', "p"),
        ('{"note": "n", "input": "p"}', "p"),
        ('"p"', "p"),
        ("*** Begin Patch", "*** Begin Patch"),
        ("{}", ""),
        ("", ""),
        ('{"input": {"a": 1}}', '{"input": {"a": 1}}'),
        ("[1]", "[1]"),
        ('{"input": "cut of', "cut of"),
        ('{"input": "a\nb\\qc"}', "a\nb\\qc"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_what_models_write_instead_is_understood(arguments, text):
    assert unwrap(arguments) == text
