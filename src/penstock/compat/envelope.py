"""The platform's envelope: what its clients send as form or JSON, how they are answered, its amounts, and how often they may ask."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Annotated, Any, NoReturn
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from penstock.accounts.api.asking import Who
from penstock.accounts.api.errors import sendable
from penstock.kit.errors import PenstockError
from penstock.kit.money import NANO_PER_DOLLAR, parse_dollars, round_half_up
from penstock.upstream.dialects.platform import error_type

PREFIX = "/api/v1"
"""Below this, everything is answered in the envelope."""
FIELDS_LIMIT = 100
AMOUNT_LIMIT_NANO = 10**18
BUCKETS_LIMIT = 10_000


class Envelope(BaseModel):
    """What every call of the platform is answered with that is done."""

    statusCode: int = 200  # noqa: N815  the platform's spelling
    message: Annotated[str, Field(examples=["Delete api key success"])]
    data: Any = None


class NotDone(BaseModel):
    """What every call of the platform that is refused is answered with."""

    statusCode: Annotated[int, Field(examples=[404])]  # noqa: N815
    message: Annotated[str, Field(examples=["There is no such key."])]
    errorType: Annotated[str, Field(examples=["not_found_error"])]  # noqa: N815
    data: None = None


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": NotDone, "description": words}
    for status, words in (
        (400, "A field is missing or wrong."),
        (401, "The key is missing, unknown, disabled or expired, or is no management key."),
        (404, "There is no such thing, or it is another account's."),
        (409, "It exists already, or could be one of several."),
        (429, "Called too often."),
    )
}
"""What calls say of their refusals, for `responses=`."""


def takes(*required: str, **examples: Any) -> dict[str, Any]:
    """What a call says of its fields in the OpenAPI document, for `openapi_extra=`: an example of each, by name.

    What is no text may be sent as text too, as forms have it.
    """
    properties = {name: {"type": _kind_of(example), "examples": [example]} for name, example in examples.items()}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
    return {"requestBody": {"required": bool(required), "content": {kind: {"schema": schema} for kind in kinds}}}


def _kind_of(example: Any) -> str | list[str]:
    kinds = {bool: "boolean", int: "integer", list: "array", dict: "object"}
    return "string" if isinstance(example, str) else [kinds[type(example)], "string"]


def ok(data: Any, message: str) -> JSONResponse:
    """The answer to a call that has succeeded."""
    return JSONResponse({"statusCode": 200, "message": message, "data": data}, headers={"cache-control": "no-store"})


def refused(error: PenstockError) -> JSONResponse:
    """The answer to a call that is refused. What a key may not do is 401 here, as with one that is unknown."""
    status = 401 if error.code == "forbidden" else error.status
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    told = {"statusCode": status, "message": sendable(error.message), "errorType": error_type(error.code), "data": None}
    return JSONResponse(told, status, headers)


async def fields(request: Request, fraction: Callable[[str], Any] = str) -> dict[str, Any]:
    """The fields of the body, whichever of urlencoded form, multipart form and JSON object it is; none for an empty one.

    A form's fields are text, and a list of texts where one is repeated. `fraction` makes what numbers with one become in JSON; amounts
    are kept as their text.
    Raises PenstockError `invalid_json` and `invalid_request`.
    """
    text = (await request.body()).strip()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _gathered(await _parts(request))
    if not text:
        return {}
    if kind.endswith("json") or text.startswith(b"{"):
        return _object(text, fraction)
    try:
        return _gathered(parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT))
    except ValueError:
        raise _invalid("The form cannot be read: send name=value pairs in UTF-8, urlencoded.") from None


def units(amount_nano: int, per_dollar: int) -> str:
    """An amount in display units, of which `per_dollar` are a dollar, with two decimals: rounded once, half up."""
    hundredths = round_half_up(amount_nano * per_dollar * 100, NANO_PER_DOLLAR)
    whole, rest = divmod(abs(hundredths), 100)
    return f"{'-' if hundredths < 0 else ''}{whole}.{rest:02d}"


def nano(given: Any, per_dollar: int, param: str) -> int:
    """The nano-dollars of an amount in display units: digits with at most nine decimals, or a whole JSON number.

    Exact where a dollar is one unit, else rounded once, half up. Raises PenstockError `invalid_request`.
    """
    text = str(given) if type(given) in (int, str) else ""
    try:
        amount_nano = parse_dollars(text, per_dollar)
    except ValueError:
        raise _invalid(f"{param} must be an amount: digits with up to nine decimals, as in 3500.00.", param) from None
    if amount_nano > AMOUNT_LIMIT_NANO:
        raise _invalid(f"{param} is too large.", param)
    return amount_nano


class RateLimit:
    """So many calls a second by each key, counted by this process alone; at most that many of them at once.

    `take` raises PenstockError `too_many_requests`; `check` is the same as a dependency of a route. The keys that have rested
    longest are forgotten when there are too many.
    """

    def __init__(self, per_s: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._now_s = now_s
        self._buckets: dict[str, tuple[float, float]] = {}

    async def check(self, who: Who) -> None:
        """Count a call by whoever sends this request."""
        self.take(f"{who.account_id}/{who.via}")

    def take(self, key_id: str) -> None:
        """Count a call."""
        now_s = self._now_s()
        left, at_s = self._buckets.pop(key_id, (float(self._per_s), now_s))
        left = min(self._per_s, left + max(0.0, now_s - at_s) * self._per_s)
        allowed = left >= 1
        self._buckets[key_id] = (left - allowed, now_s)
        if len(self._buckets) > BUCKETS_LIMIT:
            del self._buckets[next(iter(self._buckets))]
        if not allowed:
            words = f"This may be called {self._per_s} times a second. Wait as long as retry-after says."
            raise PenstockError("too_many_requests", words, retry_after_s=math.ceil((1 - left) / self._per_s))


def _object(text: bytes, fraction: Callable[[str], Any]) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_float=fraction, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PenstockError("invalid_json", "The body is not a JSON object that can be read.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


async def _parts(request: Request) -> list[tuple[str, str]]:
    try:
        form = await request.form(max_files=0, max_fields=FIELDS_LIMIT)
    except (HTTPException, MultiPartException, ValueError):
        raise _invalid(f"The form cannot be read: send at most {FIELDS_LIMIT} fields as multipart/form-data, and no files.") from None
    return [(name, str(value)) for name, value in form.multi_items()]


def _gathered(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _invalid(words: str, param: str | None = None) -> PenstockError:
    return PenstockError("invalid_request", words, param=param)
