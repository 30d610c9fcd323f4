"""A request's dialect, digest, body and wishes."""

from __future__ import annotations

import msgspec
import pytest

from penstock.upstream.demo.answer import RefusedError


class Ask(msgspec.Struct):
    model: str


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/chat/completions", {}, "openai"),
        ("/v1/messages", {}, "anthropic"),
        ("/v1/messages/count_tokens", {}, "anthropic"),
        ("/v1/complete", {}, "anthropic"),
        ("/v1/completions", {}, "openai"),
        ("/v1/models", {b"anthropic-version": b"2023-06-01"}, "anthropic"),
    ],
)
def test_the_dialect(asked, path, headers, dialect):
    assert asked(path=path, headers=headers).dialect == dialect


def test_the_digest_depends_on_path_and_body_alone(asked):
    assert asked(b"a").digest == asked(b"a", headers={b"x": b"y"}).digest
    assert len({asked(b"a").digest, asked(b"b").digest, asked(b"a", "/v1/responses").digest}) == 3
    assert len(asked(path="/v1/" + "x" * 500).digest) == 24


def test_the_query(asked):
    request = asked(path="/v1/files?purpose=batch%20x&limit=")
    assert (request.path, request.param("purpose"), request.param("limit"), request.param("after")) == ("/v1/files", "batch x", None, None)


def test_the_body(asked):
    assert asked(b'{"model":"demo","unknown":[1]}').read(Ask) == Ask("demo")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"model":5}', b'{"model":"\xff"}', b'{"a":' + b"[" * 100_000])
def test_what_cannot_be_read_is_refused(asked, body):
    with pytest.raises(RefusedError) as refused:
        asked(body).read(Ask)
    assert refused.value.status == 400


def test_compressed_bodies_are_refused(asked):
    for read in (lambda request: request.read(Ask), lambda request: request.form()):
        with pytest.raises(RefusedError) as refused:
            read(asked(b"{}", headers={b"content-encoding": b"gzip"}))
        assert refused.value.status == 415


def test_manners_are_kept_with_the_request(asked):
    request = asked()
    assert request.behave("demo-n3") is request.manners
    assert request.manners.events == 3


@pytest.mark.parametrize(("model", "status"), [("demo-fail418", 418), ("demo-nonsense", 404), ("demo-flaky", 503)])
def test_the_name_may_ask_for_a_refusal(asked, model, status):
    with pytest.raises(RefusedError) as refused:
        asked().behave(model)
    assert refused.value.status == status


def test_flaky_fails_once_for_each_request(asked):
    for body in (b"1", b"2"):
        with pytest.raises(RefusedError):
            asked(body).behave("demo-flaky")
        assert asked(body).behave("demo-flaky").flaky
