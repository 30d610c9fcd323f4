"""Tree: a JSON body that is opened only where something is looked at or changed. What stays closed keeps its bytes."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, cast

import msgspec

from penstock.rules.paths import Path, Step, show_path

Node = msgspec.Raw | dict[str, "Node"] | list["Node"]
"""Closed, or opened: an object or an array of nodes. Nothing opened is ever changed in place."""


Inside = dict[str, Node] | list[Node]


class _Missing(Enum):
    MISSING = 0


MISSING: Final = _Missing.MISSING
Place = Node | _Missing
Spend = Callable[[int], None]
"""Is told how many bytes are gone through, and raises something of its own when they are too many."""
Change = Callable[[Place, Spend], Place]
"""Gets what is somewhere or MISSING, and gives what shall be there, or MISSING to take it out. May raise Skip."""

UNREADABLE = (ValueError,)
"""What the decoder raises for what is no JSON or holds no UTF-8."""


class Skip(Exception):
    """An action cannot be applied to this request; the reason is in words."""


class Exhausted(Exception):
    """The rules would have to go through more bytes than they may for one request, or deeper than they can."""


_object = cast("Callable[[Any], dict[str, Node]]", msgspec.json.Decoder(dict[str, msgspec.Raw]).decode)
_array = cast("Callable[[Any], list[Node]]", msgspec.json.Decoder(list[msgspec.Raw]).decode)
_any: Callable[[Any], Any] = msgspec.json.Decoder().decode
encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_NULL = b"null"
_DIGITS = b"-0123456789"
_OPENING = b"{["
_BRACE = ord("{")
COPIED = 16
"""Bytes to copy for each element of what is changed."""
_MADE, _CONTAINER = 20, 200
"""What an element and an object or an array take to be made, in bytes that could be gone through meanwhile."""


def read_object(body: bytes) -> dict[str, Node] | None:
    """The fields of a JSON object, closed; None if the text is none. Of several fields of one name the last one counts.

    Raises Exhausted for what is nested too deeply to be read here, although it could be read elsewhere.
    """
    try:
        return _object(body)
    except RecursionError:
        raise Exhausted from None
    except UNREADABLE:
        return None


def opened(node: Node, spend: Spend) -> Inside | None:
    """The inside of an object or an array; None if it is neither. Raises one of UNREADABLE, Exhausted, and what `spend` raises."""
    if not isinstance(node, msgspec.Raw):
        return node
    view = memoryview(node)
    if view[0] not in _OPENING:
        return None
    spend(view.nbytes)  # before anything is done that takes as long
    spend(_MADE * bytes(node).count(b","))
    try:
        return _object(node) if view[0] == _BRACE else _array(node)
    except RecursionError:
        raise Exhausted from None


def value_of(node: Node, spend: Spend) -> Any:
    """The value as Python has it; a number beyond every float is infinite.

    Raises one of UNREADABLE, Exhausted, and what `spend` raises.
    """
    if not isinstance(node, msgspec.Raw):
        node = msgspec.Raw(encode(node))
    view = memoryview(node)
    spend(view.nbytes)  # before anything is done that takes as long
    if view[0] in _OPENING:
        spend(_effort_within(bytes(node)))
    try:
        return _any(node)
    except RecursionError:
        raise Exhausted from None
    except msgspec.ValidationError:
        text = bytes(node)
        if text[0] in _DIGITS:
            return float(text)
        raise


def _effort_within(text: bytes) -> int:
    """What it takes to make all that is within an object or an array."""
    return _MADE * text.count(b",") + _CONTAINER * (text.count(b"[") + text.count(b"{"))


def is_number(place: Place) -> bool:
    """Whether what is there is a number."""
    return isinstance(place, msgspec.Raw) and memoryview(place)[0] in _DIGITS


def closed(value: Any) -> msgspec.Raw:
    """A node of a value."""
    return msgspec.Raw(encode(value))


def is_nothing(place: Place) -> bool:
    """Whether nothing is there, or null."""
    return place is MISSING or (isinstance(place, msgspec.Raw) and memoryview(place).nbytes == len(_NULL) and bytes(place) == _NULL)


def element(inside: Inside | None, step: Step) -> Place:
    """What is one step further inside."""
    if isinstance(inside, dict):
        return inside.get(step if isinstance(step, str) else str(step), MISSING)
    if isinstance(inside, list) and isinstance(step, int) and -len(inside) <= step < len(inside):
        return inside[step]
    return MISSING


def changed(node: Place, path: Path, change: Change, spend: Spend, *, make: bool, done: int = 0) -> Place:
    """`node` with what is at the end of the path changed; itself if the change gave back what it got.

    `make`: objects on the way that are missing are made, and where there can be none that is a Skip; else nothing happens where
    nothing is. `spend` is told of every byte that is gone through. Raises Skip, and what `spend` raises.
    """
    if done == len(path):
        return change(node, spend)
    step = path[done]
    if is_nothing(node):
        if not make:
            return node
        if isinstance(step, int):
            raise Skip(f"there is no array {_where(path, done)}")
        made = changed(MISSING, path, change, spend, make=make, done=done + 1)
        return node if made is MISSING else {step: made}
    assert node is not MISSING  # noqa: S101  that is nothing
    try:
        inside = opened(node, spend)
    except UNREADABLE:
        raise Skip(f"what is {_where(path, done)} cannot be read") from None
    if inside is None:
        raise Skip(f"what is {_where(path, done)} is neither an object nor an array")
    old = element(inside, step)
    if isinstance(inside, list) and old is MISSING:
        if make:
            raise Skip(f"the array {_where(path, done)} has {len(inside)} elements and no {step!r}")
        return node
    new = changed(old, path, change, spend, make=make, done=done + 1)
    if new is old:
        return node
    spend(COPIED * len(inside))
    return _with(inside, step, new)


def _with(inside: Inside, step: Step, new: Place) -> Node:
    if isinstance(inside, list):
        assert isinstance(step, int)  # noqa: S101  it was found by its number
        elements = inside.copy()
        if new is MISSING:
            del elements[step]
        else:
            elements[step] = new
        return elements
    name = step if isinstance(step, str) else str(step)
    if new is MISSING:
        return {other: node for other, node in inside.items() if other != name}
    return inside | {name: new}


def _where(path: Path, done: int) -> str:
    return f"at {show_path(path[:done])}" if done else "that is the body"
