"""The official SDKs against models of every vendor that think: what they think is shown, and their proofs of it come back to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.genai import types

from arrived import proofs, results
from bridge_stage import ACROSS, PAIRS, THINKS, WIRES, BridgeStage
from heard import Heard, Wants
from penstock.upstream.bridges.sealed import MARK
from penstock.upstream.bridges.unsealed import IN_BASE64
from says import Call, Says

PROOFS = ["RXFvQkNrZ0lBUkFCR0FJ" + "x" * 40, "c2Vjb25kIHByb29mIG9m" + "y" * 40]
"""Base64, as all vendors' are."""
FIRST = Says(
    "Let me see.",
    "Grüße: I must look it up.",
    PROOFS[0],
    (Call("toolu_01", "weather", {"city": "Paris"}), Call("toolu_02", "weather", {"city": "Oslo"})),
    output=90,
    reasoning=50,
)
SECOND = Says("", "Now the other.", PROOFS[1], (Call("toolu_03", "weather", {"city": "Rome"}),), output=60, reasoning=30)
LAST = Says("Done.", output=5)
WANTS = Wants(thinks=True, tools=True, cap=8000)
SEEN = [("Paris", "21"), ("Oslo", "3"), ("Rome", "19")]

each_pair = pytest.mark.parametrize(("client", "target"), PAIRS)
each_way = pytest.mark.parametrize("how", ["plain", "streamed"])


def ask(talker, how: str, wants: Wants = WANTS) -> Heard:
    heard: Heard = getattr(talker, how)(wants)
    return heard


@each_pair
@each_way
def test_a_loop_of_tools_with_thoughts(bridges: BridgeStage, client, target, how):
    bridges.vendor.say(FIRST, SECOND, LAST)
    talker = bridges.talker(client, target, thinks=True)
    talker.say("Where is it warm?")
    # Whoever speaks chat has no word for it, but those that many vendors know.
    wants = WANTS if talker.wire != "chat" else replace(WANTS, more={"extra_body": {"include_reasoning": True}})
    same_words = target == talker.wire == "chat"
    first = ask(talker, how, wants)
    assert first.text == "Let me see."
    assert first.thought == FIRST.thought or same_words
    charge = bridges.charge()
    if target != "messages":  # Anthropic does not say how many of its tokens were thoughts
        assert (charge["output_tokens"], charge["reasoning_tokens"]) == (90, 50)
    assert charge["served_model"] == THINKS[target]
    talker.results([(first.calls[0], "21"), (first.calls[1], "3")])
    second = ask(talker, how, wants)
    assert proofs(bridges.asked()) == PROOFS[:1]
    assert second.thought == SECOND.thought or same_words
    talker.results([(second.calls[0], "19")])
    last = ask(talker, how, wants)
    assert last.text == "Done."
    assert proofs(bridges.asked()) == PROOFS
    assert results(bridges.asked()) == SEEN


@each_way
@pytest.mark.parametrize("target", ["chat", "messages", "responses", "gemini"])
def test_thoughts_that_a_client_of_gemini_s_does_not_want_to_see_are_proved_all_the_same(bridges: BridgeStage, target, how):
    bridges.vendor.say(FIRST, LAST)
    talker = bridges.talker("gemini", target, thinks=True)
    talker.say("Where is it warm?")
    wants = Wants(tools=True, cap=8000, more={"thinking_config": types.ThinkingConfig(thinking_budget=2048)})
    first = ask(talker, how, wants)
    assert first.thought == ""
    talker.results([(call, "21") for call in first.calls])
    assert ask(talker, how, wants).text == "Done."
    assert proofs(bridges.asked()) == PROOFS[:1]


@each_way
@pytest.mark.parametrize(("client", "target"), [pair for pair in ACROSS if pair[0] != "gemini"])
def test_a_client_that_forgets_thoughts(bridges: BridgeStage, client, target, how):
    bridges.vendor.say(FIRST, SECOND, LAST)
    talker = bridges.talker(client, target, thinks=True)
    talker.say("Where is it warm?")
    forget(talker, first := ask(talker, how))
    talker.results([(first.calls[0], "21"), (first.calls[1], "3")])
    forget(talker, second := ask(talker, how))
    talker.results([(second.calls[0], "19")])
    assert ask(talker, how).text == "Done."
    assert results(bridges.asked()) == SEEN
    assert set(proofs(bridges.asked())) <= {"skip_thought_signature_validator"}


def forget(talker, _: Heard) -> None:
    """Programs that know only what they were written for keep only that."""
    if talker.wire == "chat":
        talker.turns[-1] = {name: value for name, value in talker.turns[-1].items() if name in ("role", "content", "tool_calls")}
        for call in talker.turns[-1]["tool_calls"]:
            call.pop("extra_content", None)
    elif talker.wire == "messages":
        talker.turns[-1]["content"] = [block for block in talker.turns[-1]["content"] if "thinking" not in block["type"]]
    else:
        talker.items = [item for item in talker.items if item.get("type") != "reasoning"]


@pytest.mark.parametrize("other", WIRES)
@pytest.mark.parametrize("client", WIRES)
def test_thoughts_do_not_go_to_another_vendor(bridges: BridgeStage, client, other):
    """In the middle of a conversation another model is asked."""
    first_target = next(wire for one, wire in ACROSS if one == client and wire != other)
    bridges.vendor.say(FIRST, LAST)
    talker = bridges.talker(client, first_target, thinks=True)
    talker.say("Where is it warm?")
    first = ask(talker, "plain")
    talker.results([(first.calls[0], "21"), (first.calls[1], "3")])
    talker.model = f"thinks-{other}"  # type: ignore[attr-defined]
    assert ask(talker, "plain").text == "Done."
    assert bridges.asked().wire == other
    assert not any(word in bridges.asked().received.body for word in (PROOFS[0].encode(), MARK.encode(), IN_BASE64.encode()))
    assert results(bridges.asked()) == SEEN[:2]
