"""The official SDKs against models of every vendor: pictures, files, structured answers, and why an answer ends."""

from __future__ import annotations

import openai
import pytest

from arrived import form, shown
from bridge_stage import ACROSS, PAIRS, TALKERS, BridgeStage
from heard import PDF, PICTURE_URL, PNG, City, Heard, Wants
from says import Says

URLS = {"png": f"data:image/png;base64,{PNG}", "url": PICTURE_URL, "pdf": f"data:application/pdf;base64,{PDF}"}
LENGTHS = {"chat": "length", "responses": "max_output_tokens", "messages": "max_tokens", "gemini": "MAX_TOKENS"}
ENDS = {"chat": "stop", "responses": "completed", "messages": "end_turn", "gemini": "STOP"}
REFUSED = {"chat": "content_filter", "responses": "content_filter", "messages": "refusal", "gemini": "SAFETY"}
NO = "I cannot help with that."

each_bridge = pytest.mark.parametrize(("client", "target"), ACROSS)


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize(("client", "target"), [pair for pair in PAIRS if pair[0] != "async-chat"])
def test_what_is_shown_arrives(bridges: BridgeStage, client, target, kind):
    talker = bridges.talker(client, target)
    talker.show("What is this?", kind)
    bridges.vendor.say(Says("A pixel."))
    assert talker.plain(Wants()).text == "A pixel."
    assert shown(bridges.asked()) == [URLS[kind]]
    assert b"What is this?" in bridges.asked().received.body


@pytest.mark.parametrize("how", ["plain", "streamed"])
@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_a_structured_answer_is_parsed(bridges: BridgeStage, client, target, how):
    talker = bridges.talker(client, target)
    talker.say("Tell me of Bern.")
    bridges.vendor.say(Says('{"name": "Bern", "inhabitants": 146000}'))
    heard: Heard = getattr(talker, how)(Wants(form=City))
    assert heard.parsed == City(name="Bern", inhabitants=146000)
    schema = form(bridges.asked())
    assert set(schema["properties"]) == {"name", "inhabitants"}
    assert set(schema["required"]) == {"name", "inhabitants"}
    assert schema["properties"]["inhabitants"]["type"].lower() == "integer"


@pytest.mark.parametrize("how", ["plain", "raw"])
@each_bridge
def test_an_answer_that_is_cut_off(bridges: BridgeStage, client, target, how):
    talker = bridges.talker(client, target)
    talker.say("Go on and on.")
    bridges.vendor.say(Says("On and", stop="length", output=16))
    heard: Heard = getattr(talker, how)(Wants(cap=16))
    assert (heard.text, heard.stop, heard.output) == ("On and", LENGTHS[client], 16)
    body = bridges.asked().body
    sent = body.get("generationConfig", {}).get("maxOutputTokens") or body.get("max_tokens") or body.get("max_output_tokens")
    assert sent == 16


@pytest.mark.parametrize("target", ["responses", "messages", "gemini"])
def test_the_sdk_s_accumulator_tells_that_an_answer_was_cut_off(bridges: BridgeStage, target):
    talker = bridges.talker("chat", target)
    talker.say("Go on and on.")
    bridges.vendor.say(Says("On and", stop="length"))
    with pytest.raises(openai.LengthFinishReasonError):
        talker.streamed(Wants())


@pytest.mark.parametrize("how", ["plain", "raw"])
@pytest.mark.parametrize(("client", "target"), [pair for pair in ACROSS if pair[0] != "responses"])  # which has no stop sequences
def test_a_stop_sequence(bridges: BridgeStage, client, target, how):
    talker = bridges.talker(client, target)
    talker.say("Count.")
    if target == "responses":
        with pytest.raises(TALKERS[client].errors, match="stop sequence") as refused:
            getattr(talker, how)(Wants(stop=["END"]))
        assert isinstance(refused.value, TALKERS[client].statuses[400])
        assert bridges.vendor.asked == []
        return
    bridges.vendor.say(Says("1 2 3 ", stop="stop_sequence", sequence="END"))
    heard: Heard = getattr(talker, how)(Wants(stop=["END"]))
    assert (heard.text, heard.stop) == ("1 2 3 ", ENDS[client])
    body = bridges.asked().body
    assert (body.get("stop") or body.get("stop_sequences") or body["generationConfig"]["stopSequences"]) == ["END"]


@pytest.mark.parametrize("how", ["plain", "raw"])
@each_bridge
def test_a_refusal(bridges: BridgeStage, client, target, how):
    talker = bridges.talker(client, target)
    talker.say("Something bad.")
    bridges.vendor.say(Says(refusal=NO, stop="refusal" if target == "messages" else "end"))
    heard: Heard = getattr(talker, how)(Wants())
    said = heard.refusal or heard.text
    assert said == NO if target != "gemini" else "PROHIBITED_CONTENT" in said
    assert heard.refusal or heard.stop == REFUSED[client]
