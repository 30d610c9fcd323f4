"""Usage as providers state it in streams: twice, cumulated, missing, absurd."""

from __future__ import annotations

import pytest

from fake_answers import DONE, chat_chunk, chat_events, chat_usage, chunk, stream, stream_head
from fake_provider import close
from penstock.upstream.usage import Usage
from stage import USED


def chat_stream(stage, *usages: dict | None, **more):
    """The charge of a chat stream whose events state these usages."""
    counted = [chat_chunk({"content": "x"}, **({"usage": usage} if usage else {})) for usage in usages]
    stage.script(stream(*counted, chat_chunk({}, "stop", **more), DONE))
    return stage.charge(stage.ask("chat", stream=True))


def tokens(reads, writes):
    return {"prompt_tokens": reads, "completion_tokens": writes}


def test_usage_is_not_summed(stage):
    row = chat_stream(stage, tokens(19, 1), tokens(19, 5), tokens(19, 9), usage=tokens(19, 10))
    stage.check_cost(row, USED)


def test_usage_that_is_cumulated_and_breaks_off(stage):
    parts = [chat_chunk({"content": "x"}, usage=tokens(19, count)) for count in range(1, 8)]
    stage.script(stream_head() + b"".join(map(chunk, parts)), close)
    row = stage.charge(stage.ask("chat", stream=True))
    stage.check_cost(row, Usage(input_tokens=19, output_tokens=7), estimated=True)


@pytest.mark.parametrize(
    ("stated", "usage"),
    [
        (tokens(-5, -7), Usage()),
        (tokens(10**30, 10**30), Usage(input_tokens=10**12, output_tokens=10**12)),
        (tokens("19", "10"), USED),
        (tokens(19.0, 9.5), USED),
        (tokens(19, 10) | {"prompt_tokens_details": {"cached_tokens": 500}}, Usage(cache_read_tokens=19, output_tokens=10)),
        (
            tokens(19, 10) | {"completion_tokens_details": {"reasoning_tokens": 500}},
            Usage(input_tokens=19, output_tokens=10, reasoning_tokens=10),
        ),
        (tokens(19, 10) | {"prompt_tokens_details": None, "unknown": {"a": [1]}}, USED),
        (tokens(0, 0), Usage()),
    ],
)
def test_absurd_usage(stage, stated, usage):
    stage.script(stream(*chat_events(usages=0)[:-1], chat_usage(stated), DONE))
    stage.check_cost(stage.charge(stage.ask("chat", stream=True)), usage)


@pytest.mark.parametrize("stated", ["much", [1, 2], {}, {"total_tokens": 5}, tokens(None, None)])
def test_usage_that_says_nothing_is_estimated(stage, stated):
    stage.script(stream(*chat_events(usages=0)[:-1], chat_usage(stated), DONE))
    stage.check_guess(stage.charge(stage.ask("chat", stream=True)), "chat", 10)
