"""Names: from a public name to the provider's, by the exact name first, then by the longest glob."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.names import EVERY, Names

NAMES = Names(
    [("fast", "gpt-4o-mini"), ("gpt-4o", None), ("gpt-*", None), ("router/*", "*"), ("old-*-x", "new-*"), ("one?", "single"), ("*", None)]
)


@pytest.mark.parametrize(("model", "served"), [
    ("fast", "gpt-4o-mini"), ("gpt-4o", "gpt-4o"), ("gpt-5", "gpt-5"), ("router/a/b", "a/b"), ("old-y-x", "new-y"), ("one1", "single"),
    ("else", "else"),
])  # fmt: skip
def test_what_the_provider_calls_it(model, served):
    assert NAMES.served(model) == served


def test_what_a_channel_does_not_serve():
    assert Names([("gpt-*", None)]).served("claude") is None
    assert Names([]).served("x") is None


@pytest.mark.parametrize(("model", "named"), [("fast", True), ("gpt-5", True), ("else", False)])
def test_whether_it_is_named(model, named):
    assert NAMES.names(model) is named


@given(st.text(min_size=1, max_size=20))
def test_every_name_is_itself(model):
    assert EVERY.served(model) == model and not EVERY.names(model)
