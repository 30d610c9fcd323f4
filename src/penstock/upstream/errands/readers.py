"""Readers: one parameter of a request each, as JSON or as a form has it, with its range and words for what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from penstock.kit.errors import PenstockError

Reader = Callable[[str, object], object]
"""From the name and the value that was given to the value that is sent on. Raises PenstockError `invalid_request`."""

TEXT_LIMIT = 20_000
PICTURE_LIMIT = 16 * 1024 * 1024
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,12}(\.\d{1,12})?", re.ASCII)
_URL = re.compile(r"https?://[!-~]{1,4096}")
_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/=]+")


def wrong(name: str, words: str) -> PenstockError:
    """The error for a parameter. Raise it."""
    return PenstockError("invalid_request", f"{name} {words}", param=name)


def text(name: str, value: object) -> str:
    """Some text."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(name, "must be text.")
    if len(value) > TEXT_LIMIT:
        raise wrong(name, f"must have {TEXT_LIMIT} characters at most.")
    return value


def whole(low: int, high: int, multiple: int = 1) -> Reader:
    """A whole number within bounds."""

    def read(name: str, value: object) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            value = float(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high or value % multiple:
            steps = f" that {multiple} divides" if multiple > 1 else ""
            raise wrong(name, f"must be a whole number of {low} to {high}{steps}.")
        return value

    return read


def number(low: float, high: float) -> Reader:
    """A number within bounds."""

    def read(name: str, value: object) -> float:
        if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
            raise wrong(name, f"must be a number of {low:g} to {high:g}.")
        return value

    return read


def one_of(*choices: str) -> Reader:
    """One of some words."""

    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or value.strip() not in choices:
            raise wrong(name, f"must be one of {', '.join(choices)}.")
        return value.strip()

    return read


def flag(name: str, value: object) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in {"true", "false", "1", "0"}:
        raise wrong(name, "must be true or false.")
    return word in {"true", "1"}


def picture(name: str, value: object) -> str:
    """A picture's URL, or the picture itself as a data URL."""
    given = value.strip() if isinstance(value, str) else ""
    if len(given) > PICTURE_LIMIT:
        raise wrong(name, f"must have {PICTURE_LIMIT} characters at most.")
    if not (_URL if given[:4] == "http" else _DATA_URL).fullmatch(given):
        raise wrong(name, "must be the URL of a picture, of http, https, or data with base64.")
    return given


SEED = whole(0, 2**32 - 1)
"""What makes a picture the same again."""
