"""Whether a request says behind a bridge what it has said before it, or the header tells what is missing."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from typing import Any

from penstock.upstream.bridges.conversation import Asked, Document, Image, Refusal, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.custom_tools import FIELD

SHOWN = {"cache_key": "prompt_cache_key", "parallel": "parallel_tool_calls"}
"""What fields are called in the header, where it is not as we call them."""
NOTHING = {
    "parallel": (None, True),
    "store": (None, False),
    "service_tier": (None, "auto", "default", "standard", "standard_only"),
    "temperature": (None, 1),
    "top_p": (None, 1),
    "top_k": (None, 0),
    "logit_bias": (None, {}),
    "metadata": (None, {}),
}
"""Values that say no more than that nothing was said."""
INSTRUCTED = "Answer with a single JSON object"


def same_meaning(before: Asked, after: Asked, dropped: list[str], aliases: dict[str, str]) -> None:
    """Everything that matters is in both; what is not is among the `dropped`."""
    _same_words(before, after)
    _same_media(before, after)
    _same_calls(before, after, dropped, aliases)
    _same_tools(before, after, aliases)
    _same_thoughts(before, after, dropped)
    _same_bounds(before, after, dropped)
    names = ("parallel", "store", "service_tier", "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
    for name in (*names, "logit_bias", "user", "metadata", "verbosity", "cache_key"):
        was, now = getattr(before, name), getattr(after, name)
        if name == "parallel" and not (before.tools and _free(before)):
            continue  # nothing is called
        assert was == now or was in NOTHING.get(name, (None,)) or SHOWN.get(name, name) in dropped, name
    assert all(name in dropped for name in before.other)


def _free(asked: Asked) -> bool:
    return asked.choice is None or asked.choice.mode != "none"


def words(asked: Asked, actor: str) -> list[str]:
    """The texts of the assistant, or of all others, in order."""
    found = []
    for turn in asked.turns:
        if (turn.role == "assistant") != (actor == "assistant"):
            continue
        for part in turn.parts:
            if isinstance(part, Text | Refusal):
                found.append(part.text)
            elif isinstance(part, ToolResult):
                found += [one.text for one in part.parts if isinstance(one, Text)]
    return found


def _same_words(before: Asked, after: Asked) -> None:
    for actor in ("assistant", "others"):
        told, at = "\n".join(words(after, actor)), 0
        for word in words(before, actor):
            if word.strip():
                found = told.find(word.strip(), at)
                assert found >= 0, (actor, word)
                at = found + len(word.strip())


def _media(asked: Asked) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for turn in asked.turns:
        for part in turn.parts:
            for one in part.parts if isinstance(part, ToolResult) else [part]:
                if isinstance(one, Image | Document) and (one.data or one.url) and not _is_text(one):
                    found[one.data or one.url, one.media_type if one.data else ""] += 1
    return found


def _is_text(part: Image | Document) -> bool:
    return part.media_type.startswith("text/")


def _same_media(before: Asked, after: Asked) -> None:
    assert _media(before) == _media(after)
    told = json.dumps([_documents(after), words(after, "others")], ensure_ascii=False)
    for text in _documents(before):
        assert json.dumps(text, ensure_ascii=False)[1:-1] in told


def _documents(asked: Asked) -> list[str]:
    documents = [part for turn in asked.turns for part in turn.parts if isinstance(part, Document) and _is_text(part)]
    return [part.text or b64decode(part.data).decode() for part in documents]


def _calls(asked: Asked) -> list[ToolCall]:
    return [part for turn in asked.turns for part in turn.parts if isinstance(part, ToolCall)]


def _results(asked: Asked) -> list[ToolResult]:
    return [part for turn in asked.turns for part in turn.parts if isinstance(part, ToolResult)]


def _meant(call: ToolCall) -> Any:
    return {FIELD: call.arguments} if call.custom else json.loads(call.arguments or "{}")


def _same_calls(before: Asked, after: Asked, dropped: list[str], aliases: dict[str, str]) -> None:
    were, are = _calls(before), _calls(after)
    assert [call.name for call in were] == [aliases.get(call.name, call.name) for call in are]
    assert [_meant(call) for call in were] == [_meant(call) for call in are]
    ids = {call.id: number for number, call in enumerate(were)}
    new_ids = {call.id: number for number, call in enumerate(are)}
    assert len(new_ids) == len(are)
    gave, give = _results(before), _results(after)
    assert [ids[result.id] for result in gave] == [new_ids[result.id] for result in give]
    for was, now in zip(gave, give, strict=True):
        error = any(part.text.startswith("Error: ") for part in now.parts if isinstance(part, Text))
        assert now.failed or not was.failed or error or "is_error" in dropped


def _same_tools(before: Asked, after: Asked, aliases: dict[str, str]) -> None:
    if not before.tools:
        return
    assert [tool.name for tool in before.tools] == [aliases.get(tool.name, tool.name) for tool in after.tools]
    for was, now in zip(before.tools, after.tools, strict=True):
        assert was.description in now.description
        if was.kind == now.kind:
            assert set((was.schema or {}).get("properties", ())) == set((now.schema or {}).get("properties", ()))
        else:
            assert (was.kind, now.kind) == ("custom", "function") and list((now.schema or {})["properties"]) == [FIELD]
    was_mode, now_mode = (asked.choice.mode if asked.choice is not None else "auto" for asked in (before, after))
    assert was_mode == now_mode
    if before.choice is not None and after.choice is not None and was_mode == "named":
        assert before.choice.name == aliases.get(after.choice.name, after.choice.name)


def _same_thoughts(before: Asked, after: Asked, dropped: list[str]) -> None:
    proofs = [part for turn in before.turns for part in turn.parts if isinstance(part, Thought) and (part.signature or part.redacted)]
    assert not proofs or "thinking" in dropped  # each has another provider's
    assert not [part for turn in after.turns for part in turn.parts if isinstance(part, Thought) and (part.signature or part.redacted)]


def _thinks(asked: Asked) -> bool:
    return asked.adaptive or bool(asked.thinking_tokens) or asked.effort not in (None, "none")


def _same_bounds(before: Asked, after: Asked, dropped: list[str]) -> None:
    if before.output_cap is not None:
        assert after.output_cap == before.output_cap or after.output_cap == max(16, before.output_cap)
    assert before.stop == after.stop or "stop" in dropped
    assert not _thinks(before) or _thinks(after) or {"reasoning_effort", "thinking"} & set(dropped)
    if before.format is not None and after.format is None:
        assert any(INSTRUCTED in word for word in words(after, "others"))
    elif before.format is not None and after.format is not None:
        assert before.format.kind == after.format.kind
        assert set((before.format.schema or {}).get("properties", ())) == set((after.format.schema or {}).get("properties", ()))
