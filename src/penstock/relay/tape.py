"""Tape: the beginning of a body that passes by, kept for the record."""

from __future__ import annotations


class Tape:
    """At most `limit_bytes` of a body, in pieces. `cut`: there was more."""

    __slots__ = ("_room", "cut", "pieces")

    def __init__(self, limit_bytes: int) -> None:
        self._room = limit_bytes
        self.pieces: list[bytes] = []
        self.cut = False

    def add(self, data: bytes) -> None:
        """Keep a piece, as far as there is room."""
        room = self._room
        if len(data) > room:
            self.cut = True
            data = data[:room]
        if data:
            self.pieces.append(data)
            self._room = room - len(data)
