from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_workers_ai import FLUX2, IMG2IMG, KLEIN, SCHEMAS, SCHNELL, SDXL, item
from penstock.upstream.providers.workers_models import (
    IMAGES,
    Bounds,
    Pictures,
    kept_pictures,
    model_name,
    needs_picture,
    offer_of,
    pictures_of,
    wire_of,
)

NAMES = ["name", "task", "properties", "property_id", "value", "created_at", "input", "required", "prompt", "oneOf", "multipart", "maximum"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ["@cf/meta/llama-3.1-8b", "@hf/a/b.c_d", "custom"])
def test_names_that_can_be_paths(name):
    assert model_name(name) == name


@pytest.mark.parametrize(
    "name", [None, 7, "", "../x", "@cf/../../tokens", "@cf//x", "a b", "a?b", "a#b", "/a", "a/", "@cf/é/ü", "a%2Fb", "x" * 201]
)
def test_names_that_cannot(name):
    assert model_name(name) is None


def test_names_of_what_changes_pictures():
    assert needs_picture(IMG2IMG) and needs_picture("@cf/x/stable-diffusion-v1-5-inpainting") and needs_picture("@cf/x/Upscaler")
    assert not needs_picture(SDXL)
    assert pictures_of(IMG2IMG, {"input": SCHEMAS[SDXL]}) is None


def test_pictures_by_schema():
    assert pictures_of(SCHNELL, {"input": SCHEMAS[SCHNELL]}) == Pictures(False, {"prompt": Bounds(size=2048), "steps": Bounds(most=8)})
    for name in (FLUX2, KLEIN):
        found = pictures_of(name, {"input": SCHEMAS[name]})
        assert found.form and list(found.fields) == ["prompt", "width", "height", "steps"]
    drawn = pictures_of(SDXL, {"schema": {"input": SCHEMAS[SDXL]}})
    assert drawn.fields["width"] == Bounds(256, 2048) and not {"image", "mask", "image_b64"} & drawn.fields.keys()
    assert pictures_of("@cf/a/b", {"input": {"oneOf": [{"properties": {"x": {}}}, {"properties": {"prompt": {}}}]}}).fields.keys() == {
        "prompt"
    }
    assert pictures_of("@cf/a/b", {"input": {"properties": {"text": {}}}}) is None
    assert pictures_of("@cf/a/b", {"input": {"properties": {"prompt": {}}, "required": ["prompt", "mask"]}}) is None


def test_they_are_kept_with_the_offer():
    drawn = pictures_of(SDXL, {"input": SCHEMAS[SDXL]})
    assert kept_pictures(SDXL, drawn.options()) == drawn
    assert kept_pictures(SDXL, {}) is None is kept_pictures(SDXL, None)
    assert kept_pictures(SDXL, {"image": "json", "fields": "["}).fields.keys() == {"prompt"}


def test_tasks():
    assert wire_of(item("a", "Text-to-Image")) == IMAGES
    assert wire_of({"task": "Text Generation"}) == "workers_chat"
    assert wire_of({"task": {"name": 7}}) is wire_of({}) is wire_of(item("a", "Object Detection")) is None


@pytest.mark.parametrize(
    ("at", "seconds"),
    [("2025-11-24 15:44:06.050", 1763999046), ("2025-11-24T15:44:06Z", 1763999046), ("1960-01-01", 0), ("soon", 0), (None, 0)],
)
def test_times(at, seconds):
    assert offer_of(item("@cf/a/b", created_at=at), None).created == seconds


def test_owners():
    assert [offer_of(item(name), None).owner for name in ("@cf/meta/x", "custom")] == ["meta", "cloudflare"]


@given(JSON, JSON)
def test_nothing_escapes(found, schema):
    offer_of(found, None)
    offer_of({"name": "@cf/a/b", "properties": found, "task": schema, "created_at": schema}, None)
    drawn = pictures_of("@cf/a/b", schema)
    assert drawn is None or kept_pictures("@cf/a/b", drawn.options()) == drawn
