"""Wires whose model and method are in the URL."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.wires import WIRES, addressed, wire_for
from penstock.upstream.wires.wire import Ask

GEMINI = WIRES["gemini"]


@pytest.mark.parametrize(
    ("path", "wire", "model"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini", "gemini-2.5-flash"),
        ("/v1/models/gemini-2.5-flash:streamGenerateContent", "gemini", "gemini-2.5-flash"),
        ("/v1alpha/models/google/gemini%20x:generateContent", "gemini", "google/gemini x"),
        ("/v1beta/tunedModels/mine-1:generateContent", "gemini", "tunedModels/mine-1"),
        ("/v1beta/models/llama3:8b:generateContent", "gemini", "llama3:8b"),
        ("/v1beta/models/m:countTokens", "gemini_count", "m"),
        ("/v1beta/models/m:embedContent", "gemini_embed", "m"),
        ("/v1beta/models/m:batchEmbedContents", "gemini_embed", "m"),
    ],
)
def test_where_they_are(path, wire, model):
    assert wire_for("POST", path) is WIRES[wire]
    assert WIRES[wire].peek_at(path, b"", b"{}").model == model
    assert addressed.model_at(path) == model


@pytest.mark.parametrize(
    "path",
    ["/v1beta/models/m", "/v1beta/models/:generateContent", "/v1beta/models/m:generateContent/x", "/v1beta/x/m:generateContent",
     "/x:generateContent", "/v1beta/models/m:predict", "/v1beta/models/m:GENERATECONTENT", "/v1beta/models:generateContent",
     "/chat/v1beta/models/m:generateContent"],
)  # fmt: skip
def test_where_they_are_not(path):
    assert wire_for("POST", path).name == "passthrough"
    assert not GEMINI.claims(path)


@given(
    st.text("aZ09-._/: é%", min_size=1, max_size=20).filter(
        lambda name: name.strip() and not name.startswith(("models/", "tunedModels/")) and {".", ".."}.isdisjoint(name.split("/"))
    )
)
def test_a_model_is_found_where_it_was_put(model):
    path = GEMINI.renamed_path("/v1/models/old:generateContent", model)
    assert path.startswith("/v1/models/")
    assert path.isascii()
    assert " " not in path
    assert addressed.model_at(path) == model


def test_renaming_keeps_the_rest():
    assert GEMINI.renamed_path("/v1alpha/tunedModels/x:streamGenerateContent", "models/y") == "/v1alpha/models/y:streamGenerateContent"
    assert GEMINI.renamed_path("/v1beta/models/x:generateContent", "tunedModels/y") == "/v1beta/tunedModels/y:generateContent"
    assert GEMINI.renamed_path("/v1/chat/completions", "y") == "/v1/chat/completions"


def test_bodies_that_repeat_the_model():
    ask = Ask(model="m")
    body = b'{"model":"models/m", "contents":[{"role":"model"}]}'
    assert GEMINI.prepare(body, ask, "n") == body.replace(b"models/m", b"models/n")
    plain = b'{"contents":[{"role":"model"}]}'
    assert GEMINI.prepare(plain, ask, "n") is plain
    same = b'{"model":"models/n"}'
    assert GEMINI.prepare(same, ask, "n") is same
    assert addressed.resource("tunedModels/x") == "tunedModels/x"


@pytest.mark.parametrize("inner", [[{"model": "m", "a": 1}, {"b": 2}], {"model": "m"}])
def test_models_within(inner):
    renamed = json.loads(addressed.renamed_within(json.dumps({"x": 1, "requests": inner}).encode(), "requests", "n"))
    assert renamed == {"x": 1, "requests": json.loads(json.dumps(inner).replace('"m"', '"models/n"'))}


@pytest.mark.parametrize("body", [b'{"requests":1}', b'{"requests":[1]}', b"{}"])
def test_nothing_within(body):
    assert addressed.renamed_within(body, "requests", "n") == body


@pytest.mark.parametrize(
    ("path", "code"), [("/v1beta/models/%20:generateContent", "missing_model"), ("/v1beta/models/%01:generateContent", "invalid_json")]
)
def test_models_that_are_none(path, code):
    with pytest.raises(PenstockError) as caught:
        GEMINI.peek_at(path, b"", b"{}")
    assert caught.value.code == code


@pytest.mark.parametrize("model", [".", "..", "a/../b", "models/../../files", "tunedModels/.."])
def test_a_name_that_leads_elsewhere_is_refused(model):
    with pytest.raises(PenstockError) as refused:
        addressed.path_at("/v1beta", model, "generateContent")
    assert refused.value.code == "model_not_found"
