from __future__ import annotations

from openai.types.responses import Response, ResponseUsage

from made_responses import about_of
from penstock.upstream.bridges.conversation import Asked, Format, Thought, Tool
from penstock.upstream.bridges.responses import shape
from penstock.upstream.bridges.responses.asks_in import read_ask
from penstock.upstream.usage import Usage


def test_ids_are_the_requests():
    assert shape.response_id(about_of(), "chatcmpl-1") == "resp_0123" and shape.response_id(about_of(), "resp_9") == "resp_9"


def test_what_was_sent_comes_back():
    asked = read_ask(
        b'{"model":"m","input":"x","tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","name":"p"},{"type":"web_search"}],'
        b'"tool_choice":{"type":"function","function":{"name":"f"}},"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}},'
        b'"reasoning":{"effort":"low","summary":"auto"},"metadata":{"a":"b"},"parallel_tool_calls":false}'
    )
    base = shape.base_of(about_of(asked), "", "priority")
    assert base["tools"][0] == {"description": None, "parameters": None, "strict": None, "name": "f", "type": "function"}
    assert base["tools"][1:] == [{"type": "custom", "name": "p"}, {"type": "web_search"}]
    assert base["tool_choice"] == {"name": "f", "type": "function"} and base["text"]["format"]["name"] == "n"
    assert (
        base["reasoning"] == {"effort": "low", "summary": "auto"}
        and base["metadata"] == {"a": "b"}
        and base["parallel_tool_calls"] is False
    )
    assert base["model"] == "public-model" and base["service_tier"] == "priority"
    Response.model_validate({"id": "r", "object": "response", "created_at": 1, "status": "completed", "output": [], **base})


def test_a_request_that_came_another_way_is_shown_as_well_as_can_be():
    asked = Asked("m", [], [Tool("f"), Tool("web_search", kind="hosted", raw={"type": "web_search"})], format=Format("json"))
    base = shape.base_of(about_of(asked), "served", None)
    assert [tool["type"] for tool in base["tools"]] == ["function", "web_search"] and base["text"]["format"] == {"type": "json_object"}
    Response.model_validate({"id": "r", "object": "response", "created_at": 1, "output": [], **base})


def test_usage_contains_what_was_cached():
    usage = shape.usage_of(Usage(10, 5, 3, 2, 7, 4, output_audio_tokens=1))
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (20, 8, 28)
    assert usage["input_tokens_details"]["cached_tokens"] == 5 and usage["input_tokens_details"]["cache_write_tokens"] == 5
    ResponseUsage.model_validate(usage)


def test_only_what_is_proved_is_sealed():
    assert shape.sealed_of(Thought("Hm")) is None and shape.sealed_of(Thought(redacted="e", wire="responses")) == "e"
    assert shape.sealed_of(Thought(signature="s", wire="messages")).startswith("~psk1.")


def test_tiers():
    assert shape.tier_of("flex") == "flex" and shape.tier_of("batch") == shape.tier_of(None) == "default"
