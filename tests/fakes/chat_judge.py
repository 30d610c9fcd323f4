"""How the official OpenAI SDK judges chat completions: its types, strictly, and its accumulator of streams, for any cut into pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from openai._streaming import SSEDecoder
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion


def judged_answer(body: bytes) -> ChatCompletion:
    """A whole answer."""
    return ChatCompletion.model_validate_json(body, strict=True)


def chunks_of(stream: bytes, size: int = 1) -> list[dict[str, Any]]:
    """The chunks of a stream that arrives in pieces of so many bytes; `[DONE]` is its last event."""
    pieces = (stream[at : at + size] for at in range(0, len(stream), size))
    *events, last = SSEDecoder().iter_bytes(pieces)
    assert last.data == "[DONE]"
    return [json.loads(event.data) for event in events]


def judged_stream(stream: bytes, *, shows_usage: bool = True, custom: bool = False, size: int = 1) -> ParsedChatCompletion[None]:
    """A stream: the grammar of its chunks, each by the SDK's type, and what the SDK makes of them.

    `custom`: calls of custom tools are in it, for which the SDK's type of a chunk has no place.
    """
    chunks = chunks_of(stream, size)
    _grammar(chunks, shows_usage=shows_usage)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        read = ChatCompletionChunk.construct(**chunk) if custom else ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
        list(state.handle_chunk(read))
    shown = state.current_completion_snapshot
    if custom or shown.choices[0].finish_reason in ("length", "content_filter"):  # of which the SDK raises an error of its own
        return shown
    whole = state.get_final_completion()
    ChatCompletion.model_validate(whole.model_dump(warnings=False))
    return whole


def _grammar(chunks: list[dict[str, Any]], *, shows_usage: bool) -> None:
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    if shows_usage:
        usage = chunks[-1]
        assert (
            usage["choices"] == []
            and usage["usage"]["total_tokens"] == usage["usage"]["prompt_tokens"] + usage["usage"]["completion_tokens"]
        )
        assert all(chunk["usage"] is None for chunk in chunks[:-1])
    else:
        assert all("usage" not in chunk for chunk in chunks)
    said = chunks[:-1] if shows_usage else chunks
    choices = [chunk["choices"][0] for chunk in said]
    assert all(len(chunk["choices"]) == 1 for chunk in said) and all(choice["index"] == 0 for choice in choices)
    assert choices[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert not any("role" in choice["delta"] for choice in choices[1:])
    assert all(choice["finish_reason"] is None for choice in choices[:-1])
    assert choices[-1]["finish_reason"] is not None and choices[-1]["delta"] == {}
    seen = 0
    for call in _calls(choices):
        if "id" in call:
            assert call["index"] == seen and call["type"] in ("function", "custom") and call[call["type"]]["name"]
            seen += 1
        else:
            assert call["index"] < seen


def _calls(choices: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for choice in choices:
        yield from choice["delta"].get("tool_calls", [])
