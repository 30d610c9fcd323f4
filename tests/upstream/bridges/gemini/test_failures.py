from __future__ import annotations

import json

import pytest
from google.genai import errors
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.gemini.failures import failure_in, read_failure, write_failure

GOOGLES = {
    "error": {
        "code": 400,
        "message": "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "contents", "description": "x"}]}],
    }
}
ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["error", "code", "message", "details", "fieldViolations", "field"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("body", [GOOGLES, [GOOGLES]])
def test_googles_error_is_read(body):
    failure = read_failure(400, json.dumps(body).encode())
    assert failure == Failure(400, GOOGLES["error"]["message"], "INVALID_ARGUMENT", "contents")
    status, written = write_failure(failure)
    assert status == 400
    assert json.loads(written)["error"] == GOOGLES["error"] | {
        "details": [GOOGLES["error"]["details"][0] | {"fieldViolations": [{"field": "contents", "description": failure.message}]}]
    }


def test_other_answers_are_their_own_words():
    assert read_failure(502, b"Bad Gateway").message == "Bad Gateway"
    assert read_failure(502, b"<html>Bad Gateway</html>").message == "The provider answered with status 502 and no words."
    assert read_failure(503, b" ").message.startswith("The provider answered with status 503")
    assert read_failure(500, b'{"error":"boom"}').message == "boom"
    assert failure_in({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}) == Failure(429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED")
    assert failure_in({"error": {}}) == Failure(502, "The provider answered with status 502.")


def test_the_sdk_raises_it(sdk, door):
    status, body = write_failure(Failure(429, "Slow down", "rate_limit_error"))
    door.answers(body, status=status)
    with pytest.raises(errors.ClientError) as caught:
        sdk.models.generate_content(model="m", contents="hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (429, "RESOURCE_EXHAUSTED", "Slow down")


@given(st.one_of(ANY.map(lambda value: json.dumps(value).encode()), st.binary(max_size=30)), st.integers(400, 599))
def test_any_error_is_read_and_written(body, status):
    failure = read_failure(status, body)
    assert failure.status == status
    assert failure.message
    shown, written = write_failure(failure)
    assert shown == status
    assert json.loads(written)["error"]["message"]
