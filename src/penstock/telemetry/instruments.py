"""Instruments: the GenAI metrics of OpenTelemetry, with the bucket bounds that its conventions give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.telemetry.seen import Seen
from penstock.telemetry.words import operation, provider, shown

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
FIRST_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
ARRIVED, CALLED, HEAD, ENDED = 0, 3, 5, 6
"""Places among the marks."""


class Instruments:
    """All that is counted. Only exchanges for which a provider was asked are: what was refused is in the spans and in `/metrics`."""

    def __init__(self, meter: Meter) -> None:
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Input and output tokens used.", explicit_bucket_boundaries_advisory=TOKENS
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "The provider's part, with all attempts.", explicit_bucket_boundaries_advisory=SECONDS
        )
        self._request = meter.create_histogram(
            "gen_ai.server.request.duration", "s", "The whole request.", explicit_bucket_boundaries_advisory=SECONDS
        )
        self._first = [
            meter.create_histogram(name, "s", "Until a stream begins.", explicit_bucket_boundaries_advisory=bounds)
            for name, bounds in (
                ("gen_ai.server.time_to_first_token", FIRST_SECONDS),
                ("gen_ai.client.operation.time_to_first_chunk", SECONDS),
            )
        ]

    def count(self, seen: Seen) -> None:
        """Count one exchange."""
        lane, marks = seen.lane, seen.marks
        if lane is None or len(marks) <= CALLED:
            return
        of = {"gen_ai.operation.name": operation(seen.wire), "gen_ai.provider.name": provider(lane.channel.provider.name)}
        if lane.model is not None:
            of["gen_ai.request.model"] = shown(lane.model)
        usage = seen.usage
        if usage is not None and usage.calls:
            self._tokens.record(usage.context_tokens(), of | {"gen_ai.token.type": "input"})
            self._tokens.record(usage.output_tokens + usage.output_audio_tokens, of | {"gen_ai.token.type": "output"})
        if len(marks) > ENDED and seen.ask is not None and seen.ask.stream and seen.trying[1] and seen.trying[1] < 400:
            self._first[0].record((marks[HEAD] - marks[ARRIVED]) / 1e9, of)
            self._first[1].record((marks[HEAD] - marks[CALLED]) / 1e9, of)
        if seen.code or seen.status >= 400:
            of["error.type"] = seen.code or str(seen.status)
        self._duration.record((marks[min(ENDED, len(marks) - 1)] - marks[CALLED]) / 1e9, of)
        self._request.record((marks[-1] - marks[ARRIVED]) / 1e9, of)
