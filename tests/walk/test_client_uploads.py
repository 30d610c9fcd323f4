"""Forms and files on their way through: read where a model must be found, streamed where not, and never held in vain."""

from __future__ import annotations

import asyncio
import gzip
import json

import brotli
import pytest

from fake_answers import answer as said
from fake_answers import chat_answer
from fake_provider import close, hold
from raw_client import bearer, request

JSON = "content-type: application/json"
FORM = "content-type: multipart/form-data; boundary=XyZ"


def part(name, value, *more):
    lines = [f'content-disposition: form-data; name="{name}"' + ('; filename="a.wav"' if more else ""), *more]
    return b"--XyZ\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


END = b"--XyZ--\r\n"
SOUND = part("file", bytes(range(256)) * 8000, "content-type: audio/wav")


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/videos"])
@pytest.mark.parametrize("order", ["model first", "model last", "model between"])
def test_forms_with_large_files_go_through_unchanged(vendor_gateway, vendor, post, path, order):
    before = len(vendor_gateway.charges())
    model, prompt = part("model", b"m"), part("prompt", "Grüße".encode())
    body = {"model first": model + SOUND + prompt, "model last": SOUND + prompt + model, "model between": SOUND + model + SOUND}[
        order
    ] + END
    vendor.script(said({"text": "x"})).script(said({"text": "x"}))
    assert post(path, body, FORM).status == 200
    assert [received.body for received in vendor.requests] == [body] * 2
    assert {received.header("content-type") for received in vendor.requests} == {b"multipart/form-data; boundary=XyZ"}
    assert {row["model"] for row in vendor_gateway.charges(before + 2)[before:]} == {"m"}


NO_FORM = {
    "no boundary": ("content-type: multipart/form-data", part("model", b"m") + END),
    "an empty boundary": ("content-type: multipart/form-data; boundary=", part("model", b"m") + END),
    "another boundary": ("content-type: multipart/form-data; boundary=abc", part("model", b"m") + END),
    "no model": (FORM, SOUND + END),
    "an empty model": (FORM, part("model", b"") + END),
    "a file for a model": (FORM, part("model", b"m", "content-type: text/plain") + END),
    "a very long model": (FORM, part("model", b"m" * 70_000) + END),
    "nothing": (FORM, b""),
    "no end": (FORM, b'--XyZ\r\ncontent-disposition: form-data; name="model"\r\n\r\nm'),
    "JSON": (FORM, b'{"model":"m"}'),
    "a mixed kind": ("content-type: multipart/mixed; boundary=XyZ", part("model", b"m") + END),
}


@pytest.mark.parametrize("name", NO_FORM)
def test_forms_that_cannot_be_read(vendor, post, name):
    kind, body = NO_FORM[name]
    answer = post("/v1/audio/transcriptions", body, kind)
    assert (answer.status, answer.closes) == (400, False)
    assert answer.code in ("missing_model", "invalid_json")
    assert vendor.requests == []


def test_files_are_not_held_in_search_of_a_model(vendor_gateway, vendor, dial, loop_thread):
    """An upload goes on while it comes."""
    body = part("purpose", b"assistants") + SOUND + END
    asked = request("POST /v1/files", bearer(vendor_gateway.key), FORM, body=body)
    client = dial(vendor_gateway).send(asked[:100_000])
    loop_thread.run(vendor.until(lambda: bool(vendor.requests)))
    assert client.ask(asked[100_000:]).status == 200
    assert vendor.requests[0].body == body


def test_a_binary_upload_goes_on_while_it_comes(vendor_gateway, vendor, dial, loop_thread):
    body = bytes(range(256)) * 4000
    asked = request("POST /v1/uploads/1/parts", bearer(vendor_gateway.key), "content-type: application/octet-stream", body=body)
    client = dial(vendor_gateway).send(asked[:1000])
    loop_thread.run(vendor.until(lambda: bool(vendor.requests)))
    assert client.ask(*[asked[at : at + 50_000] for at in range(1000, len(asked), 50_000)]).status == 200
    assert vendor.requests[0].body == body


def test_a_provider_that_takes_an_upload_slowly_holds_the_client_back(vendor_gateway, vendor, dial, loop_thread):
    resumed = asyncio.Event()

    async def resume():
        resumed.set()

    async def drain(line):
        left = size
        while left:
            left -= len(await line.reader.read(1_000_000))

    size = 60_000_000
    vendor.script(hold(resumed), drain, said({}), close, early=True)
    asked = request("POST /v1/things", bearer(vendor_gateway.key), "content-type: text/plain", f"content-length: {size}")
    client = dial(vendor_gateway).send(asked)
    loop_thread.run(vendor.until(lambda: bool(vendor.requests)))
    taken = client.send_some(bytes(size))
    assert taken < size, "everything was taken"
    connections = [each for pool in {channel.pool for channel in vendor_gateway.plane.channels} for each in pool._all]
    assert max(connection.transport.get_write_buffer_size() for connection in connections) < 2_000_000
    loop_thread.run(resume())
    client.send(bytes(size - taken))
    assert client.answer().status == 200


