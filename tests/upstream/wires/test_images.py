from __future__ import annotations

import json

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.images import WIRE
from penstock.upstream.wires.wire import Ask, Verdict

USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 4160,
    "total_tokens": 4210,
}
SEEN = Usage(input_tokens=10, input_image_tokens=40, output_image_tokens=4160, images=1)


def test_the_facts_of_a_request():
    body = b'{"model":"gpt-image-2","prompt":"a cat","n":3,"stream":true,"partial_images":2}'
    assert WIRE.peek(body) == Ask(model="gpt-image-2", stream=True, input_size=len(body), quantity=Usage(images=3))
    assert WIRE.peek(b'{"prompt":"a cat"}') == Ask(input_size=18, quantity=Usage(images=1))
    assert WIRE.peek(b'{"prompt":"a cat","n":100000}').quantity == Usage(images=128)
    with pytest.raises(PenstockError):
        WIRE.peek(b'{"prompt":"a cat","model":5}')


def test_the_facts_of_a_form():
    ask = WIRE.peek_form({"model": "gpt-image-2", "prompt": "a dog", "n": "2", "stream": "true"}, 640_000)
    assert (ask.model, ask.stream, ask.quantity) == ("gpt-image-2", True, Usage(images=2))
    assert 10_000 < ask.input_size < 10_100
    assert WIRE.peek_form({}, 0) == Ask(quantity=Usage(images=1))


def test_a_form_is_renamed_where_it_says_the_model():
    body = b"prompt=a+model%3Dx&model=old%2Fone&n=1&mo%64el=x"
    ask = WIRE.peek_form({"model": "old/one"}, len(body))
    assert WIRE.prepare(body, ask, "new one&more") == b"prompt=a+model%3Dx&model=new+one%26more&n=1&mo%64el=new+one%26more"
    assert WIRE.prepare(b' {"model":"old/one"}', ask, "new") == b' {"model":"new"}'
    assert WIRE.prepare(b"", ask, "new") == b""


def test_plain_answers_with_tokens(ask):
    body = {"created": 1, "data": [{"b64_json": "A" * 90_000}, {"b64_json": "B" * 90_000}], "quality": "high", "usage": USAGE}
    text = json.dumps(body).encode()
    expected = Usage(input_tokens=10, input_image_tokens=40, output_image_tokens=4160, images=2)
    assert WIRE.read(text, ask(quantity=Usage(images=2))) == (expected, False)
    assert WIRE.read(text[-64 * 1024 :], ask(quantity=Usage(images=2))) == (expected, False)


def test_plain_answers_by_the_image(ask):
    text = json.dumps({"created": 1, "data": [{"url": "https://example.com/a.png", "revised_prompt": "x"}]}).encode()
    assert WIRE.read(text, ask(quantity=Usage(images=4))) == (Usage(images=1), False)
    assert WIRE.read(b"\x89PNG", ask(quantity=Usage(images=4))) == (Usage(images=4), True)
    assert WIRE.read(b"{}", ask()) == (Usage(images=1), True)
    assert WIRE.read(b'{"error":{"code":"content_policy_violation"}}', ask()) == (Usage(calls=0), False)


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_a_stream(stream, sse, ask, kind):
    partial = [{"type": f"{kind}.partial_image", "b64_json": "A" * 500, "partial_image_index": number} for number in range(3)]
    completed = {"type": f"{kind}.completed", "b64_json": "A" * 500, "usage": USAGE}
    for names in (True, False):
        data = sse(*partial, completed, names=names)
        result = stream(WIRE.meter(ask(quantity=Usage(images=1))), data)
        assert (result.usage, result.estimated) == (SEEN, False)
        assert (result.shown, result.held) == (sse(*partial, names=names), sse(completed, names=names))


def test_several_images_end_with_the_last_and_add_up(stream, sse, ask):
    completed = {"type": "image_generation.completed", "b64_json": "A", "usage": USAGE}
    result = stream(WIRE.meter(ask(quantity=Usage(images=3))), sse(completed, completed, completed, names=True))
    assert result.usage == Usage(input_tokens=30, input_image_tokens=120, output_image_tokens=12480, images=3)
    assert result.held.count(b"\n\n") == 1


def test_a_long_last_event_shown_in_two_parts(ask):
    event = (
        b"event: image_generation.completed\ndata: "
        + json.dumps({"type": "image_generation.completed", "b64_json": "A" * 200_000, "usage": USAGE}).encode()
    )
    meter = WIRE.meter(ask(quantity=Usage(images=1)))
    assert meter.event(event[:1024]) is Verdict.LAST
    meter.event(event[:1024] + event[-64 * 1024 :])
    assert meter.usage() == (SEEN, False)


def test_a_stream_that_breaks_off_or_fails(stream, sse, ask):
    quantity = Usage(images=2)
    broken = stream(WIRE.meter(ask(quantity=quantity)), sse({"type": "image_generation.partial_image", "b64_json": "A"}))
    assert (broken.usage, broken.estimated) == (Usage(images=2), True)
    failed = stream(WIRE.meter(ask(quantity=quantity)), sse({"type": "error", "error": {"message": "no"}}))
    assert (failed.usage, failed.estimated) == (Usage(calls=0), False)
