from __future__ import annotations

import json
import struct
from base64 import b64decode

import pytest
from openai import AsyncOpenAI

from fake_answers import answer
from fake_workers_ai import BGE, FakeWorkersAI, crossed
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.bridges.workers_embeddings import TEXTS_LIMIT

BRIDGE = BRIDGES["embeddings", "workers_embeddings"]
SPOT = Spot(BGE, "public", "/v1/embeddings", b"", b"application/json", "req_1", 1)


@pytest.fixture
async def workers():
    async with FakeWorkersAI() as fake:
        yield fake


@pytest.mark.parametrize("model", [BGE, "@cf/test/native"])
async def test_vectors_are_in_the_order_of_the_texts(workers, model):
    back = await crossed(workers, BRIDGE, {"input": ["a", "bbb"]}, model)
    assert back.status == 200
    assert [(one["index"], one["embedding"], one["object"]) for one in back.json["data"]] == [
        (0, [0.5, -1.0], "embedding"),
        (1, [1.5, -1.0], "embedding"),
    ]
    assert back.json["model"] == "public/" + model
    assert back.json["usage"]["prompt_tokens"] == back.json["usage"]["total_tokens"] > 0
    assert back.sent.json == {"model": model, "input": ["a", "bbb"]}


async def test_base64_as_the_sdk_asks_for_it(workers, provider):
    """OpenAI's SDK asks for base64 unless it is told otherwise, and unpacks it."""
    back = await crossed(workers, BRIDGE, {"input": "abc", "encoding_format": "base64", "dimensions": 2, "user": "u"}, BGE)
    packed = back.json["data"][0]["embedding"]
    assert struct.unpack("<2f", b64decode(packed)) == (1.5, -1.0)
    assert back.crossing.dropped == b"x-penstock-dropped: dimensions\r\n"
    provider.always(answer(back.body))
    async with AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-x", max_retries=0) as client:
        found = await client.embeddings.create(model="m", input="abc")
    assert found.data[0].embedding == [1.5, -1.0]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_request", "input"),
        ({"input": []}, "invalid_request", "input"),
        ({"input": ["a", ""]}, "invalid_request", "input[1]"),
        ({"input": [{}]}, "invalid_request", "input[0]"),
        ({"input": [1, 2]}, "cannot_translate", "input"),
        ({"input": [[1, 2]]}, "cannot_translate", "input[0]"),
        ({"input": ["a"] * (TEXTS_LIMIT + 1)}, "invalid_request", "input"),
        ({"input": "a", "encoding_format": "int8"}, "invalid_request", "encoding_format"),
    ],
)
def test_what_is_refused(body, code, param):
    with pytest.raises(PenstockError) as refused:
        BRIDGE.cross(json.dumps(body).encode(), SPOT)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("list-3036", 429, "daily_quota"),
        ("busy-200", 429, "out_of_capacity"),
        ("empty", 502, "upstream_invalid"),
        ("text", 502, "upstream_invalid"),
        ("short", 502, "upstream_invalid"),
    ],
)
async def test_errors(workers, model, status, code):
    back = await crossed(workers, BRIDGE, {"input": ["a", "b"]}, f"@cf/test/{model}")
    assert (back.status, back.json["error"]["code"]) == (status, code)


@pytest.mark.parametrize("data", ['["a"]', "[[1e300]]", '[{"embedding": "x"}]', "{}"])
def test_what_are_no_vectors(data):
    crossing = BRIDGE.cross(b'{"input":"a","encoding_format":"base64"}', SPOT)
    assert crossing.whole(200, b"application/json", b'{"data":%b}' % data.encode())[0] == 502


def test_there_is_no_stream_of_them():
    crossing = BRIDGE.cross(b'{"input":"a"}', SPOT)
    stream = crossing.stream()
    assert crossing.replay(b"{}") is None
    assert stream.event(b"data: {}\n\n") == b"" and not stream.ended
    assert b'"error"' in stream.over() and stream.ended
