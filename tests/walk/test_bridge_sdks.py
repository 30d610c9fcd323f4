"""The official SDKs against models of every vendor: what is said arrives, what is answered is read, plain and streamed, with tools."""

from __future__ import annotations

from typing import Any

import pytest

from arrived import results
from bridge_stage import PAIRS, SERVED, BridgeStage
from heard import Heard, Wants
from says import Call, Says

GREETING = "Grüße ✓ aus 世界, und mehr als ein paar Worte."
HOW = ("plain", "streamed", "raw")
ENDS = {"chat": "stop", "async-chat": "stop", "responses": "completed", "messages": "end_turn", "gemini": "STOP"}
TOOLS = {"chat": "tool_calls", "async-chat": "tool_calls", "responses": "completed", "messages": "tool_use", "gemini": "STOP"}

each_pair = pytest.mark.parametrize(("client", "target"), PAIRS)
each_way = pytest.mark.parametrize("how", HOW)


def same_usage(heard: Heard, says: Says, charge: dict[str, Any]) -> None:
    """The client has read what the provider has stated, and has been charged for just that."""
    assert (heard.read, heard.output) == (says.fresh + says.cached + says.written, says.output)
    assert heard.cached == says.cached
    assert heard.reasoning in (None, says.reasoning)
    assert {name: charge[name] for name in says.used} == says.used
    assert not charge["estimated"]


@each_pair
@each_way
def test_an_answer(bridges: BridgeStage, client, target, how):
    says = Says(GREETING, fresh=100, cached=2048, written=64 if target == "messages" else 0, output=70)
    bridges.vendor.say(says)
    talker = bridges.talker(client, target)
    talker.say("Hello there")
    heard: Heard = getattr(talker, how)(Wants(system="Be brief.", cap=500))
    assert (heard.text, heard.calls, heard.stop) == (GREETING, [], ENDS[client])
    if client == "messages":
        assert heard.written == says.written
    charge = bridges.charge()
    same_usage(heard, says, charge)
    assert (charge["channel"], charge["wire"], charge["served_model"]) == (target, talker.wire, SERVED[target])
    assert (charge["model"], charge["outcome"], charge["attempts"]) == (f"by-{target}", "complete", 1)
    asked = bridges.asked()
    assert (asked.wire, asked.model) == (target, SERVED[target])
    assert b"Be brief." in asked.received.body and b"Hello there" in asked.received.body
    credential = {"messages": "x-api-key", "gemini": "x-goog-api-key"}.get(target, "authorization")
    assert (asked.received.header(credential) or b"").endswith(b"sk-vendor")
    assert bridges.gateway.key.encode() not in asked.received.raw_head


FIRST = Says(
    "I look both up.",
    calls=(
        Call("call_Paris00000000000001", "weather", {"city": "Paris", "days": 2}),
        Call("call_Oslo000000000000002", "weather", {"city": "Öslo"}),
    ),
    output=40,
)
SECOND = Says(calls=(Call("call_Rome000000000000003", "weather", {"city": "Rome"}),), fresh=80, cached=1024, output=20)
LAST = Says("Paris is best.", fresh=120, cached=1024, output=6)


@each_pair
@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_a_loop_of_tools(bridges: BridgeStage, client, target, how):
    bridges.vendor.say(FIRST, SECOND, LAST)
    talker = bridges.talker(client, target)
    talker.say("Where is it warm?")
    wants = Wants(tools=True)
    first: Heard = getattr(talker, how)(wants)
    assert first.text == "I look both up." and first.stop == TOOLS[client]
    assert [(call.name, call.arguments) for call in first.calls] == [(call.name, call.arguments) for call in FIRST.calls]
    if client != "gemini" and target != "gemini":
        assert [call.id for call in first.calls] == [call.id for call in FIRST.calls]
    same_usage(first, FIRST, bridges.charge())
    talker.results([(first.calls[0], "21 degrees"), (first.calls[1], "3 degrees")])
    second: Heard = getattr(talker, how)(wants)
    assert [(call.name, call.arguments) for call in second.calls] == [("weather", {"city": "Rome"})]
    same_usage(second, SECOND, bridges.charge())
    talker.results([(second.calls[0], "19 degrees")])
    last: Heard = getattr(talker, how)(wants)
    assert (last.text, last.calls, last.stop) == ("Paris is best.", [], ENDS[client])
    same_usage(last, LAST, bridges.charge())
    assert results(bridges.asked()) == [
        ("Paris", "21 degrees"),
        ("Öslo", "3 degrees"),
        ("Rome", "19 degrees"),
    ]
