"""Effects: actions made ready to be applied, each a function that changes a draft or raises Skip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.rules import actions
from penstock.rules.actions import Action
from penstock.rules.paths import read_path
from penstock.rules.systems import with_system
from penstock.rules.tree import (
    COPIED,
    MISSING,
    UNREADABLE,
    Change,
    Place,
    Skip,
    Spend,
    changed,
    closed,
    is_nothing,
    is_number,
    opened,
    value_of,
)  # fmt: skip
from penstock.rules.verdict import Draft

Effect = Callable[[Draft], None]


def effect_of(action: Action) -> Effect:
    """What an action does. It was checked when it was read."""
    return _MAKERS[type(action)](action)


def _at(path: str, change: Change, *, make: bool) -> Effect:
    steps = read_path(path, "path")

    def effect(draft: Draft) -> None:
        fields = changed(draft.fields, steps, change, draft.facts.spend, make=make)
        assert isinstance(fields, dict)  # noqa: S101  a path has at least one step
        draft.fields = fields

    return effect


def _set(action: actions.Set) -> Effect:
    node = closed(action.value)
    return _at(action.path, lambda _place, _spend: node, make=True)


def _default(action: actions.Default) -> Effect:
    node = closed(action.value)
    return _at(action.path, lambda place, _spend: node if is_nothing(place) else place, make=True)


def _delete(action: actions.Delete) -> Effect:
    return _at(action.path, lambda _place, _spend: MISSING, make=False)


def _move(action: actions.Move) -> Effect:
    source, target = read_path(action.source, "from"), read_path(action.target, "to")

    def effect(draft: Draft) -> None:
        taken: list[Place] = []

        def take(place: Place, _spend: Spend) -> Place:
            taken.append(place)
            return MISSING

        without = changed(draft.fields, source, take, draft.facts.spend, make=False)
        if taken and taken[0] is not MISSING:
            moved = changed(without, target, lambda _place, _spend: taken[0], draft.facts.spend, make=True)
            assert isinstance(moved, dict)  # noqa: S101  a path has at least one step
            draft.fields = moved

    return effect


def _lengthened(value: Any, *, front: bool) -> Change:
    """The change that adds a value at one end of an array or a text."""
    node = closed(value)

    def change(place: Place, spend: Spend) -> Place:
        if place is MISSING or is_nothing(place):
            return node if isinstance(value, str) else [node]
        try:
            inside = opened(place, spend)
            if isinstance(inside, list):
                spend(COPIED * len(inside))
                return [node, *inside] if front else [*inside, node]
            text = None if inside is not None else value_of(place, spend)
        except UNREADABLE:
            raise Skip("what is there cannot be read") from None
        if isinstance(text, str) and isinstance(value, str):
            return closed(value + text if front else text + value)
        raise Skip("what is there is no array, and not both it and the value are text")

    return change


def _append(action: actions.Append) -> Effect:
    return _at(action.path, _lengthened(action.value, front=False), make=True)


def _prepend(action: actions.Prepend) -> Effect:
    return _at(action.path, _lengthened(action.value, front=True), make=True)


def _clamp(action: actions.Clamp) -> Effect:
    least, most = action.min, action.max

    def change(place: Place, spend: Spend) -> Place:
        if place is MISSING or not is_number(place):
            return place
        number = value_of(place, spend)
        if least is not None and number < least:
            return closed(least)
        if most is not None and number > most:
            return closed(most)
        return place

    return _at(action.path, change, make=False)


def _set_header(action: actions.SetHeader) -> Effect:
    name, value = action.name.lower().encode("ascii"), action.value.encode("latin-1")

    def effect(draft: Draft) -> None:
        draft.headers[name] = value

    return effect


def _delete_header(action: actions.DeleteHeader) -> Effect:
    name = action.name.lower().encode("ascii")

    def effect(draft: Draft) -> None:
        draft.headers[name] = None

    return effect


def _rewrite_model(action: actions.RewriteModel) -> Effect:
    model = action.model

    def effect(draft: Draft) -> None:
        if draft.facts.model is None:
            raise Skip("the request names no model")
        draft.model = model

    return effect


def _prepend_system(action: actions.PrependSystem) -> Effect:
    def effect(draft: Draft) -> None:
        draft.fields = with_system(draft.facts.wire, draft.fields, action.text, draft.facts.spend, front=True)

    return effect


def _append_system(action: actions.AppendSystem) -> Effect:
    def effect(draft: Draft) -> None:
        draft.fields = with_system(draft.facts.wire, draft.fields, action.text, draft.facts.spend, front=False)

    return effect


def _route(action: actions.Route) -> Effect:
    tags = tuple(action.tags)

    def effect(draft: Draft) -> None:
        draft.tags = tags

    return effect


def _fallback(action: actions.Fallback) -> Effect:
    models = tuple(action.models)

    def effect(draft: Draft) -> None:
        draft.fallbacks = models

    return effect


def _refuse(action: actions.Refuse) -> Effect:
    def effect(draft: Draft) -> None:
        draft.refused = (action.message, action.status)

    return effect


def _record(action: actions.KeepRecord) -> Effect:
    def effect(draft: Draft) -> None:
        draft.record = action.value

    return effect


_MAKERS: dict[type[Action], Callable[[Any], Effect]] = {
    actions.RewriteModel: _rewrite_model,
    actions.Set: _set,
    actions.Default: _default,
    actions.Delete: _delete,
    actions.Move: _move,
    actions.Append: _append,
    actions.Prepend: _prepend,
    actions.Clamp: _clamp,
    actions.SetHeader: _set_header,
    actions.DeleteHeader: _delete_header,
    actions.PrependSystem: _prepend_system,
    actions.AppendSystem: _append_system,
    actions.Route: _route,
    actions.Fallback: _fallback,
    actions.Refuse: _refuse,
    actions.KeepRecord: _record,
}
