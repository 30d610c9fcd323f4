from __future__ import annotations

import json
import struct
from base64 import b64encode
from typing import Any

import pytest

from penstock.upstream.bridges.conversation import Audio, Document, Image
from penstock.upstream.bridges.messages import counting
from penstock.upstream.bridges.messages.asks_in import asked_of

HELLO = [{"role": "user", "content": "Hello, Claude"}]


def count(**fields: Any) -> int:
    return counting.count(asked_of({"model": "m", "messages": HELLO} | fields, counting=True))


def png(width: int, height: int) -> str:
    return b64encode(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)).decode()


def picture(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def test_anthropics_own_example():
    assert 12 <= count(system="You are a scientist") <= 18  # documented: 14


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 200),
        ('{"type": "object", "properties": {"city": {"type": "string"}}}' * 20, 400),
        ("    if x[0] == 1:\n        return foo(x)\n" * 20, 220),
        ("敏捷的棕色狐狸跳过了懒狗。" * 20, 260),
        ("Съешь ещё этих мягких французских булок. " * 20, 300),
        ("안녕하세요 세계" * 20, 150),
        ("🦊" * 20, 20),
    ],
)
def test_texts_of_all_kinds(text, tokens):
    assert tokens * 0.8 <= counting.of_text(text) <= tokens * 1.25


def test_everything_counts():
    alone = count()
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"path": "x" * 300}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "word " * 80}, picture(png(750, 750))]}
    assert count(messages=[*HELLO, {"role": "assistant", "content": [call]}]) > alone + 90
    assert count(messages=[*HELLO, {"role": "user", "content": [result]}]) > alone + 80 + 700
    assert count(system="word " * 80) > alone + 80
    tool = {"name": "get_weather", "description": "word " * 40, "input_schema": {"type": "object", "properties": {"a" * 300: {}}}}
    assert count(tools=[tool]) > alone + 40 + 100
    assert count(tools=[{"type": "web_search_20250305", "name": "web_search"}]) > alone
    schema = {"type": "json_schema", "schema": {"a" * 300: 1}}
    assert count(output_config={"format": schema}) > alone + 90


@pytest.mark.parametrize(
    ("data", "tokens"),
    [
        (png(200, 200), 53),
        (png(1000, 1000), 1333),
        (png(10_000, 10_000), 1600),
        (png(3136, 1568), 1600),
        (png(3136, 100), 104.5),
        ("", 1600),
        ("aa", 1600),
    ],
)
def test_pictures_count_by_their_size(data, tokens):
    assert counting.of_picture(Image("image/png", data)) == pytest.approx(tokens, rel=0.02)


def test_documents_count_by_the_page():
    pdf = b64encode(b"%PDF-1.4 /Type /Pages /Type /Page\n /Type/Page /Type /Page>>").decode()
    base = {"type": "base64", "media_type": "application/pdf"}
    assert count(messages=[{"role": "user", "content": [{"type": "document", "source": base | {"data": pdf}}]}]) == 3 * counting.PAGE + 3
    packed = b64encode(b"%PDF-1.7" + b"\0" * 600_000).decode()
    assert counting._document(Document("application/pdf", packed)) == 10 * counting.PAGE
    assert counting._document(Document("application/pdf", "é")) == counting.PAGE
    assert counting._document(Document(url="u")) == counting.PAGE
    assert counting._document(Document(text="word " * 40)) == pytest.approx(50)
    assert counting._document(Document("text/plain", "a" * 160)) == pytest.approx(30)


def test_sound_counts_by_its_size():
    assert counting._part(Audio("a" * 4000, "wav")) == 3


def test_a_large_request_takes_no_time_to_speak_of():
    assert count(messages=[{"role": "user", "content": json.dumps({"a": "word " * 10}) * 20_000}]) > 250_000
