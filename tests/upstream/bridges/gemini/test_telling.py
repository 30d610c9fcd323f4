"""Streams for clients of Gemini's: the official SDK reads them, and they say what was told."""

from __future__ import annotations

import json

import pytest
from google.genai import errors, types
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_replies import REPLIES
from penstock.kit.sse import payload, split
from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.conversation import Asked, Failure, Image, Reply, Thought, ToolCall
from penstock.upstream.bridges.gemini import SIDE
from penstock.upstream.bridges.gemini.replies import read_reply
from penstock.upstream.bridges.gemini.signatures import given_back
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

ABOUT = About(Asked("m", [], shows_thoughts=True), "m", "req_1", 0)


def told(reply: Reply, about: About = ABOUT) -> bytes:
    teller = SIDE.teller(about)
    retell(reply, teller)
    assert teller.ended
    return teller.take()


def chunks(data: bytes) -> list[dict]:
    events = split(data)
    assert all(event.startswith(b"data: {") and event.endswith(b"\n\n") for event in events)
    return [json.loads(payload(event.rstrip())) for event in events]


def parts(data: bytes) -> list[dict]:
    return [part for chunk in chunks(data) for part in chunk["candidates"][0]["content"]["parts"]]


@given(reply=REPLIES)
@settings(max_examples=60)
def test_a_stream_is_chunks_of_one_answer_whose_last_says_why_it_ended(reply):
    found = chunks(told(reply))
    assert all(chunk["responseId"] == reply.id and chunk["modelVersion"] == reply.model for chunk in found)
    assert ["finishReason" in chunk["candidates"][0] for chunk in found] == [False] * (len(found) - 1) + [True]
    assert found[-1]["usageMetadata"]["candidatesTokenCount"] == reply.usage.output_tokens - reply.usage.reasoning_tokens
    for chunk in found:
        types.GenerateContentResponse.model_validate(chunk)


@given(reply=REPLIES)
@settings(max_examples=60)
def test_a_stream_says_what_the_whole_answer_says(reply):
    stream, whole = told(reply), json.loads(SIDE.write_reply(reply, ABOUT))
    joined = {**chunks(stream)[-1]}
    joined["candidates"][0]["content"]["parts"] = parts(stream)
    merged, direct = read_reply(json.dumps(joined).encode()), read_reply(json.dumps(whole).encode())
    assert [part for part in merged.parts if not isinstance(part, Thought)] == [
        part for part in direct.parts if not isinstance(part, Thought)
    ]
    assert (merged.stop, merged.usage) == (direct.stop, direct.usage)


def test_the_sdk_reads_a_stream(sdk, door):
    teller = SIDE.teller(ABOUT)
    teller.begin("resp_1", "claude-x")
    teller.thought("let me see")
    teller.signed("EqQB/+==", "messages")
    teller.text("He")
    teller.text("llo \u2028 \U0001f600")
    teller.tool(7, "toolu_1", "search")
    teller.arguments(7, '{"q":')
    teller.tool(9, "toolu_2", "look", signature="c2ln")
    teller.arguments(7, '"x"}')
    teller.end("tools", Usage(input_tokens=10, cache_read_tokens=5, output_tokens=7, reasoning_tokens=3))
    door.answers(teller.take(), streams=True)
    found = list(sdk.models.generate_content_stream(model="m", contents="hi"))
    assert "".join(part.text for one in found for part in one.candidates[0].content.parts if part.text and not part.thought) == (
        "Hello \u2028 \U0001f600"
    )
    calls = [(call.id, call.name, call.args) for one in found for call in one.function_calls or ()]
    assert calls == [("toolu_1", "search", {"q": "x"}), ("toolu_2", "look", {})]
    thoughts = [part for one in found for part in one.candidates[0].content.parts if part.thought]
    assert thoughts[0].text == "let me see"
    assert found[-1].candidates[0].finish_reason == types.FinishReason.STOP
    usage = found[-1].usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count, usage.thoughts_token_count, usage.candidates_token_count) == (
        15,
        5,
        3,
        4,
    )
    assert (found[0].response_id, found[0].model_version) == ("resp_1", "claude-x")
    assert door.heard[0][0].endswith("/models/m:streamGenerateContent?alt=sse")


