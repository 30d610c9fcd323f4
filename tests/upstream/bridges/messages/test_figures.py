from __future__ import annotations

from anthropic.types import MessageDeltaUsage
from anthropic.types import Usage as SdkUsage

from penstock.upstream.bridges.messages import figures
from penstock.upstream.usage import Usage


def test_a_usage_as_the_sdk_reads_it():
    usage = Usage(
        input_tokens=10, cache_read_tokens=20, cache_write_5m_tokens=3, cache_write_1h_tokens=4, output_tokens=50, reasoning_tokens=30
    )
    found = SdkUsage.model_validate(figures.whole(usage))
    assert (found.input_tokens, found.cache_read_input_tokens, found.cache_creation_input_tokens) == (10, 20, 7)
    assert found.cache_creation is not None and found.cache_creation.ephemeral_1h_input_tokens == 4
    assert found.output_tokens_details is not None and found.output_tokens_details.thinking_tokens == 30
    assert found.service_tier == "standard"
    assert MessageDeltaUsage.model_validate(figures.counts(usage)).output_tokens == 50


def test_tokens_of_every_kind_are_counted():
    said = figures.counts(
        Usage(input_tokens=1, input_audio_tokens=2, input_image_tokens=3, output_tokens=4, output_audio_tokens=5, web_searches=2)
    )
    assert (said["input_tokens"], said["output_tokens"]) == (6, 9)
    assert said["server_tool_use"] == {"web_search_requests": 2}


def test_a_tier_that_anthropic_does_not_have_is_standard():
    assert figures.whole(Usage(service_tier="flex"))["service_tier"] == "standard"
    assert figures.whole(Usage(service_tier="priority"))["service_tier"] == "priority"
