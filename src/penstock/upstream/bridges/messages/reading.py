"""Reading: fields of a client's JSON, each of the type that it must have, or the error that names it."""

from __future__ import annotations

from typing import Any

from penstock.kit.errors import PenstockError

COUNT_LIMIT = 1_000_000_000


def wrong(param: str, what: str) -> PenstockError:
    """The error for a field that makes no sense. Raise it."""
    return PenstockError("invalid_request", f"{param}: {what}", param=param)


def text(value: Any, param: str) -> str:
    """A string; empty where there is none."""
    if value is None:
        return ""
    if type(value) is not str:
        raise wrong(param, "Input should be a string.")
    return value


def truth(value: Any, param: str) -> bool | None:
    """A boolean; None where there is none."""
    if value is None or type(value) is bool:
        return value
    raise wrong(param, "Input should be true or false.")


def number(value: Any, param: str) -> float | None:
    """A number; None where there is none."""
    if value is None:
        return None
    if type(value) is int or type(value) is float:
        if abs(value) > COUNT_LIMIT:
            raise wrong(param, "Input is out of range.")
        return float(value)
    raise wrong(param, "Input should be a number.")


def count(value: Any, param: str) -> int | None:
    """A whole number that is not negative; None where there is none."""
    found = number(value, param)
    if found is None:
        return None
    if found < 0 or found != int(found):
        raise wrong(param, "Input should be a whole number that is not negative.")
    return int(found)


def fields(value: Any, param: str) -> dict[str, Any]:
    """An object; empty where there is none."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise wrong(param, "Input should be an object.")
    return value


def objects(value: Any, param: str) -> list[dict[str, Any]]:
    """A list of objects; empty where there is none."""
    if value is None:
        return []
    if type(value) is not list:
        raise wrong(param, "Input should be a list.")
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise wrong(f"{param}[{index}]", "Input should be an object.")
    return value
