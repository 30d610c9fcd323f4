from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage

from penstock.upstream.bridges.chat.figures import encoded, read, written
from penstock.upstream.usage import Usage

COUNTS = st.integers(0, 10**6)
TEXT_ONLY = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")


@given(st.fixed_dictionaries(dict.fromkeys(TEXT_ONLY, COUNTS)))
def test_what_is_written_is_read_again_and_the_sdk_takes_it(counts):
    counts["reasoning_tokens"] = min(counts["reasoning_tokens"], counts["output_tokens"])
    figures = written(Usage(**counts))
    CompletionUsage.model_validate(figures, strict=True)
    assert read(msgspec.json.encode(figures), None) == Usage(**counts)


def test_sound_and_pictures_are_in_the_totals():
    usage = Usage(1, 2, input_audio_tokens=4, cache_audio_read_tokens=8, input_image_tokens=16, output_tokens=32, output_audio_tokens=64)
    figures = written(usage)
    assert (figures["prompt_tokens"], figures["completion_tokens"], figures["total_tokens"]) == (31, 96, 127)
    assert figures["prompt_tokens_details"]["audio_tokens"] == 12
    assert written(Usage(output_image_tokens=5))["completion_tokens_details"]["image_tokens"] == 5


def test_what_says_nothing():
    assert read(b"null", None) is read(b"{}", None) is read(b"", None) is read(b"5", None) is None
    assert read(b'{"prompt_tokens":1,"completion_tokens":2}', "flex").service_tier == "flex"
    assert encoded(None) == b"null"
