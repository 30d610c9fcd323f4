r"""Paths: where in a JSON body something is, such as `messages.-1.content`.

Dots between names, `\.` for a dot within a name and `\\` for a backslash. What looks like a whole number counts the elements of an
array, from the end if it is negative; in an object it is a name like any other.
"""

from __future__ import annotations

import re

from penstock.rules.given import wrong

LENGTH_LIMIT = 200
DEPTH_LIMIT = 16

Step = str | int
Path = tuple[Step, ...]

_NAME = re.compile(r"(?:[^.\\]|\\[.\\])+")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,8}")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r"[.\\]")

FIXED = frozenset(("model", "stream", "stream_options"))
"""Fields of a body that no action may touch: what the gateway goes by."""


def read_path(text: str, param: str) -> Path:
    """The steps of a path. Raises PenstockError."""
    if not text or len(text) > LENGTH_LIMIT:
        raise wrong(f"A path has 1 to {LENGTH_LIMIT} characters.", param)
    steps: list[Step] = []
    position = 0
    while True:
        name = _NAME.match(text, position)
        if name is None:
            raise wrong(r"A path is names between dots, such as messages.-1.content; a dot within a name is \. and a backslash \\.", param)
        steps.append(int(name[0]) if _NUMBER.fullmatch(name[0]) else _ESCAPED.sub(r"\1", name[0]))
        position = name.end()
        if position == len(text):
            break
        if text[position] != ".":
            raise wrong(r"A backslash in a path stands before a dot or another backslash.", param)
        position += 1
    if len(steps) > DEPTH_LIMIT:
        raise wrong(f"A path has at most {DEPTH_LIMIT} steps.", param)
    return tuple(steps)


def read_changeable(text: str, param: str) -> Path:
    """The steps of a path to something that a rule may change. Raises PenstockError."""
    path = read_path(text, param)
    if path[0] in FIXED:
        hint = "Use rewrite_model for the model." if path[0] == "model" else "It is the client's to say how it wants its answer."
        raise wrong(f"Rules do not change {path[0]}. {hint}", param)
    return path


def show_path(path: tuple[Step, ...]) -> str:
    """A path as it is written."""
    return ".".join(_SPECIAL.sub(r"\\\g<0>", step) if isinstance(step, str) else str(step) for step in path)
