"""Thoughts in the text: `<think>...</think>` before an answer, told apart from it."""

from __future__ import annotations

OPENING = "<think>"
CLOSING = "</think>"


def parted(text: str) -> tuple[str, str]:
    """The thought and the answer of a whole text. Some models leave the opening tag out: then all before the closing one is thought."""
    head, closing, rest = text.partition(CLOSING)
    opened = head.lstrip().startswith(OPENING)
    if not closing:
        # Cut off while it was thinking.
        return (head.lstrip().removeprefix(OPENING).strip(), "") if opened else ("", text)
    if not opened and OPENING in head:
        return "", text
    return head.lstrip().removeprefix(OPENING).strip(), rest.lstrip()


class Thinking:
    """Parts a stream of text as it comes. Without an opening tag it is all answer: what has been shown cannot be taken back."""

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._state = "begin"
        self._held = ""

    @property
    def settled(self) -> bool:
        """All that follows is answer: nothing more has to be looked at."""
        return self._state == "answer"

    def more(self, text: str) -> tuple[str, str]:
        """Thought and answer in what has come, as far as it is certain."""
        text, self._held = self._held + text, ""
        if self._state == "begin":
            begun = text.lstrip()
            if len(begun) < len(OPENING) and OPENING.startswith(begun):
                self._held = text
                return "", ""
            if not begun.startswith(OPENING):
                self._state = "answer"
                return "", text
            self._state, text = "thought", begun[len(OPENING) :].lstrip("\n")
        if self._state == "gap":
            text = text.lstrip()
            if text:
                self._state = "answer"
            return "", text
        if self._state == "answer":
            return "", text
        thought, closing, answer = text.partition(CLOSING)
        if closing:
            answer = answer.lstrip()
            self._state = "answer" if answer else "gap"
            return thought, answer
        keep = _begun(thought)
        self._held = thought[len(thought) - keep :]
        return thought[: len(thought) - keep], ""

    def rest(self) -> tuple[str, str]:
        """What was held back when the stream ended."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thought" else ("", held)


def _begun(text: str) -> int:
    """How many characters at the end may be the beginning of the closing tag."""
    return next((size for size in range(len(CLOSING) - 1, 0, -1) if text.endswith(CLOSING[:size])), 0)
