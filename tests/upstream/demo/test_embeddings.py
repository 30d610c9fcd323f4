"""Embeddings, as the official SDK sees them."""

from __future__ import annotations

import math

import openai
import pytest
from openai.types import CreateEmbeddingResponse


def test_floats_and_base64_are_the_same_unit_vector(client):
    floats = client.embeddings.create(model="demo", input="hello", encoding_format="float").data[0].embedding
    packed = client.embeddings.create(model="demo", input="hello").data[0].embedding
    assert len(floats) == 1536
    assert floats == pytest.approx(packed)
    assert math.hypot(*floats) == pytest.approx(1.0, abs=1e-4)


def test_different_inputs_have_different_vectors_in_order(client):
    data = client.embeddings.create(model="demo", input=["a", "b", "a"], dimensions=8).data
    assert [one.index for one in data] == [0, 1, 2]
    assert data[0].embedding == data[2].embedding != data[1].embedding
    assert len(data[0].embedding) == 8


def test_the_large_model_has_more_dimensions(client):
    assert len(client.embeddings.create(model="text-embedding-3-large", input="a").data[0].embedding) == 3072


@pytest.mark.parametrize(("given", "tokens"), [("hello there", 3), (["hello", "there"], 4), ([1, 2, 3], 3), ([[1, 2], [3]], 3)])
def test_inputs_of_every_kind_are_counted(client, given, tokens):
    usage = client.embeddings.create(model="demo", input=given).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (tokens, tokens)


def test_it_validates_strictly(http):
    CreateEmbeddingResponse.model_validate(http.post("/v1/embeddings", json={"model": "demo", "input": "a"}).json())


def test_no_usage(http):
    assert "usage" not in http.post("/v1/embeddings", json={"model": "demo-nousage", "input": "a"}).json()


@pytest.mark.parametrize("wrong", [{"input": []}, {"input": ["a"] * 2049}, {"dimensions": 9000}, {"dimensions": -1}, {"input": {}}])
def test_what_is_wrong_is_said(client, wrong):
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(**{"model": "demo", "input": "a"} | wrong)
