"""What is lost on the way from one wire to another: noted and shown, or refused; never silent."""

from __future__ import annotations

import re

from penstock.kit.errors import PenstockError

SHOWN = 20
_UNSHOWABLE = re.compile(r"[^A-Za-z0-9_.\[\]-]")


class Dropped:
    """The names of what the target wire cannot say and an answer can do without, in order.

    `aliases` are names of tools that were changed because the target wire does not allow them: the client's by what was sent.
    """

    __slots__ = ("aliases", "names")

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.aliases: dict[str, str] = {}

    def note(self, name: str) -> None:
        """`name` was left out: a field of the request, or what a part of it is, such as `thinking` of another provider."""
        self.names[_UNSHOWABLE.sub("", name)[:64] or "unnamed"] = None

    def header(self) -> bytes:
        """The header line that tells the client; empty when all was said."""
        if not self.names:
            return b""
        names = list(self.names)
        more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
        return b"x-penstock-dropped: %b\r\n" % ", ".join(names[:SHOWN] + more).encode("ascii")


def refuse(what: str, wire: str, param: str | None = None) -> PenstockError:
    """The error for what cannot be left out and that `wire` has no way to say. Raise it."""
    return PenstockError(
        "cannot_translate",
        f"{what} cannot be said in the protocol of the provider that serves this model ({wire}). Leave it out, or use another model.",
        param=param,
    )
