from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import added, normalised

READER = Reader(Answer)
COUNTS = st.integers(-5, 2000)
PART = st.one_of(st.none(), COUNTS)


def usage(tier: str | None = None, **kinds):
    def read(**figures) -> Usage:
        answer = READER.read(json.dumps({"usage": figures, "service_tier": tier}).encode())
        assert answer is not None
        assert answer.figures is not None
        return normalised(answer.figures, answer.service_tier, **kinds)

    return read


def facts(found: Usage) -> dict[str, object]:
    """What is not as in an empty usage."""
    empty = Usage()
    return {name: value for name in Usage.__struct_fields__ if (value := getattr(found, name)) != getattr(empty, name)}


def test_chat_counts_cached_reasoning_and_audio_inside():
    found = usage("flex")(
        prompt_tokens=1000,
        completion_tokens=300,
        total_tokens=1300,
        prompt_tokens_details={"cached_tokens": 600, "audio_tokens": 50},
        completion_tokens_details={"reasoning_tokens": 100, "audio_tokens": 40, "accepted_prediction_tokens": 0},
    )
    assert facts(found) == {
        "input_tokens": 350,
        "cache_read_tokens": 600,
        "input_audio_tokens": 50,
        "output_tokens": 260,
        "reasoning_tokens": 100,
        "output_audio_tokens": 40,
        "service_tier": "flex",
    }


def test_plain_figures_and_null_details():
    found = usage()(prompt_tokens=10, completion_tokens=5, total_tokens=15, prompt_tokens_details=None, completion_tokens_details=None)
    assert facts(found) == {"input_tokens": 10, "output_tokens": 5}


def test_responses_with_cache_writes():
    details = {
        "cached_tokens": 100,
        "cache_write_tokens": 300,
        "cache_write_tokens_details": {"ttl_30m_tokens": 100, "ttl_12h_tokens": 200},
    }
    found = usage("priority")(
        input_tokens=1000, input_tokens_details=details, output_tokens=50, output_tokens_details={"reasoning_tokens": 20}, total_tokens=1050
    )
    assert facts(found) == {
        "input_tokens": 600,
        "cache_read_tokens": 100,
        "cache_write_5m_tokens": 100,
        "cache_write_1h_tokens": 200,
        "output_tokens": 50,
        "reasoning_tokens": 20,
        "service_tier": "priority",
    }


def test_realtime_says_of_what_kind_the_cached_are():
    details = {
        "text_tokens": 300,
        "audio_tokens": 500,
        "image_tokens": 200,
        "cached_tokens": 600,
        "cached_tokens_details": {"text_tokens": 200, "audio_tokens": 300, "image_tokens": 100},
    }
    found = usage()(
        input_tokens=1000, input_token_details=details, output_tokens=90, output_token_details={"text_tokens": 30, "audio_tokens": 60}
    )
    assert facts(found) == {
        "input_tokens": 100,
        "input_audio_tokens": 200,
        "input_image_tokens": 100,
        "cache_read_tokens": 300,
        "cache_audio_read_tokens": 300,
        "output_tokens": 30,
        "output_audio_tokens": 60,
    }
    assert found.context_tokens() == 1000


def test_images_and_transcripts_are_of_their_kind_by_default():
    details = {"text_tokens": 20, "image_tokens": 300}
    images = usage(writes="image")(input_tokens=320, input_tokens_details=details, output_tokens=4160, total_tokens=4480)
    assert facts(images) == {"input_tokens": 20, "input_image_tokens": 300, "output_image_tokens": 4160}
    mixed = usage(writes="image")(input_tokens=20, output_tokens=100, output_tokens_details={"image_tokens": 90, "text_tokens": 10})
    assert facts(mixed) == {"input_tokens": 20, "output_image_tokens": 90, "output_tokens": 10}
    assert facts(usage(reads="audio")(type="tokens", input_tokens=140, output_tokens=45)) == {
        "input_audio_tokens": 140,
        "output_tokens": 45,
    }
    split = usage(reads="audio")(input_tokens=140, input_token_details={"audio_tokens": 130, "text_tokens": 10}, output_tokens=45)
    assert facts(split) == {"input_tokens": 10, "input_audio_tokens": 130, "output_tokens": 45}
    assert facts(usage(writes="audio")(input_tokens=14, output_tokens=101)) == {"input_tokens": 14, "output_audio_tokens": 101}
    assert facts(usage(reads="audio")(type="duration", seconds=12.2)) == {"audio_seconds": 13}


