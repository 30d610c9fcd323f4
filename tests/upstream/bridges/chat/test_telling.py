from __future__ import annotations

import json

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_judge import chunks_of, judged_stream
from fake_answers import stream as sent
from penstock.kit.sse import split
from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.chat.asks_in import ChatAsked
from penstock.upstream.bridges.chat.telling import ChatTeller
from penstock.upstream.bridges.conversation import Asked, Failure, Image, Refusal, Reply, Text, Thought, Tool, ToolCall
from penstock.upstream.bridges.sealed import unseal
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

USAGE = Usage(input_tokens=10, cache_read_tokens=4, output_tokens=6, reasoning_tokens=2)
WEATHER = ToolCall("call_1", "weather", '{"city":"Oslo"}')


def teller(asked: Asked | None = None, **aliases: str) -> ChatTeller:
    return ChatTeller(About(asked or Asked("gpt-x", []), "gpt-x", "req_77", 1_700_000_000, aliases))


def told(*parts, stop="end", asked: Asked | None = None, **aliases: str) -> bytes:
    writer = teller(asked, **aliases)
    retell(Reply("msg_1", "claude", list(parts), stop, USAGE), writer)
    assert writer.ended
    return writer.take()


def test_text_by_the_strict_sdk_in_pieces_of_any_size():
    stream = told(Text('Grüße, 世界 \u2028 "quoted"\n'))
    for size in (1, 2, 3, 7, 64, len(stream)):
        whole = judged_stream(stream, size=size)
        assert whole.choices[0].message.content == 'Grüße, 世界 \u2028 "quoted"\n'
    assert (whole.id, whole.model, whole.created) == ("chatcmpl-msg_1", "claude", 1_700_000_000)
    assert whole.choices[0].finish_reason == "stop"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (14, 6, 20)
    assert whole.usage.prompt_tokens_details.cached_tokens == 4
    assert whole.usage.completion_tokens_details.reasoning_tokens == 2


def test_usage_is_told_only_to_whom_asked_for_it():
    whole = judged_stream(told(Text("a"), asked=Asked("m", [], shows_usage=False)), shows_usage=False)
    assert whole.usage is None


def test_parallel_tool_calls():
    writer = teller()
    writer.text("Let me see.")
    writer.tool(4, "call_a", "f")
    writer.tool(9, "call_b", "g")
    writer.arguments(9, '{"b"')
    writer.arguments(4, '{"a":1}')
    writer.arguments(9, ":2}")
    writer.tool(4, "again", "f")
    writer.arguments(5, "nobody's")
    writer.end("tools", USAGE)
    choice = judged_stream(writer.take()).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("call_a", "f", '{"a":1}'),
        ("call_b", "g", '{"b":2}'),
    ]


def test_a_call_without_arguments_has_an_empty_object():
    choice = judged_stream(told(ToolCall("c", "now", ""), stop="end")).choices[0]
    assert (choice.message.tool_calls[0].function.arguments, choice.finish_reason) == ("{}", "tool_calls")


def test_thoughts_are_text_and_sealed_details():
    proved = Thought("hm, yes", "SIG", wire="messages")
    secret = Thought("", "", "DATA", "rs_1", "responses")
    message = judged_stream(told(proved, secret, Text("So."))).choices[0].message
    assert (message.content, message.reasoning_content) == ("So.", "hm, yes")
    first, second = message.reasoning_details
    assert (first["type"], first["text"], unseal(first["signature"])) == ("reasoning.text", "hm, yes", Thought("", "SIG", wire="messages"))
    assert (second["type"], unseal(second["data"])) == ("reasoning.encrypted", secret)
    assert [detail["index"] for detail in message.reasoning_details] == [0, 1]


def test_thoughts_that_prove_nothing_are_text_alone_and_none_where_they_are_not_wanted():
    message = judged_stream(told(Thought("hm"), Text("So."))).choices[0].message
    assert (message.reasoning_content, hasattr(message, "reasoning_details")) == ("hm", False)
    message = judged_stream(told(Thought("hm", "SIG", wire="messages"), asked=Asked("m", [], shows_thoughts=False))).choices[0].message
    assert not hasattr(message, "reasoning_content") and not hasattr(message, "reasoning_details")


def test_refusals_and_pictures():
    choice = judged_stream(told(Refusal("No."), stop="refusal")).choices[0]
    assert (choice.message.refusal, choice.finish_reason) == ("No.", "stop")
    choice = judged_stream(told(Image("image/png", "QUJD"), Image(url="https://example.com/a.png"))).choices[0]
    assert [image["image_url"]["url"] for image in choice.message.images] == ["data:image/png;base64,QUJD", "https://example.com/a.png"]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [("end", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("tools", "stop"), ("refusal", "content_filter"), ("pause", "stop")],
)
def test_reasons(stop, reason):
    assert judged_stream(told(Text("a"), stop=stop)).choices[0].finish_reason == reason


def test_the_signature_of_geminis_calls_goes_where_google_has_it():
    calls = judged_stream(told(ToolCall("c", "f", "{}", signature="SIG"))).choices[0].message.tool_calls
    assert calls[0].extra_content == {"google": {"thought_signature": "SIG"}}


