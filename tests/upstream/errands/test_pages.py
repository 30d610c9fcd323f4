"""What each Flux call takes: the platform's defaults and ranges."""

from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.errands.pages import PAGES
from penstock.upstream.wires.flux import MODELS

SHOWN = {
    "flux-schnell": {"num_outputs": 1, "output_format": "webp", "output_quality": 80, "disable_safety_checker": True},
    "flux-dev": {
        "prompt_strength": 0.8,
        "num_outputs": 1,
        "num_inference_steps": 50,
        "guidance": 3.5,
        "output_format": "webp",
        "output_quality": 80,
        "disable_safety_checker": True,
    },
    "flux-pro": {"steps": 25, "guidance": 3, "interval": 2, "safety_tolerance": 5, "output_format": "webp", "output_quality": 80},
    "flux-11-pro": {"safety_tolerance": 5, "output_format": "webp", "output_quality": 80, "prompt_upsampling": False},
    "flux-11-pro-ultra": {"image_prompt_strength": 0.1, "safety_tolerance": 5, "output_format": "jpg", "raw": False},
}


def read(model, **fields):
    dropped = Dropped()
    return PAGES[model].read({"prompt": "a cat"} | fields, dropped), list(dropped.names)


def test_there_is_a_page_for_every_path():
    assert sorted(PAGES) == sorted(MODELS.values())


@pytest.mark.parametrize("model", SHOWN)
def test_defaults(model):
    assert read(model) == ({"prompt": "a cat", "aspect_ratio": "1:1"} | SHOWN[model], [])
    assert read(model, seed="", aspect_ratio=None) == read(model)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("flux-schnell", {"num_outputs": 5}),
        ("flux-schnell", {"aspect_ratio": "3:4"}),
        ("flux-schnell", {"output_quality": 101}),
        ("flux-schnell", {"output_format": "gif"}),
        ("flux-schnell", {"seed": -1}),
        ("flux-schnell", {"disable_safety_checker": "maybe"}),
        ("flux-dev", {"prompt_strength": 1.1}),
        ("flux-dev", {"num_inference_steps": 51}),
        ("flux-dev", {"guidance": 10.5}),
        ("flux-dev", {"image": "ftp://example.com/a.png"}),
        ("flux-pro", {"steps": 0}),
        ("flux-pro", {"guidance": 1}),
        ("flux-pro", {"interval": 5}),
        ("flux-pro", {"aspect_ratio": "21:9"}),
        ("flux-pro", {"safety_tolerance": 6}),
        ("flux-11-pro", {"width": 1000}),
        ("flux-11-pro", {"height": 1472}),
        ("flux-11-pro", {"safety_tolerance": 6}),
        ("flux-11-pro-ultra", {"safety_tolerance": 7}),
        ("flux-11-pro-ultra", {"output_format": "webp"}),
        ("flux-11-pro-ultra", {"raw": "x"}),
        ("flux-11-pro-ultra", {"image_prompt_strength": 2}),
        ("flux-11-pro-ultra", {"aspect_ratio": "custom"}),
    ],
)
def test_ranges(model, fields):
    with pytest.raises(PenstockError) as caught:
        read(model, **fields)
    assert (caught.value.code, caught.value.param) == ("invalid_request", next(iter(fields)))


@pytest.mark.parametrize("model", PAGES)
def test_a_prompt_is_needed(model):
    for fields in ({}, {"prompt": ""}, {"prompt": None}, {"prompt": "  "}, {"prompt": ["a"]}):
        with pytest.raises(PenstockError) as caught:
            PAGES[model].read(fields, Dropped())
        assert caught.value.param == "prompt"


def test_a_size_of_its_own_needs_both_sides():
    sent, _ = read("flux-11-pro", aspect_ratio="custom", width="1024", height=768)
    assert (sent["aspect_ratio"], sent["width"], sent["height"]) == ("custom", 1024, 768)
    with pytest.raises(PenstockError) as caught:
        read("flux-11-pro", aspect_ratio="custom", width=1024)
    assert caught.value.param == "height"
    sent, noted = read("flux-11-pro", aspect_ratio="16:9", width=1024)
    assert "width" not in sent
    assert noted == ["width"]


def test_what_a_model_does_not_know_is_noted():
    dropped = Dropped()
    fields = {"prompt": "a cat", "num_outputs": 4, "model": "flux-1.1-pro-ultra", "response_format": "url", "user": "u"}
    assert "num_outputs" not in PAGES["flux-11-pro-ultra"].read(fields, dropped)
    assert list(dropped.names) == ["num_outputs", "user"]
