"""What every bridge must do with requests: say them in the provider's words, tell what it leaves out, or refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from conversations import asks
from crossed import MODELS, PAIRS, cross, natively
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import SIDES
from penstock.upstream.bridges.conversation import Asked, Document
from same_meaning import same_meaning
from sdk_requests import JUDGES

every_pair = pytest.mark.parametrize(("source", "target"), PAIRS)
QUICK = {"suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much], "phases": [Phase.explicit, Phase.generate]}


def test_every_side_has_a_judge():
    assert set(SIDES) == set(JUDGES)


def names_in(header: bytes) -> list[str]:
    return header.decode().removeprefix("x-penstock-dropped: ").strip().split(", ") if header else []


def refusable(asked: Asked, target: str) -> bool:
    """Some provider cannot say it."""
    parts = [part for turn in asked.turns for part in turn.parts]
    by_url = any(isinstance(part, Document) and part.url for part in parts)
    return (target == "responses" and bool(asked.stop)) or (target == "chat" and by_url) or len(asked.stop) > 4


@every_pair
@settings(max_examples=25, **QUICK)
@given(st.data())
def test_a_request_is_said_in_the_providers_words(source, target, data):
    asked = data.draw(asks(source), label="asked")
    model = data.draw(st.sampled_from(MODELS.get(target, ["model-x"])), label="model")
    try:
        body = natively(source, asked)
    except PenstockError:
        reject()  # no such client
    before = SIDES[source].read_ask(body)
    try:
        crossing = cross(source, target, body, model, stream=asked.stream)
    except PenstockError as refused:
        said = refused
    else:
        JUDGES[target](crossing.body)
        assert crossing.ask.stream == asked.stream
        assert crossing.wire.addressed or crossing.ask.model == model
        after = SIDES[target].read_ask(crossing.body)
        same_meaning(before, after, names_in(crossing.dropped), crossing._about.aliases)
        return
    assert said.code == "cannot_translate" and refusable(before, target)


WAYS: dict[tuple[str, str], dict[str, Any]] = {
    ("chat", "n"): {"n": 2},
    ("chat", "logprobs"): {"logprobs": True, "top_logprobs": 2},
    ("gemini", "n"): {"generationConfig": {"candidateCount": 2}},
    ("gemini", "logprobs"): {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
    ("responses", "logprobs"): {"include": ["message.output_text.logprobs"]},
}
"""What only a client can say, because no bridge writes it: fields of its request."""
CONTENT: dict[tuple[str, str], Any] = {
    ("chat", "sound"): {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ("chat", "a file by its id"): {"type": "file", "file": {"file_id": "file-abc"}},
    ("chat", "a spreadsheet"): {"type": "file", "file": {"filename": "a.xls", "file_data": "data:application/vnd.ms-excel;base64,QUJD"}},
    ("messages", "a picture by its id"): {"type": "image", "source": {"type": "file", "file_id": "file_abc"}},
    ("messages", "a file by its id"): {"type": "document", "source": {"type": "file", "file_id": "file_abc"}},
    ("responses", "a picture by its id"): {"type": "input_image", "file_id": "file-abc"},
    ("responses", "a file by its id"): {"type": "input_file", "file_id": "file-abc"},
    ("responses", "sound"): {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ("gemini", "sound"): {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
    ("gemini", "a picture by its id"): {
        "fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}
    },
    ("gemini", "a spreadsheet"): {"inlineData": {"mimeType": "application/vnd.ms-excel", "data": "QUJD"}},
}
TOOLS: dict[str, dict[str, Any]] = {
    "chat": {"web_search_options": {}},
    "messages": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "responses": {"tools": [{"type": "web_search"}]},
    "gemini": {"tools": [{"googleSearch": {}}]},
}
"""How each client asks for a search of the web by the provider itself."""
SAID = {
    ("chat", "sound"): b"input_audio",
    ("chat", "a spreadsheet"): b"vnd.ms-excel",
    ("gemini", "sound"): b"audio/wav",
    ("gemini", "a spreadsheet"): b"vnd.ms-excel",
    ("responses", "a spreadsheet"): b"vnd.ms-excel",
    ("chat", "a file by its id"): b"file-abc",
}
"""What a provider's wire can say, and by what that is seen. All else is refused."""


def bodies() -> list[Any]:
    found = [(source, what, _with(source, fields)) for (source, what), fields in WAYS.items()]
    found += [(source, what, _with(source, {}, part)) for (source, what), part in CONTENT.items()]
    return [
        pytest.param(source, target, what, body, id=f"{source}-{target}-{what}")
        for source, what, body in found
        for target in SIDES
        if target != source
    ]


def _with(source: str, fields: dict[str, Any], *parts: Any) -> dict[str, Any]:
    text = {"type": {"responses": "input_text"}.get(source, "text"), "text": "Hello"}
    match source:
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": "Hello"}, *parts]}], **fields}
        case "responses":
            return {"model": "public", "input": [{"role": "user", "content": [text, *parts]}], **fields}
    return {"model": "public", "max_tokens": 50, "messages": [{"role": "user", "content": [text, *parts]}], **fields}


@pytest.mark.parametrize(("source", "target", "what", "body"), bodies())
def test_what_changes_the_answer_is_said_or_refused(source, target, what, body):
    sign = SAID.get((target, what))
    raw = json.dumps(body).encode()
    if sign is not None:
        try:
            crossing = cross(source, target, raw, "gpt-5.2")
        except PenstockError as refused:
            said = refused
        else:
            assert sign in crossing.body
            return
        assert said.code == "cannot_translate"
        return
    with pytest.raises(PenstockError) as caught:
        cross(source, target, raw)
    assert caught.value.code == "cannot_translate"


@every_pair
def test_a_tool_that_the_provider_would_have_to_run_is_refused(source, target):
    with pytest.raises(PenstockError) as caught:
        cross(source, target, json.dumps(_with(source, TOOLS[source])).encode())
    assert caught.value.code == "cannot_translate" and caught.value.param == "tools"


@every_pair
@settings(max_examples=8, **QUICK)
@given(st.data())
def test_no_request_is_too_odd_to_be_answered(source, target, data):
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
    odd = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2), max_leaves=4
    )
    try:
        found = json.loads(natively(source, data.draw(asks(source))))
    except PenstockError:
        reject()
    names = st.sampled_from(sorted(found))
    for name in data.draw(st.lists(names, min_size=1, max_size=2)):
        found[name] = data.draw(odd)
    try:
        cross(source, target, json.dumps(found).encode())
    except PenstockError as error:
        said = error.code
    else:
        said = ""
    assert said in ("", "invalid_json", "invalid_request", "cannot_translate")
