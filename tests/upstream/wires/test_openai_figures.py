"""Figures of OpenAI's kind: when they say anything at all."""

from __future__ import annotations

import msgspec
import pytest

from penstock.upstream.wires.openai_figures import Answer, Figures


@pytest.mark.parametrize("name", ["prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "seconds"])
def test_one_figure_is_enough_even_if_it_is_zero(name):
    figures = msgspec.json.decode(b'{"%b":0}' % name.encode(), type=Figures)
    assert figures.stated and Answer(usage=figures).figures is figures


def test_a_total_alone_says_nothing():
    figures = msgspec.json.decode(b'{"total_tokens":9,"prompt_tokens_details":{"cached_tokens":1}}', type=Figures)
    assert not figures.stated and Answer(usage=figures).figures is None and Answer().figures is None


def test_an_error_without_figures_is_a_failure():
    assert Answer(error={"message": "no"}).failed and Answer(error="no", usage=Figures()).failed
    assert not Answer(error={}).failed and not Answer(error="no", usage=Figures(output_tokens=1)).failed
