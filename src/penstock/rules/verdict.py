"""Verdict: what rules have made of a request, and the draft of one while they are at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from penstock.rules.facts import Facts
from penstock.rules.headers import HeaderEdits
from penstock.rules.tree import Node, Skip, encode

if TYPE_CHECKING:
    from penstock.rules.ruleset import CompiledRule


class Refusal(NamedTuple):
    """Which rule has refused the request, and what the client is told."""

    rule_id: str
    message: str
    status: int


class Verdict:
    """What the rules that matched have made of a request. None, or empty: as it was."""

    __slots__ = ("body", "fallbacks", "fired", "headers", "late", "model", "record", "refusal", "shadowed", "skipped", "stopped", "tags")

    def __init__(self) -> None:
        self.model: str | None = None
        self.body: bytes | None = None
        """JSON text."""
        self.headers: HeaderEdits = ()
        self.tags: tuple[str, ...] | None = None
        """Only channels that have any of these."""
        self.fallbacks: tuple[str, ...] | None = None
        """The models to ask when no channel can answer with the one that is asked for."""
        self.refusal: Refusal | None = None
        """If there is one, nothing else was changed."""
        self.record: bool | None = None
        self.fired: tuple[str, ...] = ()
        """Ids of the rules that matched."""
        self.shadowed: tuple[str, ...] = ()
        """Ids of those that matched in shadow mode, and so changed nothing."""
        self.skipped: tuple[tuple[str, str], ...] = ()
        """Ids of rules of which something could not be done, and why."""
        self.late: tuple[CompiledRule, ...] = ()
        """Rules that depend on the channel, for `apply_late` at each attempt."""
        self.stopped: CompiledRule | None = None
        """The rule after which none of its stage counted."""

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__slots__ if getattr(self, name) not in (None, ()))
        return f"Verdict({', '.join(shown)})"


class Draft:
    """A request while rules are changing it."""

    __slots__ = ("_fields", "facts", "fallbacks", "headers", "model", "record", "refused", "tags")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.model: str | None = None
        self.headers: dict[bytes, bytes | None] = {}
        self.tags: tuple[str, ...] | None = None
        self.fallbacks: tuple[str, ...] | None = None
        self.refused: tuple[str, int] | None = None
        self.record: bool | None = None
        self._fields: dict[str, Node] | None = None

    @property
    def fields(self) -> dict[str, Node]:
        """The body as it is by now; what is written here takes its place. Raises Skip if the body is no JSON object."""
        if self._fields is not None:
            return self._fields
        fields = self.facts.fields
        if fields is None:
            raise Skip("the body is no JSON object")
        return fields

    @fields.setter
    def fields(self, fields: dict[str, Node]) -> None:
        if fields is not self.facts.fields:
            self._fields = fields

    def settle(self, verdict: Verdict) -> None:
        """Write down what has come of it."""
        verdict.record = self.record
        if verdict.refusal is None:
            verdict.model, verdict.tags, verdict.headers = self.model, self.tags, tuple(self.headers.items())
            verdict.fallbacks = self.fallbacks
            if self._fields is not None:
                verdict.body = encode(self._fields)