def test_what_the_sdk_gives_back_reaches_those_it_came_from(sdk, door):
    reply = Reply(
        "r",
        "m",
        [Thought("let me see", "EqQB/+==", wire="messages"), ToolCall("toolu_1", "f", '{"a":1}', signature="c2lnbg==")],
        "tools",
        Usage(),
    )
    door.answers(told(reply), streams=True)
    found = [one.candidates[0].content for one in sdk.models.generate_content_stream(model="m", contents="hi")]
    given = [part for content in found for part in content.parts]
    results = types.Content(role="user", parts=[types.Part.from_function_response(name="f", response={"output": "1"})])
    list(sdk.models.generate_content_stream(model="m", contents=["hi", types.Content(role="model", parts=given), results]))
    asked = SIDE.read_ask(door.heard[1][1])
    thought, call, *_ = asked.turns[1].parts
    assert thought == Thought("let me see", "EqQB/+==", wire="messages")
    assert call == ToolCall("toolu_1", "f", '{"a":1}', signature="c2lnbg==")
    assert asked.turns[2].parts[0].id == "toolu_1"


def test_the_sdk_raises_what_failed(sdk, door):
    teller = SIDE.teller(ABOUT)
    teller.text("Hal")
    teller.fail(Failure(529, "Overloaded", "overloaded_error"))
    assert teller.ended
    teller.text("more")
    teller.fail(Failure(500, "again"))
    written = teller.take()
    assert chunks(written)[-1]["error"]["status"] == "UNAVAILABLE"
    door.answers(written, streams=True)
    with pytest.raises(errors.APIError, match="Overloaded"):
        list(sdk.models.generate_content_stream(model="m", contents="hi"))


def test_thoughts_are_for_those_who_ask():
    reply = Reply("r", "m", [Thought("hm", "c2ln", wire="gemini")], "end", Usage())
    assert parts(told(reply, About(Asked("m", []), "m", "req_1", 0))) == [{"text": ""}]
    assert [part["text"] for part in parts(told(reply))] == ["hm", "", ""]


def test_a_foreign_proof_is_sealed_and_found_again():
    sealed = parts(told(Reply("r", "m", [Thought("", "", "data", "rs_1", "responses")], "end", Usage())))[0]
    assert given_back(sealed["thoughtSignature"]) == Thought("", "", "data", "rs_1", "responses")


def test_pieces_of_calls_may_mix_and_text_may_follow():
    teller = SIDE.teller(ABOUT)
    teller.tool(0, "a", "f")
    teller.arguments(0, '{"x"')
    teller.text("not yet")
    teller.arguments(0, ":1}")
    teller.text("now")
    teller.tool(0, "b", "wrapped", custom=True)
    teller.arguments(0, "any text")
    teller.arguments(5, "of no call")
    teller.image(Image("image/png", "AAAA"))
    teller.refusal("no")
    teller.end("length", Usage())
    names = [part.get("text") or next(iter(part)) for part in parts(teller.take())]
    assert names == ["not yet", "functionCall", "now", "functionCall", "inlineData", "no", "text"]
    assert teller.take() == b""


def test_tools_have_the_names_that_the_client_knows():
    about = About(Asked("m", []), "m", "req_1", 0, {"short": "the.long.name"})
    call = parts(told(Reply("", "", [ToolCall("", "short", "nonsense")], "tools", Usage()), about))[0]
    assert call == {"functionCall": {"name": "the.long.name", "args": {}}}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["text", "thought", "refusal"]), st.text(max_size=5)),
            st.tuples(st.sampled_from(["signed", "redacted"]), st.text(max_size=5), st.sampled_from(["gemini", "messages", ""])),
            st.tuples(st.just("tool"), st.integers(0, 2), st.text(max_size=3), st.text(max_size=3)),
            st.tuples(st.just("arguments"), st.integers(0, 2), st.text(max_size=5)),
            st.tuples(st.sampled_from(["begin", "take"])),
            st.tuples(st.just("end"), st.sampled_from(["end", "length", "tools"]), st.just(Usage())),
        ),
        max_size=12,
    )
)
def test_told_in_any_order_it_writes_whole_chunks(steps):
    teller, written = SIDE.teller(ABOUT), b""
    for name, *arguments in steps:
        got = getattr(teller, name)(*arguments)
        written += got if name == "take" else b""
    teller.end("end", Usage())
    found = chunks(written + teller.take())
    assert sum("finishReason" in chunk["candidates"][0] for chunk in found) == 1


@pytest.mark.parametrize("thought", [Thought("hm", "EqQB", wire="messages"), Thought("", redacted="gAAA", id="rs_1", wire="responses")])
def test_the_proof_of_a_thought_that_is_not_shown_goes_with_the_call(thought):
    """Streamed and plain, and only with the first call."""
    quiet = About(Asked("m", []), "m", "req_1", 0)
    reply = Reply("r", "m", [thought, ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")], "tools", Usage())
    whole = json.loads(SIDE.write_reply(reply, quiet))["candidates"][0]["content"]["parts"]
    for first, second in (parts(told(reply, quiet)), whole):
        carried = given_back(first["thoughtSignature"])
        assert carried == Thought("", thought.signature, thought.redacted, thought.id, thought.wire)
        assert "thoughtSignature" not in second
