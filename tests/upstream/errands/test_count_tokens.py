from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.errands import ERRANDS
from penstock.upstream.errands.errand import Fetched, Order
from penstock.upstream.usage import Usage


async def nowhere(*_: object, **__: object) -> Fetched:
    raise AssertionError("the provider is not called")


def order(fields: dict[str, Any]) -> Order:
    return Order("gpt-x", "claude", "/v1/messages/count_tokens", b"beta=true", fields, "req_1", 0, nowhere, nowhere, {})


@pytest.mark.parametrize("target", ["chat", "responses", "gemini"])
async def test_tokens_are_counted_without_a_call(target):
    fields = {"model": "claude", "system": "You are a scientist", "messages": [{"role": "user", "content": "Hello, Claude"}]}
    result = await ERRANDS["count_tokens", target].run(order(fields))
    assert (result.status, result.content_type, result.usage) == (200, b"application/json", Usage(calls=0))
    assert 12 <= json.loads(result.body)["input_tokens"] <= 18


async def test_what_would_be_refused_is_counted_all_the_same():
    fields = {"model": "claude", "messages": [{"role": "user", "content": "x"}], "mcp_servers": [{}], "context_management": {}}
    result = await ERRANDS["count_tokens", "chat"].run(order(fields))
    assert json.loads(result.body)["input_tokens"] > 0


async def test_what_makes_no_sense_is_refused():
    with pytest.raises(PenstockError) as caught:
        await ERRANDS["count_tokens", "chat"].run(order({"model": "claude", "messages": "x"}))
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize("target", ["chat", "responses", "messages"])
async def test_gemini_s_counting(target):
    contents = {"contents": [{"role": "user", "parts": [{"text": "Hello, Gemini, how are you?"}]}]}
    plain = await ERRANDS["gemini_count", target].run(order(contents))
    assert (plain.status, plain.usage) == (200, Usage(calls=0))
    whole = contents | {"systemInstruction": {"parts": [{"text": "You are a scientist"}]}}
    longer = await ERRANDS["gemini_count", target].run(order({"generateContentRequest": whole}))
    assert 4 <= json.loads(plain.body)["totalTokens"] < json.loads(longer.body)["totalTokens"] <= 25
