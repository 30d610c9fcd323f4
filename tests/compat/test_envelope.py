"""The platform's envelope: fields by form and JSON, amounts, refusals, rates."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st

from penstock.accounts.api import errors
from penstock.compat import envelope
from penstock.compat.envelope import AMOUNT_LIMIT_NANO, RateLimit, fields, nano, ok, refused, takes, units
from penstock.kit.errors import CODES, PenstockError
from penstock.kit.money import NANO_PER_DOLLAR

PER_DOLLAR = st.integers(1, 1_000_000)
AMOUNTS = st.integers(-(10**18), 10**18)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that tells the fields it is sent."""
    app = FastAPI()
    errors.install(app, {envelope.PREFIX: refused})

    @app.post("/api/v1/echo")
    async def echo(request: Request) -> Any:
        return ok(await fields(request), "heard")

    @app.post("/api/v1/broken")
    async def broken() -> None:
        raise RuntimeError

    @app.post("/api/v1/checked")
    async def checked(count: int) -> None:
        """Takes a parameter that is a number."""

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://penstock") as made:
        yield made


async def heard(client: httpx.AsyncClient, **sent: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/echo", **sent)
    assert (answer.status_code, answer.json()["statusCode"], answer.json()["message"]) == (200, 200, "heard"), answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["data"]


async def refusal(client: httpx.AsyncClient, path: str = "/api/v1/echo", method: str = "POST", **sent: Any) -> tuple[int, str]:
    answer = await client.request(method, path, **sent)
    body = answer.json()
    assert body == {"statusCode": answer.status_code, "message": body["message"], "errorType": body["errorType"], "data": None}
    assert len(body["message"]) > 10
    return answer.status_code, body["errorType"]


# fields


async def test_the_same_fields_in_every_form(client: httpx.AsyncClient) -> None:
    asked = {"remark": "张三 & co", "max_fee": "0", "permissions": '["gpt-4o"]', "empty": ""}
    assert await heard(client, data=asked) == asked
    assert await heard(client, json=asked) == asked
    parts = {name: (None, value) for name, value in asked.items()}
    assert await heard(client, files=parts) == asked


async def test_nothing_sent_is_nothing(client: httpx.AsyncClient) -> None:
    for sent in ({}, {"content": b"  \n"}, {"json": {}}, {"data": {}}, {"headers": {"content-type": "application/json"}}):
        assert await heard(client, **sent) == {}


async def test_json_whatever_it_is_called(client: httpx.AsyncClient) -> None:
    for kind in ("application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", ""):
        assert await heard(client, content=b' {"a": [1, true, null]}', headers={"content-type": kind}) == {"a": [1, True, None]}


async def test_a_form_whatever_it_is_called(client: httpx.AsyncClient) -> None:
    for kind in ("application/x-www-form-urlencoded; charset=utf-8", "text/plain", ""):
        assert await heard(client, content=b"a=1&b=%E5%BC%A0+x", headers={"content-type": kind}) == {"a": "1", "b": "张 x"}


async def test_a_repeated_field_is_a_list(client: httpx.AsyncClient) -> None:
    assert await heard(client, content=b"tags=a&tags=b&x=1") == {"tags": ["a", "b"], "x": "1"}


async def test_numbers_stay_exact(client: httpx.AsyncClient) -> None:
    content = b'{"a": 0.1, "b": 100000000000000000001, "c": 1e2}'
    assert await heard(client, content=content) == {"a": "0.1", "b": 100000000000000000001, "c": "1e2"}


@pytest.mark.parametrize(
    "content",
    [b"[1]", b'"x"', b"{", b'{"a": NaN}', b'{"a": %s}' % (b"9" * 5000), b"\xff{", b'{"a":' * 5000],
)
async def test_what_is_no_json_object(client: httpx.AsyncClient, content: bytes) -> None:
    assert await refusal(client, content=content, headers={"content-type": "application/json"}) == (400, "invalid_json_error")


async def test_what_is_no_form(client: httpx.AsyncClient) -> None:
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    file = b'--x\r\ncontent-disposition: form-data; name="a"; filename="f"\r\n\r\n1\r\n--x--\r\n'
    wrong: list[dict[str, Any]] = [
        {"content": b"a=%ff"},
        {"content": b"\xff=1"},
        {"content": "&".join(f"f{number}=1" for number in range(101))},
        {"content": b"x", "headers": multipart},
        {"content": file, "headers": multipart},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
    ]
    for sent in wrong:
        assert await refusal(client, **sent) == (400, "invalid_request_error"), sent


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_forms_that_are_read_back(sent: dict[str, str]) -> None:
    """What httpx writes as a form is read as it was."""
    body = httpx.Request("POST", "http://penstock", data=sent).content

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    request = Request({"type": "http", "headers": [(b"content-type", b"application/x-www-form-urlencoded")]}, receive)
    reading = fields(request)
    with pytest.raises(StopIteration) as read:
        reading.send(None)
    assert read.value.value == sent


# refusals


async def test_everything_below_the_prefix_is_in_the_envelope(client: httpx.AsyncClient) -> None:
    assert await refusal(client, "/api/v1/none") == (404, "not_found_error")
    assert await refusal(client, method="GET") == (405, "method_not_allowed_error")
    assert await refusal(client, "/api/v1/checked", params={"count": "x"}) == (400, "invalid_request_error")
    assert await refusal(client, "/api/v1/broken") == (500, "internal_error")
    assert await refusal(client, content=b"x" * (1024 * 1024 + 1)) == (413, "body_too_large_error")


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_has_a_type(code: str) -> None:
    answer = refused(PenstockError(code, "Why."))
    body = json.loads(bytes(answer.body))
    assert body["errorType"].endswith("_error") and "error_error" not in body["errorType"]
    assert answer.status_code == body["statusCode"] == (401 if code == "forbidden" else CODES[code].status)


def test_the_documented_types() -> None:
    types = {
        code: json.loads(bytes(refused(PenstockError(code, "Why.")).body))["errorType"] for code in ("insufficient_funds", "forbidden")
    }
    assert types == {"insufficient_funds": "insufficient_balance_error", "forbidden": "no_permission_error"}


def test_when_to_try_again() -> None:
    assert refused(PenstockError("too_many_requests", "Why.", retry_after_s=3)).headers["retry-after"] == "3"


def test_what_a_call_takes() -> None:
    asked = takes("key", key="sk-...", remark="x")["requestBody"]
    assert asked["required"] is True
    assert {schema["schema"]["required"][0] for schema in asked["content"].values()} == {"key"}
    assert len(asked["content"]) == 3


# amounts


@pytest.mark.parametrize(
    ("amount_nano", "per_dollar", "shown"),
    [
        (0, 1, "0.00"),
        (1, 1, "0.00"),
        (4_999_999, 1, "0.00"),
        (5_000_000, 1, "0.01"),
        (-1, 1, "0.00"),
        (-5_000_000, 1, "0.00"),
        (-5_000_001, 1, "-0.01"),
        (-1_234_567_890, 1, "-1.23"),
        (8217 * NANO_PER_DOLLAR, 1, "8217.00"),
        (NANO_PER_DOLLAR, 34_000, "34000.00"),
        (1, 1_000_000, "0.00"),
        (10**18, 1_000_000, "1000000000000000.00"),
    ],
)
def test_units(amount_nano: int, per_dollar: int, shown: str) -> None:
    assert units(amount_nano, per_dollar) == shown


@given(AMOUNTS, PER_DOLLAR)
def test_units_agree_with_decimal(amount_nano: int, per_dollar: int) -> None:
    exact = Decimal(amount_nano) * per_dollar / NANO_PER_DOLLAR
    shown = Decimal(units(amount_nano, per_dollar))
    assert abs(shown - exact) <= Decimal("0.005")
    if amount_nano >= 0:
        assert shown == exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


@given(st.integers(0, 10**9 * 100), PER_DOLLAR)
def test_what_is_shown_is_read_back(hundredths: int, per_dollar: int) -> None:
    """A client that sends what it was shown changes nothing."""
    text = f"{hundredths // 100}.{hundredths % 100:02d}"
    assert units(nano(text, per_dollar, "max_fee"), per_dollar) == text
    assert nano(units(nano(text, per_dollar, "max_fee"), per_dollar), per_dollar, "max_fee") == nano(text, per_dollar, "max_fee")


@given(st.integers(0, AMOUNT_LIMIT_NANO))
def test_nano_is_exact(amount_nano: int) -> None:
    whole, rest = divmod(amount_nano, NANO_PER_DOLLAR)
    assert nano(f"{whole}.{rest:09d}", 1, "max_fee") == amount_nano


@given(st.integers(0, 10**9), PER_DOLLAR)
def test_whole_numbers_are_read_as_their_text(number: int, per_dollar: int) -> None:
    assert nano(number, per_dollar, "max_fee") == nano(str(number), per_dollar, "max_fee")


@pytest.mark.parametrize(
    "given_value",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "0.0000000001",
        "1,5",
        "nan",
        "Infinity",
        "0x1",
        "٣",
        -1,
        1.5,
        True,
        None,
        [],
        ["1", "2"],
        {},
        10**30,
        "9" * 20,
    ],
)
def test_what_is_no_amount(given_value: Any) -> None:
    with pytest.raises(PenstockError) as wrong:
        nano(given_value, 1, "max_fee")
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "max_fee")
    assert wrong.value.message.isascii()


