from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.workers.messages import plain_messages

SENT = {"name": "f", "arguments": '{"a":1}'}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def one(**fields):
    return plain_messages([{"role": "user", **fields}])[0]


def param(*messages):
    with pytest.raises(PenstockError) as error:
        plain_messages(list(messages))
    return error.value.code, error.value.param


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("a", "a"),
        (None, ""),
        ([], ""),
        (7, "7"),
        ([{"type": "text", "text": "a", "cache_control": {}}, {"type": "input_text", "text": "b"}], "a\nb"),
        (["a"], "a"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        ([{"type": "text", "text": "a"}, IMAGE], [{"type": "text", "text": "a"}, IMAGE]),
        (
            [{"type": "input_image", "image_url": "https://x.test/a.png"}],
            [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
        ),
        ([{"type": "image_url", "image_url": {"url": "u", "detail": None}}], [{"type": "image_url", "image_url": {"url": "u"}}]),
    ],
)
def test_contents(content, sent):
    assert one(content=content)["content"] == sent


def test_roles():
    assert plain_messages([{"role": "developer", "content": "a"}])[0]["role"] == "system"


def test_what_clients_send_back():
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}, "extra_content": {}}
    back = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call],
        "annotations": [],
        "audio": None,
        "refusal": None,
        "reasoning_details": [],
    }
    assert plain_messages([back, {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "x"}], "name": None}]) == [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": SENT}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "x"},
    ]  # fmt: skip
    assert one(content=None, refusal="no")["content"] == "no"
    assert "tool_calls" not in one(tool_calls=[])


def test_what_makes_no_sense():
    assert param() == ("invalid_request", "messages")
    assert param("a") == ("invalid_request", "messages[0]")
    assert param({"content": "a"}) == ("invalid_request", "messages[0].role")
    assert param({"role": "user", "content": {}}) == ("invalid_request", "messages[0].content")
    assert param({"role": "user", "content": [{}]}) == ("invalid_request", "messages[0].content[0]")
    assert param({"role": "user", "content": [{"type": "image_url"}]}) == ("invalid_request", "messages[0].content[0].image_url")
    assert param({"role": "assistant", "tool_calls": [{}]}) == ("invalid_request", "messages[0].tool_calls[0].function.name")


@pytest.mark.parametrize("kind", ["input_audio", "file", "video_url"])
def test_what_no_model_here_reads(kind):
    assert param({"role": "user", "content": [{"type": kind}]}) == ("cannot_translate", "messages[0].content[0].type")
