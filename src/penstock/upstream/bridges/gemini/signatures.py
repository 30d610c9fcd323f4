"""Signatures: what stands in `thoughtSignature`, which is base64 for every SDK, so what is sealed for others is wrapped once more."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64decode

from penstock.upstream.bridges.conversation import Thought
from penstock.upstream.bridges.sealed import MARK, seal, unseal

WIRE = "gemini"
ANY = "skip_thought_signature_validator"
"""What Google documents for calls that no Gemini has made: since Gemini 3 a call without any signature is refused."""
_MARKED = b64encode(MARK.encode()).decode()
"""How what is sealed begins in base64: the mark is six bytes long, so this does not depend on what follows."""
_GENERATION = re.compile(r"gemini-(\d+)")


def shown(thought: Thought) -> str:
    """What a client of Gemini's carries for a thought; empty if there is nothing to be carried."""
    if thought.wire == WIRE and not thought.redacted:
        return thought.signature
    if not thought.signature and not thought.redacted:
        return ""
    return b64encode(seal(thought).encode()).decode("ascii")


def given_back(word: str) -> Thought:
    """The thought, without text, that a client has carried: Gemini's own, or what was sealed here."""
    if word.startswith(_MARKED):
        urlsafe = word.rstrip("=").replace("+", "-").replace("/", "_")
        try:
            opened = urlsafe_b64decode(urlsafe + "=" * (-len(urlsafe) % 4)).decode("ascii")
        except ValueError:
            opened = ""
        thought = unseal(opened) if opened.startswith(MARK) else None
        if thought is not None:
            return thought
    return Thought("", word, wire=WIRE)


def generation(model: str) -> int:
    """Which Gemini a model is; those without a number are the newest. 0: none at all."""
    match = _GENERATION.search(model)
    if match is not None:
        return int(match[1][:4])
    return 3 if "gemini" in model else 0
