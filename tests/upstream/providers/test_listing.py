"""Lists of models: as providers answer them, and whatever else comes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.errands.errand import Fetched
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.providers.listing import read_list

KEYS = st.sampled_from(
    ["data", "models", "id", "name", "created", "has_more", "last_id", "architecture", "input_modalities", "top_provider", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def fetched(body: Any, status: int = 200) -> Fetched:
    return Fetched(status, "application/json", json.dumps(body).encode())


def test_as_openai_lists():
    offers, after = read_list(
        fetched({"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 17, "owned_by": "system"}]})
    )
    assert after is None
    assert (offers[0].name, offers[0].created, offers[0].owner, offers[0].title) == ("gpt-4o", 17, "system", "")


def test_as_openrouter_lists():
    row = {
        "id": "a/b", "name": "A: B", "context_length": 8192, "top_provider": {"max_completion_tokens": 100},
        "architecture": {"input_modalities": ["text", "image", "smell"], "output_modalities": ["text"]},
    }  # fmt: skip
    ((offer,), _) = read_list(fetched({"data": [row]}))
    assert (offer.name, offer.title, offer.context_tokens, offer.output_tokens) == ("a/b", "A: B", 8192, 100)
    assert (offer.inputs, offer.outputs) == (("text", "image"), ("text",))


def test_as_others_list():
    assert [offer.name for offer in read_list(fetched([{"id": "a"}, {"name": "b"}, "c", 5, {}, {"id": 5}]))[0]] == ["a", "b", "c"]
    assert read_list(fetched({"data": [{"id": "models/gemini-x"}]}))[0][0].name == "gemini-x"


@pytest.mark.parametrize("answered", [fetched({"data": 1}), fetched({}), fetched([], 401), Fetched(200, "text/html", b"<html>")])
def test_what_is_no_list(answered):
    with pytest.raises(ValueError):
        read_list(answered)


@given(body=JSON)
def test_whatever_comes(body):
    try:
        offers, _ = read_list(fetched(body))
    except ValueError:
        return
    assert all(offer.name for offer in offers)


async def test_all_pages_are_read():
    asked: list[bytes] = []

    async def fetch(method: str, path: str, *, query: bytes = b"", headers: bytes = b"", body: bytes = b"") -> Fetched:
        asked.append(query)
        more = len(asked) < 3
        return fetched({"data": [{"id": f"claude-{len(asked)}", "display_name": "C"}], "has_more": more, "last_id": f"claude-{len(asked)}"})

    offers = await PROVIDERS["anthropic"].discover(fetch, {})
    assert [offer.name for offer in offers or []] == ["claude-1", "claude-2", "claude-3"]
    assert asked == [b"limit=1000", b"limit=1000&after_id=claude-1", b"limit=1000&after_id=claude-2"]
