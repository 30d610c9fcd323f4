from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.usage import Usage
from penstock.upstream.wires import gemini_usage
from penstock.upstream.wires.gemini_usage import Figures


def of(**figures: object) -> Usage:
    return gemini_usage.normalised(msgspec.convert(figures, Figures))


def kinds(**counts: int) -> list[dict]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


@pytest.mark.parametrize(
    ("figures", "usage"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}, Usage(input_tokens=10, output_tokens=5)),
        (
            {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
             "toolUsePromptTokenCount": 3},
            Usage(input_tokens=9, cache_read_tokens=4, output_tokens=12, reasoning_tokens=7),
        ),
        (
            {"promptTokenCount": 100, "promptTokensDetails": kinds(text=20, audio=50, image=20, video=10)},
            Usage(input_tokens=30, input_audio_tokens=50, input_image_tokens=20),
        ),
        (
            {
                "promptTokenCount": 100, "cachedContentTokenCount": 60, "promptTokensDetails": kinds(text=20, audio=50, image=30),
                "cacheTokensDetails": kinds(text=10, audio=40, image=10),
            },
            Usage(input_tokens=10, cache_read_tokens=20, cache_audio_read_tokens=40, input_audio_tokens=10, input_image_tokens=20),
        ),
        (
            {"promptTokenCount": 1, "candidatesTokenCount": 1290, "candidatesTokensDetails": kinds(image=1280), "thoughtsTokenCount": 2},
            Usage(input_tokens=1, output_image_tokens=1280, output_tokens=12, reasoning_tokens=2),
        ),
        (
            {"candidatesTokenCount": 9, "candidatesTokensDetails": kinds(audio=9), "serviceTier": "PRIORITY"},
            Usage(output_audio_tokens=9, service_tier="priority"),
        ),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 50}, Usage(cache_read_tokens=5)),
    ],
)  # fmt: skip
def test_figures_become_components_that_do_not_overlap(figures, usage):
    assert of(**figures) == usage


COUNT = st.integers(0, 10**6)
KINDS = st.lists(
    st.builds(lambda name, count: {"modality": name, "tokenCount": count}, st.sampled_from(["TEXT", "AUDIO", "IMAGE", "VIDEO"]), COUNT),
    max_size=3,
)


@given(prompt=COUNT, cached=COUNT, written=COUNT, thoughts=COUNT, details=KINDS, cache=KINDS, output=KINDS)
def test_nothing_is_counted_twice_or_lost(prompt, cached, written, thoughts, details, cache, output):
    usage = of(
        promptTokenCount=prompt,
        cachedContentTokenCount=cached,
        candidatesTokenCount=written,
        thoughtsTokenCount=thoughts,
        promptTokensDetails=details,
        cacheTokensDetails=cache,
        candidatesTokensDetails=output,
    )
    assert min(msgspec.structs.astuple(usage)[:-1]) >= 0
    assert usage.context_tokens() == prompt
    assert usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens == written + thoughts


@given(
    st.builds(
        lambda counts: Usage(
            input_tokens=counts[0], cache_read_tokens=counts[1], output_tokens=counts[2] + counts[3], reasoning_tokens=counts[3],
            input_audio_tokens=counts[4], cache_audio_read_tokens=counts[5], output_audio_tokens=counts[6], input_image_tokens=counts[7],
            output_image_tokens=counts[8],
        ),
        st.lists(COUNT, min_size=9, max_size=9),
    )
)  # fmt: skip
def test_what_is_written_is_read_again(usage):
    assert of(**gemini_usage.written(usage)) == usage


CHUNKS = [
    {"candidates": [{"content": {"parts": [{"text": "x" * 100}]}}], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}},
    {
        "candidates": [
            {"content": {"parts": [{"functionCall": {"args": {"usageMetadata": {"promptTokenCount": 0}}}}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 9},
        "modelVersion": "m",
    },
]


@pytest.mark.parametrize("body", [CHUNKS[1], CHUNKS, [*CHUNKS, {"modelVersion": "m"}]])
def test_the_usage_of_an_answer_or_of_its_end(body):
    text = json.dumps(body, indent=2).encode()
    for cut in (0, 1, 2, 50, 300):
        if cut >= len(text) - 200:
            continue
        answer = gemini_usage.read(text[cut:])
        assert answer is not None
        assert answer.usage_metadata is not None
        assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (3, 9), cut


def test_answers_without_any():
    assert gemini_usage.read(b"nonsense") is None
    assert gemini_usage.read(b"[]") is None
    found = gemini_usage.read(b'[{"error":{"code":400}}]')
    assert found is not None
    assert found.error == {"code": 400}


@pytest.mark.parametrize(("model", "count"), [("gemini-2.5-flash", 1), ("gemini-3-pro", 3), (None, 3)])
def test_searches(model, count):
    body = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b", "c"]}}, {"groundingMetadata": {}}, {}]}
    answer = gemini_usage.read(json.dumps(body).encode())
    assert answer is not None
    assert gemini_usage.searches(answer.candidates, model) == count
    assert gemini_usage.searches(None, model) == 0
