"""Replies of every kind that a client of Gemini's can be told, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Image, Reply, Text, Thought, ToolCall
from penstock.upstream.usage import Usage

MODEL = "gemini-2.5-flash"
WORDS = st.text(min_size=1, max_size=12)
ID = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
ARGUMENTS = st.sampled_from(["{}", '{"a":1}', '{"a":{"b":["c",null,1.5]}}', '{"text":"\\n\\u00e9"}'])
SIGNATURE = st.sampled_from(["", "c2lnbmF0dXJl"])
PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Thought, WORDS, st.just("c2lnbmF0dXJl"), wire=st.just("gemini")),
    st.builds(Thought, WORDS, st.just("EqQB/+=="), wire=st.just("messages")),
    st.builds(Thought, st.just(""), redacted=st.just("gAAAA"), id=st.just("rs_1"), wire=st.just("responses")),
    st.builds(ToolCall, ID, ID, ARGUMENTS, signature=SIGNATURE),
    st.builds(Image, st.just("image/png"), st.just("AAAA")),
)
COUNT = st.integers(0, 10**6)
USAGE = st.builds(
    lambda fresh, cached, written, thought: Usage(
        input_tokens=fresh, cache_read_tokens=cached, output_tokens=written + thought, reasoning_tokens=thought
    ),
    COUNT, COUNT, COUNT, COUNT,
)  # fmt: skip
REPLIES = st.builds(
    Reply,
    ID,
    st.just(MODEL),
    st.lists(PARTS, min_size=1, max_size=6),
    st.sampled_from(["end", "length", "tools", "refusal", "stop_sequence", "pause"]),
    USAGE,
)
