"""Actions: what a rule does to a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.rules import headers
from penstock.rules.given import is_number, only, wrong
from penstock.rules.paths import read_changeable

TEXT_LIMIT = 32_768
MESSAGE_LIMIT = 1000
MODEL_LIMIT = 256
TAGS_LIMIT = 50
FALLBACKS_LIMIT = 5
_TAG = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Action(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True, omit_defaults=True):
    """One of the below: `do` says which."""

    def check(self, param: str) -> None:
        """See that it can be done. Raises PenstockError."""

    def to_dict(self) -> dict[str, Any]:
        """The action as JSON."""
        shown: dict[str, Any] = msgspec.to_builtins(self)
        return shown


class _Placed(Action, frozen=True):
    """What is done at one place of the body."""

    path: str

    def check(self, param: str) -> None:
        read_changeable(self.path, f"{param}.path")


class RewriteModel(Action, frozen=True, tag="rewrite_model"):
    """Ask for another model."""

    model: str

    def check(self, param: str) -> None:
        _check_model(self.model, f"{param}.model")


class Set(_Placed, frozen=True, tag="set"):
    """Write a value, whatever was there."""

    value: Any


class Default(_Placed, frozen=True, tag="default"):
    """Write a value where there is none, or null."""

    value: Any


class Delete(_Placed, frozen=True, tag="delete"):
    """Take out what is there."""


class Move(Action, frozen=True, tag="move", rename={"source": "from", "target": "to"}):
    """Take a value out and write it elsewhere."""

    source: str
    target: str

    def check(self, param: str) -> None:
        source, target = read_changeable(self.source, f"{param}.from"), read_changeable(self.target, f"{param}.to")
        shorter = min(len(source), len(target))
        if source[:shorter] == target[:shorter]:
            raise wrong("One of the two paths is within the other.", f"{param}.to")


class Append(_Placed, frozen=True, tag="append"):
    """Add an element at the end of an array, or text at the end of text."""

    value: Any


class Prepend(_Placed, frozen=True, tag="prepend"):
    """Add an element at the beginning of an array, or text at the beginning of text."""

    value: Any


class Clamp(_Placed, frozen=True, tag="clamp"):
    """Keep a number within bounds."""

    min: int | float | None = None
    max: int | float | None = None

    def check(self, param: str) -> None:
        super().check(param)
        if not is_number(self.min) and not is_number(self.max):
            raise wrong("Clamp has a min, a max or both.", param)
        if self.min is not None and self.max is not None and self.min > self.max:
            raise wrong("The least is more than the most.", f"{param}.min")


class SetHeader(Action, frozen=True, tag="set_header"):
    """Send a header with this value only."""

    name: str
    value: str

    def check(self, param: str) -> None:
        headers.read_changeable(self.name, f"{param}.name")
        headers.check_value(self.value, f"{param}.value")


class DeleteHeader(Action, frozen=True, tag="delete_header"):
    """Do not send a header."""

    name: str

    def check(self, param: str) -> None:
        headers.read_changeable(self.name, f"{param}.name")


class _Instructing(Action, frozen=True):
    text: str

    def check(self, param: str) -> None:
        if not 1 <= len(self.text) <= TEXT_LIMIT:
            raise wrong(f"The text has 1 to {TEXT_LIMIT} characters.", f"{param}.text")


class PrependSystem(_Instructing, frozen=True, tag="prepend_system"):
    """Say something to the model before all other instructions."""


class AppendSystem(_Instructing, frozen=True, tag="append_system"):
    """Say something to the model after all other instructions."""


class Route(Action, frozen=True, tag="route"):
    """Use only channels that have any of these tags."""

    tags: list[str]

    def check(self, param: str) -> None:
        if not 1 <= len(self.tags) <= TAGS_LIMIT or not all(_TAG.fullmatch(tag) for tag in self.tags):
            raise wrong(f"There are 1 to {TAGS_LIMIT} tags, each of up to 64 letters, digits and . _ : -", f"{param}.tags")


class Fallback(Action, frozen=True, tag="fallback"):
    """Ask these models, one after the other, when no channel can answer with the one that is asked for."""

    models: list[str]

    def check(self, param: str) -> None:
        if not 1 <= len(self.models) <= FALLBACKS_LIMIT:
            raise wrong(f"There are 1 to {FALLBACKS_LIMIT} models to fall back to.", f"{param}.models")
        for place, model in enumerate(self.models):
            _check_model(model, f"{param}.models.{place}")


class Refuse(Action, frozen=True, tag="refuse"):
    """Refuse the request."""

    message: str
    status: int = 403

    def check(self, param: str) -> None:
        if not 1 <= len(self.message) <= MESSAGE_LIMIT or not self.message.replace("\n", "").isprintable():
            raise wrong(f"The message has 1 to {MESSAGE_LIMIT} printable characters.", f"{param}.message")
        if not 400 <= self.status <= 499:
            raise wrong("The status is one from 400 to 499.", f"{param}.status")


class KeepRecord(Action, frozen=True, tag="record"):
    """Keep a record of the request, or keep none."""

    value: bool


KINDS: dict[str, type[Action]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        RewriteModel, Set, Default, Delete, Move, Append, Prepend, Clamp, SetHeader, DeleteHeader, PrependSystem, AppendSystem,
        Route, Fallback, Refuse, KeepRecord,
    )
}  # fmt: skip
PER_ATTEMPT = (Set, Default, Delete, Move, Append, Prepend, Clamp, SetHeader, DeleteHeader, PrependSystem, AppendSystem)
"""What can still be done when the channel is known."""


def _check_model(model: str, param: str) -> None:
    if not 1 <= len(model) <= MODEL_LIMIT or not model.isprintable() or model.strip() != model:
        raise wrong(f"A model's name has 1 to {MODEL_LIMIT} printable characters and no blanks around it.", param)


def read_action(given: Any, param: str) -> Action:
    """An action. Raises PenstockError."""
    do = given.get("do") if isinstance(given, Mapping) else None
    kind = KINDS.get(do) if isinstance(do, str) else None
    if kind is None:
        raise wrong(f"An action is an object whose `do` is one of {', '.join(KINDS)}.", f"{param}.do")
    only(given, ("do", *kind.__struct_encode_fields__), f"The action {do}", param)
    for name in kind.__struct_encode_fields__[: len(kind.__struct_fields__) - len(kind.__struct_defaults__)]:
        if name not in given:
            raise wrong(f"The action {do} needs this field.", f"{param}.{name}")
    try:
        action: Action = msgspec.convert(given, kind)
    except msgspec.ValidationError as exc:
        what, _, where = str(exc).partition(" - at `$")
        raise wrong(f"{what}.", param + where.rstrip("`").replace("[", ".").replace("]", "")) from None
    action.check(param)
    return action