def test_names_of_other_vendors():
    assert facts(usage()(prompt_tokens=100, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36, completion_tokens=1)) == {
        "input_tokens": 36,
        "cache_read_tokens": 64,
        "output_tokens": 1,
    }
    assert usage()(prompt_tokens=100, cached_tokens=30, completion_tokens=1).cache_read_tokens == 30
    xai = usage()(prompt_tokens=10, completion_tokens=5, total_tokens=35, completion_tokens_details={"reasoning_tokens": 20})
    assert facts(xai) == {"input_tokens": 10, "output_tokens": 25, "reasoning_tokens": 20}
    as_much_read_as_thought = usage()(input_tokens=20, output_tokens=25, total_tokens=45, output_tokens_details={"reasoning_tokens": 20})
    assert facts(as_much_read_as_thought) == {"input_tokens": 20, "output_tokens": 25, "reasoning_tokens": 20}


def test_what_says_nothing_is_no_usage():
    for text in (b'{"usage":{}}', b'{"usage":{"prompt_tokens":null}}', b'{"usage":{"neurons":5}}', b'{"usage":null}', b"{}"):
        answer = READER.read(text)
        assert answer is not None
        assert answer.figures is None
        assert not answer.failed
    assert READER.read(b'{"error":{"message":"no"}}').failed
    assert not READER.read(b'{"error":null}').failed


@settings(deadline=None)
@given(
    st.fixed_dictionaries({"prompt_tokens": PART, "completion_tokens": COUNTS, "total_tokens": PART}),
    st.dictionaries(st.sampled_from(["cached_tokens", "audio_tokens", "image_tokens", "cache_write_tokens"]), PART),
    st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens", "image_tokens"]), PART),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(["audio_tokens", "image_tokens"]), PART)),
)
def test_never_negative_whatever_is_claimed(figures, read, written, cached):
    found = usage()(**figures, prompt_tokens_details=read | {"cached_tokens_details": cached}, completion_tokens_details=written)
    assert all(value >= 0 for value in msgspec.structs.astuple(found) if isinstance(value, int))
    assert found.reasoning_tokens <= found.output_tokens


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_parts_that_fit_add_up_to_the_total(plain, cached_text, cached_audio, audio, image, write):
    total = plain + cached_text + cached_audio + audio + image + write
    details = {
        "cached_tokens": cached_text + cached_audio,
        "cached_tokens_details": {"audio_tokens": cached_audio},
        "audio_tokens": audio + cached_audio,
        "image_tokens": image,
        "cache_write_tokens": write,
    }
    found = usage()(input_tokens=total, input_tokens_details=details, output_tokens=0)
    assert found.context_tokens() == total
    expected = (plain, cached_text, cached_audio, audio, image, write)
    assert expected == (
        found.input_tokens,
        found.cache_read_tokens,
        found.cache_audio_read_tokens,
        found.input_audio_tokens,
        found.input_image_tokens,
        found.cache_write_5m_tokens,
    )


def test_sums():
    total = added(None, Usage(input_tokens=1, output_tokens=2))
    total = added(total, Usage(input_tokens=10, output_audio_tokens=5))
    assert facts(total) == {"input_tokens": 11, "output_tokens": 2, "output_audio_tokens": 5, "calls": 2}


@pytest.mark.parametrize("huge", [10**30, 2**63, 1e300])
def test_figures_are_bounded(huge):
    assert usage()(prompt_tokens=huge, completion_tokens=1).input_tokens == 10**12
