"""Nothing that a caller writes becomes markup, unless it is SSML of their own, which is bounded."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import ssml
from penstock.upstream.bridges.ssml import Manner

VOICE = "en-US-AvaMultilingualNeural"
SPEAK = "{http://www.w3.org/2001/10/synthesis}"


def parsed(document: bytes) -> ET.Element:
    return ET.fromstring(document)  # what we have written ourselves


def test_a_whole_document():
    manner = ssml.check_manner(Manner("+10%", "-2st", "loud", "cheerful"))
    root = parsed(ssml.written("Tom & Jerry <3", VOICE, manner))
    assert root.tag == SPEAK + "speak"
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "en-US"
    [voice] = root
    [style] = voice
    [prosody] = style
    assert (voice.get("name"), style.get("style")) == (VOICE, "cheerful")
    assert prosody.attrib == {"rate": "+10%", "pitch": "-2st", "volume": "loud"}
    assert prosody.text == "Tom & Jerry <3"


@given(st.text())
def test_any_text_is_text(text):
    try:
        checked = ssml.check_text(text, "text")
    except PenstockError:
        return
    [voice] = parsed(ssml.written(checked, VOICE, Manner()))
    assert len(voice) == 0
    assert (voice.text or "").replace("\r\n", "\n").replace("\r", "\n") == checked.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("text", ["", "  \n", "\x00\x01", "x" * 20_001])
def test_texts_that_cannot_be_spoken(text):
    with pytest.raises(PenstockError) as caught:
        ssml.check_text(text, "input")
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    "voice", [VOICE, "zh-CN-YunxiNeural", "zh-CN-liaoning-XiaobeiNeural", "sr-Latn-RS-NicholasNeural", "en-US-Ava:DragonHDLatestNeural"]
)
def test_voices(voice):
    assert ssml.check_voice(voice) == voice


@pytest.mark.parametrize("voice", ["", "alloy", "en-US", 'en-US-Ava"><evil/>', "en-US-Ava Neural", "en-US-Ava\n", "x" * 300, "../voices"])
def test_what_is_no_voice(voice):
    with pytest.raises(PenstockError) as caught:
        ssml.check_voice(voice)
    assert caught.value.param == "voice"


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("rate", ["slow", "+20%", "-50%", "1.2", "120%"], ['fast"', "1'", "quick", "+20% ", "12345%", "٣%"]),
        ("pitch", ["high", "+50Hz", "-2st", "5%"], ["+50hz", "1", '"/>', "high low"]),
        ("volume", ["soft", "+10", "80", "-5%"], ["soft\n", "louder"]),
        ("style", ["cheerful", "newscast-casual"], ["1", 'a"b', "a b", "x" * 65]),
    ],
)
def test_manners(field, good, bad):
    for value in ["", *good]:
        assert ssml.check_manner(Manner(**{field: value}))
    for value in bad:
        with pytest.raises(PenstockError) as caught:
            ssml.check_manner(Manner(**{field: value}))
        assert (caught.value.code, caught.value.param) == ("invalid_request", field)


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("mp3", "audio-24khz-96kbitrate-mono-mp3"),
        ("WAV", "riff-24khz-16bit-mono-pcm"),
        ("ogg-48khz-16bit-mono-opus", "ogg-48khz-16bit-mono-opus"),
    ],
)
def test_formats(given_name, name):
    assert ssml.check_format(name) == ssml.check_format(given_name) == name
    assert ssml.lines(name) == f"content-type: application/ssml+xml\r\nx-microsoft-outputformat: {name}\r\n".encode()


@pytest.mark.parametrize("name", ["", "flac", "a-b\r\nevil: 1", "A-B", "x-" * 40 + "x"])
def test_what_is_no_format(name):
    with pytest.raises(PenstockError) as caught:
        ssml.check_format(name)
    assert caught.value.param == "output_format"


@pytest.mark.parametrize(
    "own",
    [
        "<speak version='1.0'><voice name='a'>Hi</voice></speak>",
        "<?xml version='1.0'?>\n<speak>Hi</speak>\n",
        "<speak><![CDATA[ <b> ]]></speak>",
    ],
)
def test_ssml_of_ones_own(own):
    assert ssml.check_ssml(own) == own.strip().encode()


@pytest.mark.parametrize(
    "own",
    [
        "Hi",
        "<speaker>Hi</speaker>",
        "<speak>Hi",
        "<!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>",
        "<?xml version='1.0'?><!doctype x><speak>Hi</speak>",
        "<speak><!entity a 'b'>Hi</speak>",
        "<speak>" + "ä" * 40_000 + "</speak>",
    ],
)
def test_what_is_no_ssml(own):
    with pytest.raises(PenstockError) as caught:
        ssml.check_ssml(own)
    assert caught.value.param == "ssml"
