"""What the platform's wires have in common."""

from __future__ import annotations

import json

import pytest

from penstock.upstream.dialects import platform
from penstock.upstream.usage import Usage
from penstock.upstream.wires import WIRES, platform_wire, wire_for
from penstock.upstream.wires.wire import Ask, Verdict

NAMES = ("flux", "nd", "google_search", "serper", "azure_speech", "azure_voices")


@pytest.mark.parametrize("name", NAMES)
def test_they_speak_in_the_envelope_and_take_forms(name):
    wire = WIRES[name]
    assert wire.dialect is platform.DIALECT
    assert wire.accepts_forms
    assert wire.forms_as_json
    assert json.loads(wire.from_form({"q": "grüße", "num": "3"})) == {"q": "grüße", "num": "3"}
    assert wire.prepare(b"{}", Ask(model="a"), "b") == b"{}"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/api/v1/ai/draw/flux/dev", "flux"),
        ("POST", "/api/v1/ai/draw/flux/pro-ultra-11", "flux"),
        ("POST", "/api/v1/ai/draw/nd/imagine", "nd"),
        ("GET", "/api/v1/openapi/search/google-search/v1", "google_search"),
        ("POST", "/api/v1/openapi/search/serper/v1", "serper"),
        ("POST", "/api/v1/openapi/azure/tts/v1", "azure_speech"),
        ("GET", "/api/v1/openapi/azure/voices/v1", "azure_voices"),
        ("POST", "/api/v1/openapi/azure/voices/v1", "azure_voices"),
        ("OPTIONS", "/api/v1/openapi/azure/tts/v1", "azure_speech"),
        ("GET", "/api/v1/openapi/azure/tts/v1", None),
        ("POST", "/api/v1/openapi/search/google-search/v1", None),
        ("POST", "/api/v1/ai/draw/flux", None),
        ("POST", "/v1/chat/completions", None),
    ],
)
def test_paths(method, path, name):
    wire = platform_wire(method, path)
    assert (wire.name if wire is not None else None) == name


def test_each_path_of_flux_is_its_own_model():
    assert wire_for("POST", "/api/v1/ai/draw/flux/dev") is not wire_for("POST", "/api/v1/ai/draw/flux/pro")
    assert platform_wire("POST", "/api/v1/ai/draw/flux/schnell") is WIRES["flux"]


def test_what_is_known_beforehand_is_what_counts(ask):
    wire = WIRES["azure_speech"]
    known = ask(quantity=Usage(characters=10), stream=False)
    assert wire.read(b"\xff\xf3sound", known) == (Usage(characters=10), False)
    assert wire.read(b"", known) == (Usage(calls=0), False)
    assert wire.read(b"<html>oops</html>\n", known) == (Usage(calls=0), False)
    assert wire.read(b"\xff\xf3sound", ask()) == (Usage(), False)
    meter = wire.meter(known)
    assert meter.event(b"data: x") is Verdict.PASS
    assert meter.usage() == (Usage(characters=10), True)


@pytest.mark.parametrize("name", ["google_search", "serper", "azure_voices"])
def test_a_call_is_one(name):
    wire = WIRES[name]
    asked = wire.peek(b"")
    assert (asked.model, asked.output_cap, asked.quantity) == (wire.model, 0, Usage())
    assert wire.read(b'{"organic":[]}\n', asked) == (Usage(), False)
    assert wire.read(b"[]", asked) == (Usage(), False)
    assert wire.read(b"<html></html>", asked) == (Usage(calls=0), False)
    assert wire.read(b"", asked) == (Usage(calls=0), False)
