"""The fields of a request to Gemini: each under either of its two spellings, checked, and complained of by its place."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from penstock.kit.errors import PenstockError

_CAPITAL = re.compile(r"([A-Z])")


@lru_cache(maxsize=256)
def _snake(name: str) -> str:
    return _CAPITAL.sub(r"_\1", name).lower()


def wrong(at: str, what: str) -> PenstockError:
    """The error for a field at a place that is not `what` it must be. Raise it."""
    return PenstockError("invalid_request", f'The field "{at}" must be {what}.', param=at)


class Fields:
    """A JSON object of a request, and where it stands in it. Names are given in camel case; null counts as absent."""

    __slots__ = ("_at", "values")

    def __init__(self, values: dict[str, Any], at: str = "") -> None:
        self.values = values
        self._at = at

    def at(self, name: str) -> str:
        """The place of a field, as the client would write it."""
        return f"{self._at}.{name}" if self._at else name

    def get(self, name: str) -> Any:
        """The value, of whatever type."""
        found = self.values.get(name)
        return self.values.get(_snake(name)) if found is None else found

    def text(self, name: str) -> str | None:
        """A string. Raises invalid_request."""
        found = self.get(name)
        if found is not None and not isinstance(found, str):
            raise wrong(self.at(name), "a string")
        return found

    def number(self, name: str) -> float | None:
        """A number. Raises invalid_request."""
        found = self.get(name)
        if found is not None and (isinstance(found, bool) or not isinstance(found, (int, float))):
            raise wrong(self.at(name), "a number")
        return found

    def whole(self, name: str) -> int | None:
        """An integer, also one written as a float. Raises invalid_request."""
        found = self.number(name)
        if found is not None and (not math.isfinite(found) or found != int(found)):
            raise wrong(self.at(name), "an integer")
        return None if found is None else int(found)

    def flag(self, name: str) -> bool | None:
        """A boolean. Raises invalid_request."""
        found = self.get(name)
        if found is not None and not isinstance(found, bool):
            raise wrong(self.at(name), "true or false")
        return found

    def object(self, name: str) -> Fields | None:
        """An object. Raises invalid_request."""
        found = self.get(name)
        if found is not None and not isinstance(found, dict):
            raise wrong(self.at(name), "an object")
        return Fields(found, self.at(name)) if found is not None else None

    def objects(self, name: str) -> list[Fields]:
        """A list of objects, or one of them; empty where there is none. Raises invalid_request."""
        found = self.get(name)
        items = [] if found is None else found if isinstance(found, list) else [found]
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise wrong(f"{self.at(name)}[{index}]", "an object")
        return [Fields(item, f"{self.at(name)}[{index}]") for index, item in enumerate(items)]

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty where there is none. Raises invalid_request."""
        found = self.get(name)
        if found is not None and not (isinstance(found, list) and all(isinstance(item, str) for item in found)):
            raise wrong(self.at(name), "a list of strings")
        return found or []
