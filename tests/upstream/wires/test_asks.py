from __future__ import annotations

import base64
import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.wires import asks


class Fields(msgspec.Struct):
    model: asks.Scalar = None
    n: asks.Scalar = None


DECODER = msgspec.json.Decoder(Fields)


def refusal(body: bytes) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        asks.read_fields(DECODER, body)
    assert caught.value.code == "invalid_json"
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"model":"a"', "ends too early, at byte 12"),
        (b'{"model":"a', "ends too early, at byte 11"),
        (b'{"model":"a"} x', "trailing characters at byte 15"),
        (b'{"model":"a",}', "trailing comma in object at byte 13"),
        (b'{"model":nope}', "invalid character at byte"),
        (b'{"x":01}', "at byte 6"),
        (b'{"x":NaN}', "at byte 5"),
        (b'{"x":"\x01"}', "at byte 6"),
        (b'{"x":"\\q"}', "at byte 7"),
        (b'{"x":"\xff"}', "not UTF-8: byte 6"),
        (b'{"x":"\xc3', "not UTF-8: byte 6"),
        (b'{"x":"\xed\xa0\x80"}', "not UTF-8: byte 6"),
        ('{"x":"é"'.encode() + b'"\x80"', "not UTF-8: byte 10"),
        (b'{"x":"\\ud800"}', "half of a surrogate pair at byte 6"),
        (b'{"x":"ab\\udc00 cdefghij"}', "half of a surrogate pair at byte 8"),
        (b'{"x":"\\ud83d\\u0041 cdefghij"}', "half of a surrogate pair at byte 6"),
        (b'{"x":"\\ud83d\\ude00",nope}', "object keys must be strings at byte"),
        (b'{"x":"\\\\ud800",nope}', "object keys must be strings at byte"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[1]", "must be a JSON object, not an array"),
        (b"null", "must be a JSON object, not null"),
        (b'"text"', "must be a JSON object, not a string"),
        (b"12", "must be a JSON object, not a number"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"x":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_and_where(body, words):
    assert words in refusal(body).message


@pytest.mark.parametrize(("value", "words"), [(b"[1]", "an array"), (b'{"a":1}', "an object"), (b"1e999", "out of range")])
def test_a_field_of_the_wrong_kind_is_named(value, words):
    error = refusal(b'{"model":"a","n":' + value + b"}")
    assert error.param == "n"
    assert words in error.message


def test_a_byte_that_is_not_utf8_is_found_in_any_piece_of_a_large_body():
    body = b'{"x":"' + "é".encode() * 100_000
    assert f"byte {len(body)} " in refusal(body + b'\xff"}').message


def test_what_is_not_looked_at_may_be_anything_valid():
    body = b'{"a":' + b"9" * 5000 + b',"b":1e999,"c":[[[[]]]],"\\u006dodel":"m","d":"\\ud83d\\ude00","n":1,"n":2}'
    fields = asks.read_fields(DECODER, body)
    assert (fields.model, fields.n) == ("m", 2)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_it(body):
    try:
        asks.read_fields(DECODER, body)
    except PenstockError as error:
        assert error.code == "invalid_json"  # noqa: PT017  either way is right


@pytest.mark.parametrize("value", [None, "", "  "])
def test_no_model(value):
    with pytest.raises(PenstockError) as caught:
        asks.model_of(value)
    assert (caught.value.code, caught.value.param) == ("missing_model", "model")
    assert asks.optional_model(value) is None


@pytest.mark.parametrize("value", [5, 1.5, True, False, "a\x00b", "a\nb", "\ud800", "x" * 513])
def test_no_possible_model(value):
    with pytest.raises(PenstockError) as caught:
        asks.optional_model(value)
    assert (caught.value.code, caught.value.param) == ("invalid_json", "model")


def test_models_of_all_kinds():
    for model in ("gpt-4o", "@cf/meta/llama-3", "模型", "with blank", "x" * 512):
        assert asks.model_of(model) == model


def test_flags_are_booleans():
    assert asks.flag(True, "stream") is True
    assert asks.flag(False, "stream") is asks.flag(None, "stream") is False
    for value in (0, 1, "true", "false", "", 1.0):
        with pytest.raises(PenstockError) as caught:
            asks.flag(value, "stream")
        assert (caught.value.code, caught.value.param) == ("invalid_json", "stream")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (1, 1),
        (100, 100),
        (0, None),
        (-5, None),
        (10**30, 10**9),
        (1000.0, 1000),
        (10.9, 10),
        (0.5, None),
        (-1.5, None),
        (1e300, 10**9),
        ("100", None),
        ("inf", None),
        (True, None),
    ],
)
def test_caps(value, expected):
    assert asks.cap(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(None, 1), (1, 1), (3, 3), (0, 1), (-1, 1), (10**9, 128), (2.0, 1), ("2", 1), (True, 1)])
def test_choices_are_bounded(value, expected):
    assert asks.choices(value) == expected


def test_facts_of_forms():
    assert asks.form_flag({"stream": "True "}, "stream") and asks.form_flag({"stream": "1"}, "stream")
    assert not asks.form_flag({"stream": "false"}, "stream") and not asks.form_flag({}, "stream")
    assert [asks.form_choices({"n": text}) for text in ("2", "0", "x", "9" * 5000, "²", "-1")] == [2, 1, 1, 1, 1, 1]
    assert asks.form_size({"prompt": "x" * 100}, 100 + 64_000) == 1100
    assert asks.form_size({"prompt": "x" * 100}, 0) == 100


def test_text_counts_in_full_and_base64_as_a_64th():
    prose = json.dumps({"x": ["What is said here, at length, is prose; and code: if (a == b) { return c; }\n"] * 4000}).encode()
    assert asks.text_size(prose) == len(prose)
    wide = json.dumps({"x": "这是一个很长的没有空格的句子" * 8000}, ensure_ascii=False).encode()
    assert asks.text_size(wide) == len(wide)
    image = base64.b64encode(random.Random(1).randbytes(600_000))
    body = b'{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,' + image + b'"}}]}],"model":"m"}'
    assert len(image) / 64 < asks.text_size(body) < len(image) / 20
    half = body[:-1] + b',"text":"' + b"And there is prose. " * 40_000 + b'"}'
    assert abs(asks.text_size(half) - 800_000) < 40_000
