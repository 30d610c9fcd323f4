"""Shapes: records as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

_Body = Annotated[
    str, Field(description="As text; `[base64] ` before what is none, `[truncated]` after what was cut off.", examples=["{}"])
]
_Headers = Annotated[dict[str, str], Field(examples=[{"content-type": "application/json"}])]


class EntryShown(BaseModel):
    """What is known of an exchange without its bodies."""

    id: Annotated[str, Field(description="The request's id, which its charge has too.", examples=["req_..."])]
    created_at: Annotated[str, Field(description="When it ended.", examples=["2027-01-31T12:00:00.123Z"])]
    account_id: str | None
    key_id: str | None
    key_name: str | None = None
    method: Annotated[str, Field(examples=["POST"])]
    path: Annotated[str, Field(examples=["/v1/chat/completions"])]
    wire: Annotated[str, Field(examples=["chat"])]
    model: Annotated[str | None, Field(description="What was asked for.", examples=["gpt-4o"])]
    served_model: Annotated[str | None, Field(description="What the provider was asked for.", examples=["gpt-4o"])]
    channel: Annotated[str, Field(description="Empty: none was asked.", examples=["openai"])]
    status: Annotated[int | None, Field(description="null: nothing was answered.", examples=[200])]
    outcome: Annotated[str, Field(examples=["complete"])]
    streamed: bool
    duration_ms: int
    first_byte_us: Annotated[int, Field(description="Until the answer began; 0: not known.")]
    cost_nano: int
    input_tokens: int
    output_tokens: int
    request_bytes: Annotated[int, Field(description="Of the body, as far as it was kept.")]
    response_bytes: int
    rules: Annotated[list[str], Field(description="Ids of the rules that were applied.", examples=[["rul_..."]])]


class EntryPage(BaseModel):
    """Some records, the latest first."""

    data: list[EntryShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]
    complete: Annotated[
        bool,
        Field(description="false: looking for more would have taken too long; go on with `next`, even where `data` is short or empty."),
    ]


class MessageShown(BaseModel):
    """A request or an answer, as it was on the wire."""

    headers: _Headers
    body: _Body
    truncated: bool


class SentShown(BaseModel):
    """The request that went out to the provider."""

    line: Annotated[str, Field(examples=["POST /v1/chat/completions HTTP/1.1"])]
    headers: _Headers
    body: Annotated[str | None, Field(description="null: as the rules have left it.")]
    truncated: bool


class AnswerShown(MessageShown):
    """An answer."""

    status: Annotated[int | None, Field(examples=[200])]


class WireShown(BaseModel):
    """The exchange on the wire, layer by layer."""

    request: Annotated[MessageShown, Field(description="What the client sent.")]
    ruled: Annotated[MessageShown | None, Field(description="What the rules have made of it; null: they left it as it was.")]
    sent: Annotated[SentShown | None, Field(description="null: nothing was sent, or it was not written down.")]
    answer: Annotated[AnswerShown | None, Field(description="What the provider answered; null: what the client got.")]
    response: Annotated[AnswerShown | None, Field(description="What the client got; null: nothing.")]
    attempts: Annotated[list[str], Field(description="Channels that failed before, and why.", examples=[["spare: 503"]])]
    rules: list[str]
    shadow_rules: Annotated[list[str], Field(description="Rules in shadow mode, which would have been applied.")]
    estimated: Annotated[bool, Field(description="The provider did not say what was consumed.")]
    phases_us: Annotated[dict[str, int], Field(description="Microseconds of each phase.", examples=[{"admit": 120, "connect": 900}])]


class RecordShown(EntryShown):
    """A record. Where its bodies are gone `record` is null and `missing` says why."""

    record: WireShown | None
    missing: str | None
    receipt: Annotated[str | None, Field(description="Where its charge is explained.", examples=["/api/charges/req_.../receipt"])]


class ChangeShown(BaseModel):
    """One thing that a layer has changed."""

    at: Annotated[str, Field(description="A place in the JSON, a header, or the number of a line.", examples=["messages[0].content"])]
    how: Literal["added", "removed", "changed"]
    before: str | None
    after: str | None


class LayerShown(BaseModel):
    """What one layer has changed."""

    layer: Annotated[
        Literal["rules", "sent", "answer"],
        Field(
            description="`rules`: of what the client sent; `sent`: of that, before it went out; `answer`: of what the provider answered."
        ),
    ]
    headers: list[ChangeShown]
    body: list[ChangeShown]
    by: Literal["path", "line"]
    complete: Annotated[bool, Field(description="false: there is more than is told here.")]


class DiffShown(BaseModel):
    """What the gateway has changed of an exchange."""

    data: list[LayerShown]


class PolicyShown(BaseModel):
    """What an account wants of its records."""

    record: Annotated[bool, Field(description="Everything of the account is recorded, whichever its key.")]
    retention_days: Annotated[int | None, Field(description="null: as long as the operator keeps records.")]
    redact_paths: Annotated[list[str], Field(examples=[["messages.*.content"]])]
    redact_patterns: Annotated[list[str], Field(examples=[["[0-9]{16}"]])]
    updated_at: str | None


class StateShown(BaseModel):
    """How recording does, in the process that answers. Members are told whether it runs, and no more."""

    running: bool
    stopped_because: str | None
    dropped: Annotated[int | None, Field(description="Records lost since the process started.")]
    waiting: Annotated[int | None, Field(description="Records that are not written yet.")]


class Cleared(BaseModel):
    """How many records were deleted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cleared": 120}]})

    cleared: int


class Written(JSONResponse):
    """JSON that was written already, which no browser takes for anything else."""

    def __init__(self, content: bytes, status_code: int = 200) -> None:
        super().__init__(content, status_code, {"x-content-type-options": "nosniff", "cache-control": "no-store"})

    def render(self, content: bytes) -> bytes:
        """The content as it is."""
        return content
