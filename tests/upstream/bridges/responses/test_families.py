from __future__ import annotations

import pytest

from penstock.upstream.bridges.responses.families import family_of


@pytest.mark.parametrize(
    ("model", "openai", "reasons", "customs"),
    [
        ("gpt-5.2", True, True, True),
        ("openai/gpt-6-astra", True, True, True),
        ("ft:gpt-5:acme", True, True, True),
        ("gpt-5-chat-latest", True, False, True),
        ("gpt-4.1", True, False, False),
        ("chatgpt-4o-latest", True, False, False),
        ("o4-mini", True, True, False),
        ("codex-mini-latest", True, True, False),
        ("gpt-oss-120b", False, None, False),
        ("grok-4", False, None, False),
        ("octopus", False, None, False),
    ],
)
def test_families(model, openai, reasons, customs):
    family = family_of(model)
    assert (family.openai, family.reasons, family.customs) == (openai, reasons, customs)


def test_only_newer_models_take_a_temperature_when_they_do_not_think():
    assert [family_of(model).samples_idle for model in ("gpt-5", "gpt-5.1", "o3", "other")] == [False, True, False, True]
