"""Replay: a recorded request is sent again, to other models, as its key and on its account, and the answers are put side by side."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from penstock.accounts.identity import Identity
from penstock.accounts.models import OPERATOR
from penstock.billing.bill import Bill
from penstock.keys.door import Caller, KeyRing
from penstock.kit.errors import PenstockError
from penstock.kit.jsonfield import Field
from penstock.kit.tasks import spawn
from penstock.records.layers import got_headers
from penstock.records.readable import decoded, headers_shown
from penstock.records.record import Headers, Record
from penstock.records.redact import MASK, without_keys
from penstock.records.said import Call, problem, said
from penstock.records.service import Opened, Records
from penstock.upstream.wires import WIRES
from penstock.upstream.wires.wire import Ask

MODELS_LIMIT = 4
REPLAY_S = 300
"""Longer than this none of the requests may take."""
ANSWER_BYTES = 4 * 1024 * 1024
"""Of each answer so much is read; the rest is paid for all the same."""
TEXT_LIMIT = 256 * 1024
"""Characters of what was said that are shown."""
AT_ONCE, OF_ACCOUNT = 16, 4
"""Replays of one process, and of one account in it, at the same time."""
REPLAY_OF = b"x-penstock-replay-of"
"""The header that says in the record of a replay whose it is; it stays here."""
_MASK = MASK.encode()
_LEFT_OUT = frozenset(
    (b"host", b"content-length", b"content-encoding", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"origin", b"cookie",
     b"accept-encoding", b"idempotency-key", b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-request-id", b"te",
     b"trailer", b"keep-alive", b"forwarded", b"x-forwarded-for", b"x-real-ip", REPLAY_OF)
)  # fmt: skip
"""Headers that were about the first sending."""
_MODEL = Field("model")
_UNSENDABLE = re.compile(rb"[\r\n\x00]")
"""What no value of a header has on the wire; a record might."""


class Reply(Protocol):
    """What a request of the gateway's own was answered (`relay.within.Reply`)."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Headers:
        """The headers, by lower-case name."""

    @property
    def body(self) -> bytes:
        """The body, or its beginning."""

    @property
    def cut(self) -> bool:
        """There was more of it."""

    @property
    def whole(self) -> bool:
        """The answer came to its end."""


Send = Callable[[bytes, str, int], Awaitable[Reply]]
"""Sends one whole request, as from an address, and reads so many bytes of the answer's body."""


class Outcome(msgspec.Struct, kw_only=True):
    """One answer. `id` is that of its record and its charge. What was never charged has no cost, and no tokens.

    `status` None: it was not answered. `error` says why it was refused; `text` what was said, None on wires that do not talk.
    """

    id: str | None = None
    model: str
    status: int | None = None
    error: str | None = None
    text: str | None = None
    calls: list[Call] = []
    truncated: bool = False
    whole: bool = False
    channel: str | None = None
    served_model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nano: int | None = None
    duration_ms: int | None = None


class Replayed(NamedTuple):
    """The answers side by side. `redacted`: the recorded request had secrets that were not sent again."""

    original: Outcome
    answers: list[Outcome]
    redacted: bool


