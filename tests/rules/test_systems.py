from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.systems import with_system
from penstock.rules.tree import Exhausted, Skip, encode, read_object
from rule_words import BODIES, WIRES

FREE = lambda _: None  # noqa: E731  what it costs is of no matter
BLOCK = {"type": "text", "text": "T"}
USER = {"role": "user", "content": "hi"}


def added(wire, body, *, front):
    return msgspec.json.decode(encode(with_system(wire, read_object(json.dumps(body).encode()), "T", FREE, front=front)))


def chat(*messages):
    return {"messages": [*messages]}


def says(content, role="system"):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("wire", "before", "first", "last"),
    [
        ("chat", chat(USER), chat(says("T"), USER), chat(says("T"), USER)),
        ("chat", chat(), chat(says("T")), chat(says("T"))),
        ("chat", chat(says("S"), USER), chat(says("T\n\nS"), USER), chat(says("S\n\nT"), USER)),
        ("chat", chat(says("S", "developer"), USER), chat(says("T\n\nS", "developer"), USER), chat(says("S\n\nT", "developer"), USER)),
        (
            "chat",
            chat(says("S"), says("D", "developer"), USER),
            chat(says("T\n\nS"), says("D", "developer"), USER),
            chat(says("S"), says("D\n\nT", "developer"), USER),
        ),
        ("chat", chat(USER, says("S")), chat(says("T"), USER, says("S")), chat(says("T"), USER, says("S"))),
        (
            "chat",
            chat(says([BLOCK | {"text": "S"}])),
            chat(says([BLOCK, BLOCK | {"text": "S"}])),
            chat(says([BLOCK | {"text": "S"}, BLOCK])),
        ),
        ("chat", chat(says("")), chat(says("T")), chat(says("T"))),
        ("chat", chat(says(None)), chat(says("T")), chat(says("T"))),
        ("workers_chat", chat(USER), chat(says("T"), USER), chat(says("T"), USER)),
        ("messages", {}, {"system": "T"}, {"system": "T"}),
        ("messages", {"system": None}, {"system": "T"}, {"system": "T"}),
        ("messages", {"system": "S"}, {"system": "T\n\nS"}, {"system": "S\n\nT"}),
        (
            "messages",
            {"system": [BLOCK | {"text": "S"}]},
            {"system": [BLOCK, BLOCK | {"text": "S"}]},
            {"system": [BLOCK | {"text": "S"}, BLOCK]},
        ),
        ("count_tokens", {"system": "S"}, {"system": "T\n\nS"}, {"system": "S\n\nT"}),
        ("responses", {"input": "x"}, {"input": "x", "instructions": "T"}, {"input": "x", "instructions": "T"}),
        ("responses", {"instructions": "S"}, {"instructions": "T\n\nS"}, {"instructions": "S\n\nT"}),
        ("gemini", {}, {"systemInstruction": {"parts": [{"text": "T"}]}}, {"systemInstruction": {"parts": [{"text": "T"}]}}),
        (
            "gemini",
            {"system_instruction": {"role": "user", "parts": [{"text": "S"}]}},
            {"system_instruction": {"role": "user", "parts": [{"text": "T"}, {"text": "S"}]}},
            {"system_instruction": {"role": "user", "parts": [{"text": "S"}, {"text": "T"}]}},
        ),
        (
            "gemini",
            {"systemInstruction": {}},
            {"systemInstruction": {"parts": [{"text": "T"}]}},
            {"systemInstruction": {"parts": [{"text": "T"}]}},
        ),
    ],
)
def test_each_wire_has_it_at_its_place(wire, before, first, last):
    assert added(wire, before, front=True) == first
    assert added(wire, before, front=False) == last


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        ("chat", {}),
        ("chat", {"messages": "hi"}),
        ("chat", chat(says(5))),
        ("chat", chat(says({"a": 1}))),
        ("messages", {"system": 5}),
        ("responses", {"instructions": [BLOCK]}),
        ("gemini", {"systemInstruction": "text"}),
        ("gemini", {"systemInstruction": {"parts": {"text": "S"}}}),
        ("embeddings", {"input": "x"}),
        ("images", {}),
        ("passthrough", {}),
        ("no such", {}),
    ],
)
@pytest.mark.parametrize("front", [True, False])
def test_where_there_is_no_such_place_it_is_skipped(wire, body, front):
    with pytest.raises(Skip):
        added(wire, body, front=front)


@given(BODIES, WIRES, st.booleans())
def test_whatever_the_body_is_nothing_else_is_raised(body, wire, front):
    try:
        fields = read_object(body or b"")
        if fields is None:
            return
        result = with_system(wire, fields, "T", FREE, front=front)
    except (Skip, Exhausted):
        return
    assert b"T" in encode(result)