def test_an_early_answer_ends_an_upload(vendor_gateway, vendor, dial, until_hung_up):
    for size in (300_000, 3_000_000):
        vendor.script(said({"error": {"message": "Too large.", "type": "x", "param": None, "code": None}}, 413), early=True)
        asked = request("POST /v1/things", bearer(vendor_gateway.key), "content-type: text/plain", f"content-length: {size}")
        client = dial(vendor_gateway).send(asked + bytes(100_000))
        answer = client.answer()
        assert (answer.status, answer.closes) == (413, True)
        assert client.rest() == b""
        until_hung_up()
        assert dial(vendor_gateway).ask(request("GET /v1/files", bearer(vendor_gateway.key))).status == 200


def test_an_early_answer_of_a_provider_that_reads_nothing(vendor_gateway, vendor, dial, loop_thread, until_hung_up):
    finished = asyncio.Event()

    async def finish():
        finished.set()

    vendor.script(said({"early": True}), hold(finished), close, early=True)
    size = 60_000_000
    asked = request("POST /v1/things", bearer(vendor_gateway.key), "content-type: text/plain", f"content-length: {size}")
    client = dial(vendor_gateway).send(asked)
    client.send_some(bytes(size // 2))
    assert client.answer().json == {"early": True}
    assert client.rest() == b""
    loop_thread.run(finish())
    until_hung_up()


def test_what_was_left_of_an_upload_is_never_sent_as_a_request(vendor_gateway, vendor, dial, until_hung_up):
    """The provider answers before the body is whole: its connection is not used again."""
    vendor.script(said({"early": True}), early=True)
    key = bearer(vendor_gateway.key)
    client = dial(vendor_gateway).send(request("POST /v1/things", key, "content-type: text/plain", "content-length: 100") + b"x" * 50)
    assert client.answer().json == {"early": True}
    for _ in range(3):
        assert dial(vendor_gateway).ask(request("GET /v1/files", key)).status == 200
    until_hung_up()
    assert [received.method for received in vendor.requests] == ["POST", "GET", "GET", "GET"]
    assert len({received.line for received in vendor.requests[:2]}) == 2


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"])
def test_url_encoded_speech(vendor_gateway, vendor, post, kind):
    before = len(vendor_gateway.charges())
    body = b"input=Hello+there%21&model=tts-1&voice=alloy&speed=1.5"
    assert post("/v1/audio/speech", body, f"content-type: {kind}").status == 200
    spelt = {"input": "Hello there!", "model": "tts-1", "voice": "alloy", "speed": 1.5}
    assert [json.loads(received.body) for received in vendor.requests] == [spelt] * 2
    assert {received.header("content-type") for received in vendor.requests} == {b"application/json"}
    rows = vendor_gateway.charges(before + 2)[before:]
    assert {(row["wire"], row["model"], json.loads(row["extra_usage"])["characters"]) for row in rows} == {("speech", "tts-1", 12)}
    assert post("/v1/audio/speech", b"input=Hello", f"content-type: {kind}").code == "missing_model"


# renamed models


@pytest.fixture(scope="module")
def renaming(make_vendor_gateway):
    """A gateway that sends the model `old` as `new-and-longer`."""
    return make_vendor_gateway(api_model_rewrite="old=>new-and-longer")


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
def test_a_model_is_renamed_wherever_it_is(renaming, vendor, post, encoding):
    before = len(renaming.charges())
    pack = {"identity": bytes, "gzip": gzip.compress, "br": brotli.compress}[encoding]
    coded = f"content-encoding: {encoding}"
    vendor.always(said(chat_answer()))
    assert post("/v1/chat/completions", pack(b'{"x":"old", "model":"old"}'), JSON, coded, gateway=renaming).status == 200
    assert post("/v1/audio/transcriptions", pack(SOUND + part("model", b"old") + SOUND + END), FORM, coded, gateway=renaming).status == 200
    kind = "content-type: application/x-www-form-urlencoded"
    assert post("/v1/audio/speech", pack(b"input=old&model=old&voice=%C3%A9"), kind, coded, gateway=renaming).status == 200
    bodies = [received.body for received in vendor.requests]
    assert bodies[:2] == [b'{"x":"old", "model":"new-and-longer"}'] * 2
    assert bodies[2:4] == [SOUND + part("model", b"new-and-longer") + SOUND + END] * 2
    assert [json.loads(body) for body in bodies[4:]] == [{"input": "old", "model": "new-and-longer", "voice": "é"}] * 2
    assert {received.header("content-encoding") for received in vendor.requests} == {None}
    rows = renaming.charges(before + 6)[before:]
    assert [(row["model"], row["served_model"]) for row in rows] == [("old", "new-and-longer")] * 6


def test_a_second_model_behind_a_file_does_not_get_round_a_limited_key(vendor_gateway, vendor, post):
    """What streams unseen behind the first `model` might be the one that the provider takes."""
    vendor.always(said(chat_answer()))
    limited = vendor_gateway.run(vendor_gateway.parts.keys.create("limited", models=["cheap*"])).token
    asked = part("model", b"cheap-1") + SOUND
    path = "/v1/audio/transcriptions"
    assert post(path, asked + END, FORM, key=limited).status == 200
    refused = post(path, asked + part("model", b"dear") + END, FORM, key=limited)
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert post(path, part("model", b"dear") + SOUND + END, FORM, key=limited).code == "model_not_allowed"
    assert len(vendor.requests) == 2
