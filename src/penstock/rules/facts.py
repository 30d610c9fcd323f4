"""Facts: what rules can know of a request. What must be taken out of the body or the headers is, when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.rules.headers import edited, read_lines
from penstock.rules.paths import Path
from penstock.rules.tree import MISSING, UNREADABLE, Exhausted, Inside, Node, Place, element, opened, read_object, value_of

if TYPE_CHECKING:
    from penstock.rules.verdict import Verdict

_FOLDER = "models/"
"""Google's names of models may begin with it; on the way there it is put before them or left out."""
LEAST_EFFORT = 1 << 24
EFFORT_PER_BYTE = 8
"""Bytes that rules may go through for one request: so many, and so many for each byte of the body."""


class Facts:
    """One request as it comes to the rules.

    `headers` are the lines that are sent on, `name: value` with CRLF after each, names in lower case. `body` is JSON text, or None: a
    form, an upload, or nothing. `input_tokens` is an estimate. `channel` and `tags` are those of an attempt.
    """

    __slots__ = (
        "_fields", "_headers", "_inside", "_read", "_spent", "_values", "body", "channel", "headers", "input_tokens", "key_id", "key_name",
        "model", "now_ms", "stream", "tags", "wire",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917  by position, which is the fast way
        self, wire: str, model: str | None, key_id: str | None, key_name: str, headers: bytes, body: bytes | None, input_tokens: int,
        stream: bool, now_ms: int,
    ) -> None:  # fmt: skip
        self.wire = wire
        self.model = model if model is None or not model.startswith(_FOLDER) else model[len(_FOLDER) :]
        self.key_id = key_id
        self.key_name = key_name
        self.headers = headers
        self.body = body
        self.input_tokens = input_tokens
        self.stream = stream
        self.now_ms = now_ms
        self.channel: str | None = None
        self.tags: frozenset[str] = frozenset()
        self._spent = 0
        self._read = False
        self._headers: dict[str, tuple[str, ...]] | None = None

    def after(self, verdict: Verdict | None) -> Facts:
        """The request as a verdict has left it. The estimate of tokens stays the first one."""
        if verdict is None or (verdict.model is None and verdict.body is None and not verdict.headers):
            return self
        return self._like(
            self.model if verdict.model is None else verdict.model,
            edited(self.headers, verdict.headers) if verdict.headers else self.headers,
            self.body if verdict.body is None else verdict.body,
        )

    def at(self, channel: str, tags: frozenset[str]) -> Facts:
        """The request as it is about to go to a channel."""
        facts = self._like(self.model, self.headers, self.body)
        facts.channel, facts.tags = channel, tags
        return facts

    def _like(self, model: str | None, headers: bytes, body: bytes | None) -> Facts:
        return Facts(self.wire, model, self.key_id, self.key_name, headers, body, self.input_tokens, self.stream, self.now_ms)

    @property
    def fields(self) -> dict[str, Node] | None:
        """The fields of the body, closed; None if it is no JSON object. Raises Exhausted."""
        if not self._read:
            self._fields = None if self.body is None else read_object(self.body)
            self._read = True
            self._values: dict[Path, Any] = {}
            self._inside: dict[Path, Inside | None] = {}
        return self._fields

    def header(self, name: str) -> tuple[str, ...]:
        """The values of the headers of a lower-case name."""
        if self._headers is None:
            if name.encode("ascii") not in self.headers:
                return ()
            self._headers = read_lines(self.headers)
        return self._headers.get(name, ())

    def value(self, path: Path) -> Any:
        """What is at a place of the body; MISSING if nothing is, or nothing that can be read. Raises Exhausted."""
        if self.fields is None:
            return MISSING
        value = self._values.get(path, self)
        if value is self:
            node = self._place(path)
            value = MISSING
            if node is not MISSING:
                try:
                    value = value_of(node, self.spend)
                except UNREADABLE:
                    pass
            self._values[path] = value
        return value

    def has(self, path: Path) -> bool:
        """Whether something is at a place of the body, be it null. Raises Exhausted."""
        return self.fields is not None and self._place(path) is not MISSING

    def rest(self) -> None:
        """Count from nothing again: what one owner's rules have gone through is not taken from another's."""
        self._spent = 0

    def spend(self, effort: int) -> None:
        """Count bytes that are gone through. Raises Exhausted when they are too many: then these are not, and fewer may still be."""
        spent = self._spent + effort
        if spent > LEAST_EFFORT + EFFORT_PER_BYTE * len(self.body or b""):
            raise Exhausted
        self._spent = spent

    def _place(self, path: Path) -> Place:
        before = path[:-1]
        if not before:
            return element(self._fields, path[-1])
        inside = self._inside.get(before, MISSING)
        if inside is MISSING:
            inside = self._inside[before] = self._open(before)
        return element(inside, path[-1])

    def _open(self, path: Path) -> Inside | None:
        node = self._place(path)
        if node is MISSING:
            return None
        try:
            return opened(node, self.spend)
        except UNREADABLE:
            return None
