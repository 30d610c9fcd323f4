"""Fields: a JSON object of a client's, read field by field, with errors that name the field as the client would write it."""

from __future__ import annotations

from typing import Any

from penstock.kit.errors import PenstockError


def wrong(param: str, must: str) -> PenstockError:
    """The error for a field that is not what it `must` be. Raise it."""
    return PenstockError("invalid_request", f'The field "{param}" must be {must}.', param=param)


class Fields:
    """An object that is at `where` in the request ("" for the whole of it). What has been taken is gone; null counts as absent."""

    __slots__ = ("_where", "left")

    def __init__(self, value: Any, where: str = "") -> None:
        if not isinstance(value, dict):
            raise wrong(where, "an object")
        self.left: dict[str, Any] = dict(value)
        self._where = where

    def at(self, name: str) -> str:
        """The field's own place."""
        return f"{self._where}.{name}" if self._where else name

    def any(self, name: str) -> Any:
        """A field of any type."""
        return self.left.pop(name, None)

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.left.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise wrong(self.at(name), "a string")
        return value

    def needed(self, name: str) -> str:
        """A string that has to be there, and not be empty."""
        value = self.text(name)
        if not value:
            raise wrong(self.at(name), "a string that is not empty")
        return value

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self.left.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise wrong(self.at(name), "true or false")
        return value

    def number(self, name: str) -> float | None:
        """A number."""
        value = self.left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(self.at(name), "a number")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self.number(name)
        if isinstance(value, float):
            if not value.is_integer():
                raise wrong(self.at(name), "a whole number")
            return int(value)
        return value

    def object(self, name: str) -> dict[str, Any] | None:
        """An object."""
        value = self.left.pop(name, None)
        if value is not None and not isinstance(value, dict):
            raise wrong(self.at(name), "an object")
        return value

    def inner(self, name: str) -> Fields | None:
        """An object whose fields are to be read."""
        value = self.object(name)
        return None if value is None else Fields(value, self.at(name))

    def list(self, name: str) -> list[Any]:
        """A list; empty where there is none."""
        value = self.left.pop(name, None)
        if value is None:
            return []
        if not isinstance(value, list):
            raise wrong(self.at(name), "a list")
        return value
