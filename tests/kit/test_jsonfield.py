from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.jsonfield import Field

MODEL = Field("model")
OPTIONS = Field("stream_options")
BLANK = st.text(alphabet=" \t\r\n", max_size=2)
# Printable ASCII, what JSON escapes, and beyond; words that look like the field.
TEXT = st.one_of(st.text(max_size=12), st.sampled_from(["model", 'say "model": "x"', '"model":"a"', "\\", '\\"model', "a", "b"]))
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-(10**6), 10**6), TEXT)


@st.composite
def spelled(draw, text: str) -> str:
    """`text` as a JSON string, some characters escaped that need not be."""
    escape = draw(st.booleans())
    if not escape:
        return json.dumps(text, ensure_ascii=draw(st.booleans()))
    upper = draw(st.booleans())
    digits = [f"\\u{ord(char):04X}" if upper else f"\\u{ord(char):04x}" for char in text if ord(char) < 0x80]
    kept = draw(st.lists(st.booleans(), min_size=len(digits), max_size=len(digits)))
    plain = [json.dumps(char)[1:-1] for char in text if ord(char) < 0x80]
    return '"' + "".join(long if use else short for use, long, short in zip(kept, digits, plain, strict=True)) + '"'


@st.composite
def value(draw, depth: int = 2) -> str:
    """The text of any JSON value, with blanks, nested objects that have a "model" of their own among them."""
    kind = draw(st.sampled_from(["scalar", "scalar", "object", "array"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALAR.map(json.dumps))
    items = draw(st.lists(value(depth - 1), max_size=3))
    if kind == "array":
        return "[" + ",".join(draw(BLANK) + item + draw(BLANK) for item in items) + "]"
    return draw(members([(draw(st.one_of(st.just("model"), TEXT)), item) for item in items]))


@st.composite
def members(draw, pairs: list[tuple[str, str]]) -> str:
    """The text of an object."""
    texts = [draw(BLANK) + draw(spelled(key)) + draw(BLANK) + ":" + draw(BLANK) + item + draw(BLANK) for key, item in pairs]
    return "{" + ",".join(texts) + draw(BLANK) + "}"


@st.composite
def bodies(draw) -> bytes:
    """An object with none, one or several fields called "model"."""
    pairs = draw(st.lists(st.tuples(st.one_of(st.just("model"), TEXT), value()), max_size=5))
    return (draw(BLANK) + draw(members(pairs)) + draw(BLANK)).encode("utf-8", "replace")


def loads(body: bytes) -> dict:
    return json.loads(body)


@settings(deadline=None)
@given(bodies(), st.one_of(value(), TEXT.map(json.dumps)))
def test_exactly_the_field_that_counts_is_replaced(body, new):
    before = loads(body)
    new_bytes = new.encode("utf-8", "replace")
    if MODEL.raw(body) == new_bytes.strip():
        return
    after = MODEL.replaced(body, new_bytes.strip())
    assert loads(after) == before | {"model": json.loads(new_bytes)}
    if "model" not in before:
        assert after.replace(b'"model":' + new_bytes.strip(), b"", 1).replace(b"{,", b"{", 1) == body
        return
    old = MODEL.raw(body)
    places = [at for at in range(len(body)) if body.startswith(old, at) and body[:at] + new_bytes.strip() + body[at + len(old) :] == after]
    assert places, "more than the value has changed"


@settings(deadline=None)
@given(bodies())
def test_raw_is_the_text_of_the_value_that_counts(body):
    raw = MODEL.raw(body)
    assert (None if raw is None else json.loads(raw)) == loads(body).get("model")
    assert (raw is None) == ("model" not in loads(body))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a"}', b'{"model":"Z"}'),
        (b' {\n "model" :\t"a" , "x":1}', b' {\n "model" :\t"Z" , "x":1}'),
        (b'{"model":"a","model":"b"}', b'{"model":"a","model":"Z"}'),
        (b'{"model":"a","model":"a"}', b'{"model":"a","model":"Z"}'),
        (b'{"tools":[{"model":"a"}],"model":"a"}', b'{"tools":[{"model":"a"}],"model":"Z"}'),
        (b'{"model":"a","tools":[{"model":"a"}]}', b'{"model":"Z","tools":[{"model":"a"}]}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"Z"}'),
        (b'{"\\u006dodel":"a"}', b'{"\\u006dodel":"Z"}'),
        (b'{"model":"b","\\u006D\\u006f\\u0064\\u0065\\u006C":"a"}', b'{"model":"b","\\u006D\\u006f\\u0064\\u0065\\u006C":"Z"}'),
        (b'{"say \\"model":"a","model":"a"}', b'{"say \\"model":"a","model":"Z"}'),
        (b'{"model":"\\u0061\\n\\""}', b'{"model":"Z"}'),
        (b'{"model":1,"x":{"model":12}}', b'{"model":"Z","x":{"model":12}}'),
        (b'{"model":{"model":{"model":1}}}', b'{"model":"Z"}'),
        (b"{}", b'{"model":"Z"}'),
        (b'{ "x":{"model":"a"}}', b'{"model":"Z", "x":{"model":"a"}}'),
    ],
)
def test_examples(body, expected):
    assert MODEL.replaced(body, b'"Z"') == expected


def test_names_with_underscores():
    assert OPTIONS.replaced(b'{"stream\\u005foptions":{"a":1}}', b"{}") == b'{"stream\\u005foptions":{}}'
    assert OPTIONS.added(b' {"stream":true}', b"{}") == b' {"stream_options":{},"stream":true}'


def test_thousands_of_look_alikes_are_searched_by_halving():
    body = b'{"x":[' + b",".join([b'{"model":"a"}'] * 20_000) + b'],"model":"a","y":[' + b",".join([b'{"model":"a"}'] * 20_000) + b"]}"
    after = MODEL.replaced(body, b'"b"')
    assert len(after) == len(body)
    assert loads(after)["model"] == "b"
    assert after.count(b'"b"') == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":', b"{", b"nothing", b'"model":"a"'])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(msgspec.DecodeError):
        MODEL.replaced(body, b'"b"')
