"""What every bridge must do with conversations that go on: what proves a thought comes back to where it is from, and nowhere else."""

from __future__ import annotations

import json

import pytest

from conversations import FUNCTIONS, thought_of
from crossed import NATIVE, PAIRS, carried, cross, natively, provider_of, streamed
from next_turns import FOUND, NEXT_TURNS
from penstock.upstream.bridges import SIDES
from penstock.upstream.bridges.conversation import Asked, Part, Reply, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.sealed import MARK
from penstock.upstream.bridges.unsealed import has_sealed, without_sealed
from penstock.upstream.usage import Usage

USAGE = Usage(9, 4, output_tokens=7, reasoning_tokens=2)


def test_every_side_has_a_client():
    assert set(SIDES) == set(NEXT_TURNS)


def first(source: str) -> bytes:
    asked = Asked("public", [Turn("user", [Text("Hello")])], [FUNCTIONS[0]], effort="high", shows_thoughts=True, stream=True)
    return natively(source, asked)


def answer_of(target: str) -> Reply:
    proof = "cHJvb2Y=" if target == "gemini" else ""
    calls = [ToolCall("call_1", "look", '{"at":"sea"}', signature=proof), ToolCall("call_2", "look", '{"at":"land"}')]
    return Reply("id_1", "served", [thought_of(target, "Where is it?"), Text("I look."), *calls], "tools", USAGE)


def proofs(parts: list[Part]) -> set[str]:
    """What only its provider can read."""
    found = set()
    for part in parts:
        if isinstance(part, Thought):
            found |= {part.signature, part.redacted}
        elif isinstance(part, ToolCall):
            found.add(part.signature)
    return {_inner(one) for one in found if one}


def _inner(proof: str) -> str:
    """Of a chat's, which is a whole detail."""
    if not proof.startswith("{"):
        return proof
    detail = json.loads(proof)
    return str(detail.get("signature") or detail.get("data"))


@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_signatures_come_back_to_a_provider_of_their_wire_and_to_no_other(source, target, streams):
    last = first(source)
    crossing = cross(source, target, last, NATIVE.get(target, "model-x"), stream=True)
    about = provider_of(crossing)
    sent = SIDES[target].write_reply(answer_of(target), about)
    if streams:
        answer = NEXT_TURNS[source].gathered(carried(crossing.stream(), streamed(target, answer_of(target), about), 5))
    else:
        status, _, shown = crossing.whole(200, b"application/json", sent)
        assert status == 200
        answer = json.loads(shown)
    body = NEXT_TURNS[source].body(last, answer)
    theirs = proofs(SIDES[target].read_reply(sent).parts)
    assert theirs
    for other in SIDES:
        if other == source:  # no bridge: the bytes go through, without what is another provider's
            assert has_sealed(source, body) and MARK.encode() not in without_sealed(body)
            _goes_on(source, without_sealed(body))
            continue
        again = cross(source, other, body, NATIVE.get(other, "model-x"), stream=True)
        arrived = {proof for proof in theirs if proof.encode() in again.body}
        assert arrived == (theirs if other == target else set())
        assert (b"thinking" in again.dropped) == (other != target)
        _goes_on(other, again.body)


def _goes_on(wire: str, body: bytes) -> None:
    """The calls, and what was found for each, are in the request."""
    parts = [part for turn in SIDES[wire].read_ask(body).turns for part in turn.parts]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    results = [part for part in parts if isinstance(part, ToolResult)]
    assert [json.loads(call.arguments) for call in calls] == [{"at": "sea"}, {"at": "land"}]
    assert [result.id for result in results] == [call.id for call in calls]
    assert all(part.parts == [Text(FOUND)] for part in results)
    assert "I look." in [part.text for part in parts if isinstance(part, Text)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_text_of_a_thought_comes_back_with_its_proof(source, target):
    last = first(source)
    crossing = cross(source, target, last, NATIVE.get(target, "model-x"), stream=True)
    told = carried(crossing.stream(), streamed(target, answer_of(target), provider_of(crossing)), 5)
    body = NEXT_TURNS[source].body(last, NEXT_TURNS[source].gathered(told))
    again = SIDES[target].read_ask(cross(source, target, body, NATIVE.get(target, "model-x")).body)
    thoughts = [part for turn in again.turns for part in turn.parts if isinstance(part, Thought) and (part.text or part.redacted)]
    assert "Where is it?" in [thought.text for thought in thoughts]
