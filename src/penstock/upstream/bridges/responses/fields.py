"""Fields of a request: read as what they must be, or refused in words that callers understand."""

from __future__ import annotations

import math
import mimetypes
from base64 import b64encode
from typing import Any
from urllib.parse import unquote_to_bytes

from penstock.kit.errors import PenstockError


def wrong(param: str, must: str) -> PenstockError:
    """The error for a field that is not as it must be. Raise it."""
    return PenstockError("invalid_request", f'The field "{param}" must be {must}.', param=param)


def stateful(what: str, instead: str, param: str) -> PenstockError:
    """The error for what needs OpenAI's memory, which no other provider has. Raise it."""
    return PenstockError("cannot_translate", f"{what} not available for models of other providers. {instead}", param=param)


def text(value: Any, param: str) -> str:
    """A string; null is empty."""
    if value is None:
        return ""
    if type(value) is not str:
        raise wrong(param, "a string")
    return value


def given(value: Any, param: str) -> str:
    """A string that is not empty."""
    found = text(value, param)
    if not found:
        raise wrong(param, "a string that is not empty")
    return found


def number(value: Any, param: str) -> float | None:
    """A number, or null."""
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise wrong(param, "a number")
    return float(value)


def count(value: Any, param: str, least: int) -> int | None:
    """A whole number from `least` on, or null."""
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value < least:
        raise wrong(param, f"a whole number from {least} on")
    return min(value, 1_000_000_000)


def flag(value: Any, param: str) -> bool | None:
    """A boolean, or null."""
    if value is not None and type(value) is not bool:
        raise wrong(param, "true or false")
    return value


def table(value: Any, param: str) -> dict[str, Any]:
    """An object; null is empty."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise wrong(param, "an object")
    return value


def rows(value: Any, param: str) -> list[Any]:
    """A list; null is empty."""
    if value is None:
        return []
    if type(value) is not list:
        raise wrong(param, "a list")
    return value


def data_url(url: str) -> tuple[str, str]:
    """The media type and the base64 of a `data:` URL."""
    head, _, data = url[5:].partition(",")
    media_type = head.split(";", 1)[0].strip().lower()
    if not head.lower().rstrip().endswith(";base64"):
        data = b64encode(unquote_to_bytes(data.encode("utf-8", "replace"))).decode("ascii")
    return media_type, data


def type_of_file(name: str) -> str:
    """The media type by a file's name: a PDF where it says nothing, as OpenAI takes it."""
    return mimetypes.guess_type(name)[0] or "application/pdf"
