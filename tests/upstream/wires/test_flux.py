from __future__ import annotations

import json

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires import wire_for
from penstock.upstream.wires.flux import MODELS, WIRE, plain_name


def peek(page, **fields):
    return wire_for("POST", f"/api/v1/ai/draw/flux/{page}").peek(json.dumps(fields).encode())


@pytest.mark.parametrize(("path", "model"), MODELS.items())
def test_the_path_says_which_model(path, model):
    ask = wire_for("POST", path).peek(b'{"prompt":"a cat"}')
    assert (ask.model, ask.quantity, ask.output_cap, ask.stream) == (model, Usage(images=1), 0, False)


@pytest.mark.parametrize(("page", "name"), [("pro-11", "flux-1.1-pro"), ("pro-11", "flux-11-pro"), ("pro-ultra-11", "flux-1.1-pro-ultra")])
def test_other_names_of_it_are_taken(page, name):
    assert peek(page, model=name).model == MODELS[f"/api/v1/ai/draw/flux/{page}"]


def test_another_model_is_refused():
    with pytest.raises(PenstockError) as caught:
        peek("schnell", model="flux-pro")
    assert (caught.value.code, caught.value.param) == ("invalid_request", "model")


@pytest.mark.parametrize(
    ("page", "given", "images"),
    [
        ("schnell", 3, 3),
        ("dev", "4", 4),
        ("dev", 9, 4),
        ("dev", "x", 1),
        ("dev", -1, 1),
        ("dev", True, 1),
        ("pro", 4, 1),
        ("pro-ultra-11", 4, 1),
    ],
)
def test_how_many_images(page, given, images):
    assert peek(page, num_outputs=given).quantity == Usage(images=images)


def test_a_picture_that_is_not_waited_for_is_free():
    assert WIRE.meter(WIRE.peek(b"{}")).usage() == (Usage(calls=0), False)
    assert WIRE.read(b'{"statusCode":200}', WIRE.peek(b'{"num_outputs":2}')) == (Usage(images=2), False)


def test_plain_names():
    assert plain_name("black-forest-labs/flux-1.1-pro") == "flux-11-pro"
    assert plain_name("acme/other") == "acme/other"


def test_a_body_that_is_none():
    with pytest.raises(PenstockError):
        wire_for("POST", "/api/v1/ai/draw/flux/dev").peek(b"prompt=a")
