"""The list of models in both shapes."""

from __future__ import annotations

import openai
import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from penstock.upstream.demo.manners import manners_of
from penstock.upstream.demo.models import MODELS


def test_the_openai_list(client, http):
    assert [model.id for model in client.models.list()] == list(MODELS)
    for value in http.get("/v1/models").json()["data"]:
        Model.model_validate(value)


def test_the_anthropic_list(claude, http):
    assert [model.id for model in claude.models.list()] == list(MODELS)
    for value in http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()["data"]:
        ModelInfo.model_validate(value)


def test_one_model_of_any_name(client, claude):
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
    assert client.models.retrieve("vendor/a-model").id == "vendor/a-model"
    assert claude.models.retrieve("claude-demo").display_name == MODELS["claude-demo"]


def test_a_name_that_means_nothing_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("demo-nonsense")
    assert missing.value.code == "model_not_found"


def test_every_listed_name_is_understood():
    for name in MODELS:
        manners_of(name)