class Replays:
    """Sends recorded requests again. `keys` None: requests come without keys of ours here, and nothing can be sent as one."""

    def __init__(self, records: Records, keys: KeyRing | None, bill: Bill, send: Send) -> None:
        self._records = records
        self._keys = keys
        self._bill = bill
        self._send = send
        self._under_way: Counter[str] = Counter()

    async def replay(self, who: Identity, shelf: str, record_id: str, models: Sequence[str], channel: str | None = None) -> Replayed:
        """Send a request again to each of some models, all at once, if need be to one channel alone.

        Raises PenstockError: `not_found`, `forbidden` for a record of another account, which would have to pay, `conflict` for what
        cannot be sent again, `overloaded`. What becomes of a request that was sent is in its outcome, whatever it is.
        """
        opened = await self._records.get(shelf, record_id)
        record = sendable(opened)
        if (opened.entry.account_id or OPERATOR) != who.account_id:
            raise PenstockError("forbidden", "Only the account of the request can send it again: it is what pays.")
        caller = await self._caller(opened, channel)
        requests = await asyncio.to_thread(lambda: [request_of(record, model) for model in models])
        if self._under_way.total() >= AT_ONCE or self._under_way[who.account_id] >= OF_ACCOUNT:
            raise PenstockError("overloaded", "There are too many replays at once; try again shortly.", retry_after_s=5)
        self._under_way[who.account_id] += 1
        try:
            original, *answers = await _all(
                self._original(opened, record),
                *(self._answer(caller, request, model, record, who.address) for request, model in zip(requests, models, strict=True)),
            )
        finally:
            self._under_way[who.account_id] -= 1
            self._under_way = +self._under_way
        return Replayed(original, answers, any(_MASK in part for part in (record.request_body, record.path.encode())))

    async def _caller(self, opened: Opened, channel: str | None) -> Caller:
        if self._keys is None:
            raise PenstockError("conflict", "Requests bring the provider's own keys here, which are in no record: nothing can be replayed.")
        try:
            caller = await self._keys.caller_of(opened.entry.key_id)
        except PenstockError as refused:
            raise PenstockError("conflict", f"The request cannot be sent as its key. {refused.message}") from None
        if (caller.account_id or OPERATOR) != (opened.entry.account_id or OPERATOR):
            raise PenstockError("conflict", "The request cannot be sent as its key, which is another account's now.")
        return msgspec.structs.replace(caller, channel=channel)

    async def _original(self, opened: Opened, record: Record) -> Outcome:
        """What became of it the first time."""
        entry = opened.entry
        outcome = Outcome(
            id=entry.id, model=entry.model or "", status=entry.status, truncated=record.response_truncated, channel=entry.channel or None,
            whole=entry.outcome == "complete", served_model=entry.served, duration_ms=entry.duration_ms,
        )  # fmt: skip
        headers = got_headers(record)
        await asyncio.to_thread(_tell, outcome, record.wire, headers, b"".join(record.response_body))
        return await self._charged(outcome)

    async def _answer(self, caller: Caller, request: bytes, model: str, record: Record, address: str) -> Outcome:
        """What becomes of it now."""
        outcome = Outcome(model=model)
        assert self._keys is not None  # noqa: S101  the caller comes from there
        try:
            with self._keys.lent(caller) as token:
                lines = b"authorization: Bearer %b\r\n%b: %b\r\n" % (token.encode(), REPLAY_OF, record.id.encode())
                async with asyncio.timeout(REPLAY_S):
                    reply = await self._send(request.replace(b"\r\n", b"\r\n" + lines, 1), address, ANSWER_BYTES)
        except TimeoutError:
            outcome.error = f"It took more than {REPLAY_S} seconds and was given up. What was used by then is charged."
            return outcome
        except PenstockError as refused:
            outcome.status, outcome.error = refused.status, refused.message
            return outcome
        outcome.status, outcome.truncated, outcome.whole = reply.status, reply.cut, reply.whole
        outcome.id = headers_shown(reply.headers).get("x-request-id")
        await asyncio.to_thread(_tell, outcome, record.wire, reply.headers, reply.body)
        return await self._charged(outcome)

    async def _charged(self, outcome: Outcome) -> Outcome:
        """The outcome with what its charge says, if there is one."""
        if outcome.id is not None:
            with contextlib.suppress(PenstockError):
                [charge] = (await self._bill.get(outcome.id)).charges
                cached = charge.cache_read_tokens + charge.cache_write_5m_tokens + charge.cache_write_1h_tokens
                outcome.input_tokens, outcome.output_tokens = charge.input_tokens + cached, charge.output_tokens
                outcome.cost_nano, outcome.duration_ms = charge.cost_nano, charge.duration_ms
                outcome.channel, outcome.served_model = charge.channel, charge.served_model
        return outcome


def request_of(record: Record, model: str) -> bytes:
    """The recorded request with another model in it, without a credential. Raises PenstockError `conflict` for what cannot be renamed."""
    path, _, query = record.path.partition("?")
    body, more = decoded(record.request_body, record.request_headers)
    wire = WIRES.get(record.wire)
    try:
        if more or wire is None:
            raise ValueError
        if wire.addressed:
            path, body = wire.renamed_path(path, model), wire.prepare(body, Ask(model=record.original_model), model)
        elif _MODEL.raw(body) != (name := msgspec.json.encode(model)):
            body = _MODEL.replaced(body, name)
    except (ValueError, RecursionError, msgspec.DecodeError):
        raise PenstockError("conflict", "The body cannot be read as JSON, so no other model can be put into it.") from None
    kept = "&".join(part for part in query.split("&") if part and MASK not in part)
    target = f"{path}?{kept}" if kept else path
    lines = [
        b"%b: %b\r\n" % (name, value)
        for name, value in record.request_headers
        if name.lower() not in _LEFT_OUT and _MASK not in value and not _UNSENDABLE.search(value)
    ]
    head = b"%b %b HTTP/1.1\r\nhost: penstock\r\n" % (record.method.encode(), target.encode())
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, b"".join(lines), len(body), body)


def sendable(opened: Opened) -> Record:
    """The record, if its request can be sent again. Raises PenstockError `conflict`."""
    record = opened.record
    if record is None:
        raise PenstockError("conflict", f"The request cannot be sent again. {opened.missing}")
    if record.request_truncated:
        raise PenstockError("conflict", "The request cannot be sent again: only the beginning of its body was recorded.")
    if record.original_model is None or record.method != "POST":
        raise PenstockError("conflict", "The request cannot be sent to another model: it names none.")
    kind = headers_shown(record.request_headers).get("content-type", "application/json").lower()
    if "json" not in kind:
        raise PenstockError("conflict", "An upload cannot be sent again: files are not recorded as they were.")
    return record


def _tell(outcome: Outcome, wire: str, headers: Headers, body: bytes) -> None:
    """Have the outcome say what was said. It takes its time: use a thread."""
    body = without_keys(decoded(body, headers)[0])
    if outcome.status is not None and outcome.status >= 400:
        outcome.error = problem(body) or f"It was answered with status {outcome.status}."
        return
    streamed = headers_shown(headers).get("content-type", "").startswith("text/event-stream")
    found = said(wire, body, streamed=streamed)
    if found is not None:
        outcome.text, outcome.calls = found.text[:TEXT_LIMIT], found.calls
        outcome.truncated = outcome.truncated or len(found.text) > TEXT_LIMIT


async def _all(*acts: Coroutine[Any, Any, Outcome]) -> list[Outcome]:
    """What all of them return; when one fails, or nobody waits any more, the others are cancelled and have ended."""
    tasks = [spawn(act, name="replay", awaited=True) for act in acts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
