"""Systems: where each wire has the text that instructs the model, and how more of it is added."""

from __future__ import annotations

from collections.abc import Callable

from penstock.rules.tree import COPIED, MISSING, UNREADABLE, Inside, Node, Place, Skip, Spend, changed, closed, is_nothing, opened, value_of

BETWEEN = "\n\n"
"""What stands between two texts."""
_ROLES = ("system", "developer")


def with_system(wire: str, fields: dict[str, Node], text: str, spend: Spend, *, front: bool) -> dict[str, Node]:
    """The fields of a body with `text` before or after all other instructions.

    Raises Skip where the wire has none or the body has them in no way that is known, and what `spend` raises.
    """
    add = _ADDERS.get(wire)
    if add is None:
        raise Skip(f"requests of the wire {wire} have no system text")
    try:
        return add(fields, text, front, spend)
    except UNREADABLE:
        raise Skip("the instructions in the body cannot be read") from None


def _to_chat(fields: dict[str, Node], text: str, front: bool, spend: Spend) -> dict[str, Node]:
    messages = _inside(fields, "messages", spend)
    if not isinstance(messages, list):
        raise Skip("the body has no array of messages")
    leading = _leading(messages, spend)
    spend(COPIED * (len(messages) + len(fields)))
    if not leading:
        return fields | {"messages": [closed({"role": "system", "content": text}), *messages]}
    number = 0 if front else leading - 1
    return _checked(
        changed(
            fields, ("messages", number, "content"), lambda place, spend: _joined(place, text, front, spend, _block(text)), spend, make=True
        )
    )


def _leading(messages: list[Node], spend: Spend) -> int:
    """How many messages at the beginning are instructions."""
    count = 0
    for message in messages:
        inside = opened(message, spend)
        role = inside.get("role") if isinstance(inside, dict) else None
        if role is None or value_of(role, spend) not in _ROLES:
            break
        count += 1
    return count


def _to_messages(fields: dict[str, Node], text: str, front: bool, spend: Spend) -> dict[str, Node]:
    return _checked(changed(fields, ("system",), lambda place, spend: _joined(place, text, front, spend, _block(text)), spend, make=True))


def _to_responses(fields: dict[str, Node], text: str, front: bool, spend: Spend) -> dict[str, Node]:
    return _checked(changed(fields, ("instructions",), lambda place, spend: _joined(place, text, front, spend, None), spend, make=True))


def _to_gemini(fields: dict[str, Node], text: str, front: bool, spend: Spend) -> dict[str, Node]:
    name = "system_instruction" if "system_instruction" in fields else "systemInstruction"
    part = closed({"text": text})

    def add(place: Place, spend: Spend) -> Place:
        if place is MISSING or is_nothing(place):
            return [part]
        parts = opened(place, spend)
        if not isinstance(parts, list):
            raise Skip("the parts of the instructions are no array")
        spend(COPIED * len(parts))
        return [part, *parts] if front else [*parts, part]

    return _checked(changed(fields, (name, "parts"), add, spend, make=True))


def _joined(place: Place, text: str, front: bool, spend: Spend, block: Node | None) -> Place:
    """A text with more text, or an array of blocks with another one."""
    if place is MISSING or is_nothing(place):
        return closed(text)
    inside = opened(place, spend)
    if isinstance(inside, list) and block is not None:
        spend(COPIED * len(inside))
        return [block, *inside] if front else [*inside, block]
    found = None if inside is not None else value_of(place, spend)
    if not isinstance(found, str):
        raise Skip("the instructions in the body are no text" + (" and no array" if block is not None else ""))
    return closed(f"{text}{BETWEEN}{found}" if front else f"{found}{BETWEEN}{text}") if found else closed(text)


def _block(text: str) -> Node:
    return closed({"type": "text", "text": text})


def _inside(fields: dict[str, Node], name: str, spend: Spend) -> Inside | None:
    node = fields.get(name)
    return None if node is None else opened(node, spend)


def _checked(fields: Place) -> dict[str, Node]:
    assert isinstance(fields, dict)  # noqa: S101  a path has at least one step
    return fields


_ADDERS: dict[str, Callable[[dict[str, Node], str, bool, Spend], dict[str, Node]]] = {
    "chat": _to_chat,
    "workers_chat": _to_chat,
    "messages": _to_messages,
    "count_tokens": _to_messages,
    "responses": _to_responses,
    "gemini": _to_gemini,
}