def test_functions_of_old():
    choice = judged_stream(told(WEATHER, asked=ChatAsked("m", [], functions=True))).choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == ("weather", '{"city":"Oslo"}')


PATCH = '*** Begin Patch\n"a"\n*** End Patch'


@pytest.mark.parametrize("call", [ToolCall("c", "patch", PATCH, custom=True), ToolCall("c", "patch", json.dumps({"input": PATCH}))])
def test_custom_tools(call):
    nested = Tool("patch", kind="custom", raw={"type": "custom", "custom": {"name": "patch"}})
    message = judged_stream(told(call, asked=ChatAsked("m", [], [nested])), custom=True).choices[0].message
    assert message.tool_calls[0].type == "custom"
    pieces = [piece["custom"] for chunk in chunks_of(told(call, asked=ChatAsked("m", [], [nested]))) for piece in _calls(chunk)]
    assert pieces[0] == {"name": "patch", "input": ""} and "".join(piece["input"] for piece in pieces) == PATCH
    # Cursor, which sends them flat, reads calls of functions only.
    message = judged_stream(told(call, asked=ChatAsked("m", [], [nested], enveloped=True))).choices[0].message
    assert (message.tool_calls[0].function.name, message.tool_calls[0].function.arguments) == ("patch", PATCH)


def _calls(chunk: dict) -> list[dict]:
    return [call for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])]


def test_the_clients_own_names_of_tools():
    calls = judged_stream(told(WEATHER, weather="my.weather")).choices[0].message.tool_calls
    assert calls[0].function.name == "my.weather"


def test_nothing_follows_the_end_and_a_second_beginning_is_ignored():
    writer = teller()
    writer.begin("a", "one")
    writer.begin("b", "two")
    writer.text("x")
    writer.text("")
    writer.end("end", USAGE)
    stream = writer.take()
    for again in (writer.begin, lambda: writer.text("y"), lambda: writer.end("end", USAGE), lambda: writer.fail(Failure(500, "late"))):
        again()
    assert writer.take() == b""
    assert judged_stream(stream).id == "chatcmpl-a"


def test_an_empty_reply_has_its_beginning_and_its_end():
    writer = teller()
    writer.end("end", Usage())
    whole = judged_stream(writer.take())
    assert (whole.id, whole.model, whole.choices[0].message.content) == ("chatcmpl-77", "gpt-x", "")


def test_an_error_in_the_middle_ends_the_stream_without_its_mark():
    writer = teller()
    writer.text("a")
    writer.fail(Failure(529, "Overloaded", "overloaded_error"))
    assert writer.ended
    last = split(writer.take())[-1]
    assert json.loads(last[6:]) == {
        "error": {"message": "Overloaded", "type": "server_error", "param": None, "code": "server_is_overloaded"}
    }


def test_the_clients_own_stream_helper(remote_provider):
    remote_provider.always(_says(told(Thought("hm"), Text("Hello"), WEATHER)))
    with openai.OpenAI(api_key="sk-test", base_url=f"{remote_provider.url}/v1", max_retries=0) as client:
        with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream:
            kinds = {event.type for event in stream}
        choice = stream.get_final_completion().choices[0]
        assert {
            "chunk",
            "content.delta",
            "content.done",
            "tool_calls.function.arguments.delta",
            "tool_calls.function.arguments.done",
        } <= kinds
        assert (choice.message.content, choice.message.tool_calls[0].function.arguments) == ("Hello", '{"city":"Oslo"}')


def test_the_client_raises_an_error_in_the_middle(remote_provider):
    writer = teller()
    writer.text("a")
    writer.fail(Failure(503, "gone"))
    remote_provider.always(_says(writer.take()))
    with openai.OpenAI(api_key="sk-test", base_url=f"{remote_provider.url}/v1", max_retries=0) as client:
        stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
        with pytest.raises(openai.APIError, match="gone"):
            list(stream)


def _says(stream: bytes):
    async def step(line) -> None:
        await line.send(sent(*split(stream)))
        line.close()

    return step


PARTS = st.one_of(
    st.builds(Text, st.text(max_size=9)),
    st.builds(
        Thought, st.text(max_size=9), st.text(max_size=3), st.text(max_size=3), st.text(max_size=3), st.sampled_from(["messages", "gemini"])
    ),
    st.builds(Refusal, st.text(max_size=9)),
    st.builds(Image, st.just("image/png"), st.just("AAAA")),
    st.builds(ToolCall, st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9), st.text(max_size=9)),
)


@settings(max_examples=100)
@given(st.lists(PARTS, max_size=6), st.booleans(), st.integers(1, 200))
def test_whatever_is_told_the_sdk_takes_it(parts, shows, size):
    stream = told(*parts, asked=Asked("m", [], shows_usage=shows))
    message = judged_stream(stream, shows_usage=shows, size=size).choices[0].message
    assert message.content == "".join(part.text for part in parts if isinstance(part, Text))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [call.function.name for call in message.tool_calls or []] == [call.name for call in calls]


def test_calls_without_ids_get_some():
    calls = [call for chunk in chunks_of(told(ToolCall("", "f", "{}"), ToolCall("", "f", "{}"), stop="tools")) for call in _calls(chunk)]
    ids = [call["id"] for call in calls if "id" in call]
    assert len(set(ids)) == 2 and all(ids)