# rates


class Watch:
    """A watch that stands still until it is set."""

    s = 1000.0

    def __call__(self) -> float:
        return self.s


def taken(limit: RateLimit, key_id: str = "a") -> int | None:
    """None where a call is allowed, else after how many seconds the next one is."""
    try:
        limit.take(key_id)
    except PenstockError as refusal:
        return refusal.retry_after_s if refusal.code == "too_many_requests" else -1
    return None


def test_so_many_a_second() -> None:
    watch = Watch()
    limit = RateLimit(10, watch)
    assert [taken(limit) for _ in range(11)] == [None] * 10 + [1]
    assert taken(limit, "another key") is None
    watch.s += 0.1
    assert [taken(limit), taken(limit)] == [None, 1]
    watch.s += 60
    assert [taken(limit) for _ in range(11)] == [None] * 10 + [1]


def test_one_a_second() -> None:
    watch = Watch()
    limit = RateLimit(1, watch)
    assert [taken(limit), taken(limit)] == [None, 1]
    watch.s += 0.5
    assert taken(limit) == 1
    watch.s += 0.5
    assert taken(limit) is None


def test_a_watch_that_goes_back_gives_nothing() -> None:
    watch = Watch()
    limit = RateLimit(1, watch)
    taken(limit)
    watch.s -= 100
    assert taken(limit) == 1
    watch.s += 1
    assert taken(limit) is None


def test_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = RateLimit(1, Watch())
    for number in range(envelope.BUCKETS_LIMIT + 10):
        limit.take(str(number))
    assert len(limit._buckets) == envelope.BUCKETS_LIMIT
