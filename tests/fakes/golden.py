"""Golden: what a client understands by an answer, told by the grammar of its wire without our own listeners."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel


@dataclass
class Called:
    """A call of a tool, as a client sees it. `text` is the JSON of its arguments, or the input of a custom tool."""

    id: str
    name: str
    text: str = ""
    custom: bool = False


@dataclass
class Golden:
    """What a client understands. `ending`: end, length, refusal, tools; failed with the `failure`'s words."""

    text: str = ""
    refusal: str = ""
    thought: str = ""
    calls: list[Called] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    """In base64."""
    ending: str = ""
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Read in all, of that from a cache; written in all, of that to think."""
    failure: str = ""


def events(stream: bytes, *, named: bool) -> list[dict[str, Any]]:
    """The events: one `data` line each, after a line with its name where the wire has names; nothing is left over."""
    text = stream.decode("utf-8")
    if not text:
        return []
    assert text.endswith("\n\n") and "\r" not in text
    found = []
    for block in text[:-2].split("\n\n"):
        *head, data = block.split("\n")
        assert data.startswith("data: "), block
        value = json.loads(data[6:]) if data != "data: [DONE]" else {"type": "[DONE]"}
        assert isinstance(value, dict)
        assert head == ([f"event: {value['type']}"] if named else []), block
        found.append(value)
    return found


def sound_calls(golden: Golden) -> None:
    """Calls that a client can run: told apart by their ids, their arguments JSON objects if the answer is whole.

    What is wrong with them as the provider has sent them may be wrong as the client gets them: that is for models to mind.
    """
    ids = [call.id for call in golden.calls]
    assert len(set(ids)) == len(ids)
    for call in golden.calls:
        assert call.name
        if not call.custom and golden.ending == "tools":
            assert type(json.loads(call.text)) is dict


def in_data_url(url: str) -> str:
    """The base64 of a data URL."""
    return url.partition(";base64,")[2]


def by_type(union: Any) -> dict[str, type[BaseModel]]:
    """The classes of a union of events, by the `type` that they are for: a union tries them all."""
    classes = get_args(get_args(union)[0])
    return {name: one for one in classes for name in get_args(one.model_fields["type"].annotation)}
