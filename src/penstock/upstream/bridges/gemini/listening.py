"""Listening: a stream of Gemini's, chunk by chunk."""

from __future__ import annotations

import msgspec

from penstock.kit.ids import new_id
from penstock.kit.sse import payload
from penstock.upstream.bridges.conversation import Failure, Image
from penstock.upstream.bridges.gemini import finishes
from penstock.upstream.bridges.gemini.failures import failure_in
from penstock.upstream.bridges.gemini.replies import Candidate, Piece, Response, arguments_in, blocked, read_chunk, usage_in
from penstock.upstream.bridges.gemini.signatures import WIRE
from penstock.upstream.bridges.side import Teller


class GeminiListener:
    """Reads chunks and tells of the first candidate. Every chunk has the usage so far; only the first and the last are looked at."""

    __slots__ = ("_begun", "_calls", "_figures", "_said", "_teller")

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._begun = False
        self._calls = 0
        self._said = False
        self._figures = msgspec.Raw()

    def event(self, event: bytes) -> None:
        """One event."""
        data = payload(event.rstrip(b"\r\n"))
        if not data or self._teller.ended:
            return
        try:
            chunk = read_chunk(data)
        except (ValueError, RecursionError):
            return
        if chunk.error:
            failure = failure_in({"error": chunk.error})
            self._teller.fail(failure or Failure(502, "The provider has reported an error.", "upstream_broken"))
            return
        if chunk.usage_metadata:
            self._figures = chunk.usage_metadata.copy()
        if not self._begun:
            self._begin(chunk)
        for candidate in chunk.candidates or ():
            if not candidate.index and not self._teller.ended:
                self._hear(candidate)
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and not self._teller.ended:
            if not self._said:
                self._teller.refusal(blocked(feedback))
            self._teller.end("refusal", usage_in(self._figures))

    def over(self) -> None:
        """The stream has ended: without a reason to, if it has not been told yet."""
        if not self._teller.ended:
            self._teller.fail(Failure(502, "The provider's answer broke off.", "upstream_broken"))

    def _begin(self, chunk: Response) -> None:
        self._begun = True
        usage = usage_in(self._figures) if self._figures else None
        self._teller.begin(chunk.response_id or "", chunk.model_version or "", usage)

    def _hear(self, candidate: Candidate) -> None:
        if candidate.content is not None:
            for piece in candidate.content.parts or ():
                self._tell(piece)
        finish = candidate.finish_reason or ""
        if not finishes.ended(finish):
            return
        if not self._said and finishes.failed(finish):
            self._teller.fail(Failure(502, candidate.finish_message or f"The model has said nothing and ended with {finish}.", finish))
            return
        stop = finishes.stop_of(finish, calls=self._calls > 0)
        if stop == "refusal" and not self._said:
            self._teller.refusal(candidate.finish_message or f"The provider has stopped the answer: {finish}.")
        self._teller.end(stop, usage_in(self._figures))

    def _tell(self, piece: Piece) -> None:
        teller = self._teller
        call = piece.function_call
        if call is not None and call.name:
            index = self._calls
            self._calls += 1
            teller.tool(index, call.id or new_id("call"), call.name, signature=piece.thought_signature or "")
            teller.arguments(index, arguments_in(call.args))
        elif piece.inline_data is not None:
            if not piece.inline_data.mime_type.startswith("image/"):
                return
            teller.image(Image(piece.inline_data.mime_type, piece.inline_data.data))
        elif piece.thought:
            if piece.text:
                teller.thought(piece.text)
            if piece.thought_signature:
                teller.signed(piece.thought_signature, WIRE)
        elif piece.text:
            teller.text(piece.text)
        else:
            return
        self._said = True
