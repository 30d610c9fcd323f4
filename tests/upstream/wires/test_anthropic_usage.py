from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.anthropic_usage import Figures, merged, normalised

READER = Reader(Figures)


def figures(**fields) -> Figures:
    found = READER.read(json.dumps(fields).encode())
    assert found is not None
    return found


def usage(*statements: dict) -> Usage:
    found = None
    for statement in statements:
        found = merged(found, figures(**statement))
    assert found is not None
    return normalised(found)


def test_input_excludes_the_cache():
    found = usage(
        {
            "input_tokens": 25,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            "service_tier": "priority",
        }
    )
    assert found == Usage(
        input_tokens=25,
        cache_read_tokens=7,
        cache_write_5m_tokens=60,
        cache_write_1h_tokens=40,
        output_tokens=9,
        reasoning_tokens=4,
        web_searches=2,
        service_tier="priority",
    )
    assert found.context_tokens() == 132


def test_writes_without_a_breakdown_stay_five_minutes():
    assert usage({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 80}).cache_write_5m_tokens == 80
    nulls = usage(
        {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 80, "cache_creation": None, "server_tool_use": None}
    )
    assert (nulls.cache_write_5m_tokens, nulls.cache_write_1h_tokens) == (80, 0)


def test_later_statements_are_cumulative_and_never_erase():
    start = {"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 1, "service_tier": "batch"}
    found = usage(start, {"output_tokens": 40}, {"input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 90})
    assert found == Usage(input_tokens=100, cache_read_tokens=50, output_tokens=90, service_tier="batch")
    grown = usage(start, {"input_tokens": 700, "output_tokens": 90, "server_tool_use": {"web_search_requests": 1}})
    assert (grown.input_tokens, grown.web_searches) == (700, 1)


def test_a_total_that_grows_after_its_breakdown_is_of_the_same_kind():
    start = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 10, "cache_creation": {"ephemeral_1h_input_tokens": 10}}
    assert usage(start, {"output_tokens": 2, "cache_creation_input_tokens": 30}).cache_write_1h_tokens == 30
    start["cache_creation"] = {"ephemeral_1h_input_tokens": 5, "ephemeral_5m_input_tokens": 5}
    found = usage(start, {"output_tokens": 2, "cache_creation_input_tokens": 30})
    assert (found.cache_write_5m_tokens, found.cache_write_1h_tokens) == (25, 5)


def test_what_the_totals_leave_out_is_added():
    iterations = [
        {"type": "message", "input_tokens": 100, "output_tokens": 50},
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 200, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7},
    ]
    found = usage({"input_tokens": 100, "output_tokens": 50, "iterations": iterations})
    assert found == Usage(input_tokens=1100, output_tokens=250, cache_read_tokens=5, cache_write_5m_tokens=7)


def test_the_fast_mode_is_a_tier():
    assert usage({"input_tokens": 1, "output_tokens": 1, "speed": "fast", "service_tier": "standard"}).service_tier == "fast"
    assert usage({"input_tokens": 1, "output_tokens": 1, "speed": "standard", "service_tier": "standard"}).service_tier is None


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"input_tokens": st.integers(-3, 99), "output_tokens": st.integers(-3, 99)}), min_size=1, max_size=4))
def test_the_largest_of_each_wins_and_nothing_is_negative(statements):
    found = usage(*statements)
    assert found.input_tokens == max(0, *(item["input_tokens"] for item in statements))
    assert found.output_tokens == max(0, *(item["output_tokens"] for item in statements))
