"""The golden grammar of each wire's stream and plain answer: what the published references and the types of the official SDKs insist on.

Each grammar reads the bytes that a client gets, independently of our own listeners, and says what a client understands by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from golden import Golden
from grammar_chat import chat_stream, chat_whole, openai_error
from grammar_gemini import gemini_stream, gemini_whole, google_error
from grammar_messages import anthropic_error, messages_stream, messages_whole
from grammar_responses import responses_stream, responses_whole


@dataclass(frozen=True)
class Grammar:
    """How a client of one wire reads what it gets."""

    stream: Callable[..., Golden]
    whole: Callable[[bytes], Golden]
    error: Callable[[dict[str, Any]], str]
    """An error's words."""


GRAMMARS = {
    "chat": Grammar(chat_stream, chat_whole, openai_error),
    "messages": Grammar(messages_stream, messages_whole, anthropic_error),
    "responses": Grammar(responses_stream, responses_whole, openai_error),
    "gemini": Grammar(gemini_stream, gemini_whole, google_error),
}
"""By wire. Every side must have one."""
