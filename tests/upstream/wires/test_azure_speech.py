from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.azure_speech import WIRE, spoken


def body(**fields):
    return json.dumps(fields).encode()


def test_characters_of_text():
    ask = WIRE.peek(body(text="Grüße 你好 😀", voice="zh-CN-YunxiNeural"))
    assert (ask.model, ask.quantity, ask.output_cap) == ("azure-tts", Usage(characters=10), 0)
    for odd in ({}, {"text": None}, {"text": 5}, {"ssml": ""}):
        assert WIRE.peek(body(**odd)).quantity == Usage()


@pytest.mark.parametrize(
    ("ssml", "characters"),
    [
        ("<speak><voice name='a'>Hello</voice></speak>", 5),
        ('<speak><voice name="a"><prosody rate="+10%">Tom &amp; Jerry</prosody></voice></speak>', 11),
        ("<speak><!-- nothing --><voice name='a'>Hi</voice></speak>", 2),
        ("<speak><voice name='a'><![CDATA[a <b> c]]></voice></speak>", 7),
        ("<speak><voice name='a'><sub alias='World Wide Web Consortium'>W3C</sub></voice></speak>", 28),
        ("<speak></speak>", 0),
        ("not markup", 10),
    ],
)
def test_characters_of_ssml(ssml, characters):
    assert spoken(ssml) == characters
    assert WIRE.peek(body(ssml=ssml, text="ignored")).quantity == Usage(characters=characters)


def test_text_that_looks_like_markup_is_not_free():
    for begin, end in (("<", ">"), ("<!--", "-->")):
        hidden = f"<![CDATA[{begin}{'word ' * 100}{end}]]>"
        assert spoken(f"<speak><voice name='a'>{hidden}</voice></speak>") >= 500


@given(st.text())
def test_any_text(text):
    assert 0 <= spoken(text) <= 2 * len(text)


def test_a_body_that_is_none():
    with pytest.raises(PenstockError):
        WIRE.peek(b"[")
