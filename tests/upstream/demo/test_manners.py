"""The model's name and the benchmark's user say how to behave."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from penstock.upstream.demo.manners import _WORDS, PLAIN, Manners, UnknownMannersError, manners_of


@pytest.mark.parametrize("model", ["demo", "gpt-4o", "claude-sonnet-4-5", "text-embedding-3-small", "", "claude-demo", "my-demo"])
def test_other_names_ask_for_nothing(model):
    assert manners_of(model) is PLAIN


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("demo-slow500", Manners(first_byte_s=0.5)),
        ("demo-n64d20", Manners(events=64, gap_s=0.02)),
        ("demo-n64", Manners(events=64)),
        ("demo-n0", Manners(events=1)),
        ("demo-d2.5", Manners(gap_s=0.0025)),
        ("demo-fail429", Manners(status=429)),
        ("demo-fail529", Manners(status=529)),
        ("demo-flaky", Manners(flaky=True)),
        ("demo-reset", Manners(fate="reset")),
        ("demo-cut", Manners(fate="cut")),
        ("demo-stall", Manners(fate="stall")),
        ("demo-hang", Manners(fate="hang")),
        ("demo-error", Manners(fate="error")),
        ("demo-nousage", Manners(usage=False)),
        ("demo-cached", Manners(cached=True)),
        ("demo-tool", Manners(tool=True)),
        ("demo-big10m", Manners(size=10 * 1024 * 1024)),
        ("demo-big64k-n1", Manners(size=64 * 1024, events=1)),
        ("demo-slow10-n3d1-cached-cut", Manners(first_byte_s=0.01, events=3, gap_s=0.001, cached=True, fate="cut")),
        ("claude-demo-fail529", Manners(status=529)),
        ("openai/demo-tool", Manners(tool=True)),
    ],
)
def test_suffixes_are_read(model, wanted):
    assert manners_of(model) == wanted


@pytest.mark.parametrize(
    "model", ["demo-", "demo-fast", "demo-fail200", "demo-fail99", "demo-n", "demo-slow", "demo-cut-", "demo-big10g", "demo-nd5"]
)
def test_unknown_suffixes_are_refused(model):
    with pytest.raises(UnknownMannersError):
        manners_of(model)


@pytest.mark.parametrize(
    ("user", "events", "gap_s"),
    [("n64d0.02", 64, 0.02), ("n100", 100, 0.0), ("n5d1", 5, 1.0), ("somebody", None, 0.0), ("n64d0.02x", None, 0.0)],
)
def test_the_user_field_sets_the_pace_for_any_model(user, events, gap_s):
    manners = manners_of("gpt-4o", user)
    assert (manners.events, manners.gap_s) == (events, gap_s)


def test_the_user_field_adds_to_the_name():
    assert manners_of("demo-cached", "n3") == msgspec.structs.replace(PLAIN, cached=True, events=3)


def test_the_documentation_lists_every_suffix():
    page = (Path(__file__).parents[3] / "docs" / "demo.md").read_text()
    models = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    for word in [*_WORDS, "slow500", "n64", "d20", "n64d20", "fail429", "big10m"]:
        assert f"demo-{word}" in models
    for model in models:
        if model.startswith("demo-"):
            assert manners_of(model) is not PLAIN
