from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_workers_ai import errors
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.workers.failures import CODES, error_body, error_object, failure_in, fault_in, read_failure, unreadable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["errors", "error", "code", "message", "success", "x"]), inner)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_its_status_whatever_the_answer_says(code):
    body = json.dumps({"errors": [{"code": code, "message": "m"}], "success": False}).encode()
    failure = read_failure(500, body)
    assert (failure.status, failure.kind) == CODES[code]
    assert f"m (code {code})" in failure.message


def test_the_daily_quota_is_told_from_a_lack_of_capacity():
    spent, busy = (read_failure(429, json.dumps({"errors": [{"code": code, "message": "m"}]}).encode()) for code in (3036, 3040))
    assert (spent.kind, busy.kind) == ("daily_quota", "out_of_capacity")
    assert error_object(spent)["type"] == "insufficient_quota" and error_object(busy)["type"] == "rate_limit_error"


def test_what_speaks_against_the_channel():
    kinds = {code: fault.kind for code in CODES if (fault := fault_in(Failure(*CODES[code][:1], "m", CODES[code].kind))) is not None}
    assert kinds == {
        3007: "status", 3008: "status", 3023: "status", 3036: "quota", 3040: "status", 3041: "status", 3042: "model", 5007: "model",
        5016: "model", 5018: "status", 7009: "status", 10000: "status",
    }  # fmt: skip
    assert fault_in(unreadable("x")) is None


def test_every_shape():
    found = {name: read_failure(status, body) for name, (status, _, body) in errors().items() if status >= 400}
    assert found["object"].message == "AiError: Bad input: Error: oneOf at '/' not met (code 5006)"
    assert found["named"].status == 403 and "terms" in found["named"].message
    assert found["openai"] == Failure(422, "no such thing", "invalid_request")
    assert found["page"].message.endswith("a page: Bad gateway")
    assert found["nothing"].message.endswith("nothing")


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        ({"errors": ["odd"], "success": False}, 502, "upstream_error"),
        ({"success": False}, 502, "upstream_error"),
        ({"error": "flagged as NSFW", "code": 400}, 502, "upstream_error"),
        ({"error": {"message": "5007: No such model"}}, 400, "model_not_found"),
        ({"error": {"error": {"message": "m", "code": "3042"}}}, 404, "model_not_found"),
        ({"errors": [{"message": {"a": 1}, "code": True}]}, 502, "upstream_error"),
    ],
)
def test_odd_shapes(answer, status, kind):
    failure = failure_in(answer)
    assert (failure.status, failure.kind) == (status, kind)


@pytest.mark.parametrize(
    "answer", [{}, [], None, {"result": {}, "success": True, "errors": []}, {"errors": {}}, {"error": None}, {"error": ""}]
)
def test_what_is_no_error(answer):
    assert failure_in(answer) is None


def test_flagged_words_are_a_matter_of_policy():
    assert read_failure(400, b'{"error":{"message":"the prompt was flagged"}}').kind == "content_policy_violation"


@given(JSON, st.integers(200, 599))
def test_nothing_escapes(answer, status):
    failure = read_failure(status, json.dumps(answer).encode())
    assert 400 <= failure.status < 600
    assert json.loads(error_body(failure))["error"]["message"]


@given(st.binary(max_size=60))
def test_no_bytes_escape(body):
    assert read_failure(500, body).message


def test_an_answer_without_one():
    assert unreadable("x").status == 502
