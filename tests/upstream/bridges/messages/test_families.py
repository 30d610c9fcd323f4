from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.messages.families import Family, family_of


@pytest.mark.parametrize(
    ("model", "budget", "adaptive", "off", "samples", "schemas"),
    [
        ("claude-3-5-haiku-20241022", False, False, "omitted", True, False),
        ("claude-3-7-sonnet-20250219", True, False, "omitted", True, False),
        ("claude-opus-4-20250514", True, False, "omitted", True, False),
        ("claude-sonnet-4@20250514", True, False, "omitted", True, False),
        ("claude-sonnet-4-5-20250929", True, False, "omitted", True, True),
        ("claude-haiku-4-5", True, False, "omitted", True, True),
        ("claude-opus-4-6", True, True, "omitted", True, True),
        ("anthropic/claude-sonnet-4.6", True, True, "omitted", True, True),
        ("anthropic/claude-4.7-opus", False, True, "omitted", False, True),
        ("us.anthropic.claude-opus-4-8-v1:0", False, True, "omitted", False, True),
        ("claude-opus-5", False, True, "disabled", False, True),
        ("claude-sonnet-5-5", False, True, "between_tools", False, True),
        ("claude-haiku-5-5", False, True, "disabled", False, True),
        ("claude-opus-5-5", False, True, "never", False, True),
        ("claude-fable-5-1", False, True, "never", False, True),
        ("claude-mythos-preview", True, True, "never", False, True),
        ("claude-opus-latest", False, True, "never", False, True),
        ("glm-4.6", True, False, "disabled", True, False),
    ],
)
def test_what_models_take(model, budget, adaptive, off, samples, schemas):
    found = family_of(model)
    assert (found.budget, found.adaptive, found.off, found.samples, found.schemas) == (budget, adaptive, off, samples, schemas)


@pytest.mark.parametrize(
    ("model", "highest"),
    [
        ("claude-sonnet-4-5", None),
        ("claude-opus-4-5", "high"),
        ("claude-opus-4-6", "max"),
        ("claude-opus-4-7", "max"),
        ("claude-haiku-4-5", None),
        ("claude-haiku-5-5", "max"),
    ],
)
def test_efforts(model, highest):
    efforts = family_of(model).efforts
    assert (efforts[-1] if efforts else None) == highest
    assert ("xhigh" in efforts) == (model in ("claude-opus-4-7", "claude-haiku-5-5"))


@pytest.mark.parametrize(
    ("model", "cap"),
    [("claude-3-haiku-20240307", 4096), ("claude-3-5-sonnet-20241022", 8192), ("claude-sonnet-4-5", 8192), ("claude-opus-5", 16384)],
)
def test_bounds_on_the_answer(model, cap):
    assert family_of(model).output_cap == cap


@given(st.text(max_size=20).map(lambda tail: f"claude{tail}"))
def test_any_name_has_a_family(model):
    assert isinstance(family_of(model), Family)
