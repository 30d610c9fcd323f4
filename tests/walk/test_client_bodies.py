"""Bodies that are broken, hostile or merely unusual: each is refused in words, or reaches the provider as it should."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard

from raw_client import bearer, request

GOOD = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
JSON = "content-type: application/json"
FORM = "content-type: multipart/form-data; boundary=XyZ"


# JSON

NOT_JSON = {
    "empty": b"",
    "blank": b" \n ",
    "truncated": GOOD[:-1],
    "truncated in a string": GOOD[:20],
    "two objects": GOOD + GOOD,
    "rubbish behind": GOOD + b"x",
    "an array": b"[" + GOOD + b"]",
    "a string": b'"model"',
    "null": b"null",
    "single quotes": b"{'model':'m'}",
    "a comma too many": b'{"model":"m",}',
    "a comment": b'{"model":"m"/* hello */}',
    "NaN": b'{"model":"m","x":NaN}',
    "a control character": b'{"model":"m","x":"\x01"}',
    "not UTF-8": b'{"model":"m","x":"\xff\xfe"}',
    "not UTF-8 in a key": b'{"model":"m","\xc3":1}',
    "a surrogate in UTF-8": b'{"model":"m","x":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"model":"m","x":"\xc0\xaf"}',
    "half of a pair": rb'{"model":"\ud800"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "a NUL": GOOD + b"\0",
    "deep arrays": b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"model":"m","x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "deep and truncated": b'{"model":"m","x":' + b"[" * 200_000,
    "a form": b"model=m&messages=",
    "XML": b"<model>m</model>",
    "no model": b'{"messages":[]}',
    "an empty model": b'{"model":"","messages":[]}',
    "a blank model": b'{"model":"  ","messages":[]}',
    "null for a model": b'{"model":null}',
    "a number for a model": b'{"model":1e400}',
    "an object for a model": b'{"model":{"id":"m"}}',
    "a list for a model": b'{"model":["m"]}',
    "a line end in a model": rb'{"model":"m\r\nx-odd: 1"}',
    "a NUL in a model": rb'{"model":"m\u0000"}',
    "a very long model": b'{"model":"' + b"m" * 10_000 + b'"}',
    "a number for stream": b'{"model":"m","stream":1}',
    "a string for stream": b'{"model":"m","stream":"false"}',
}


@pytest.mark.parametrize("name", NOT_JSON)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_bodies_that_cannot_be_read(vendor, post, name, path):
    answer = post(path, NOT_JSON[name], JSON)
    assert (answer.status, answer.closes) == (400, False)
    error = answer.json["error"]
    assert error["type"] == "invalid_request_error"
    if path != "/v1/messages":
        assert error["code"] in ("invalid_json", "missing_model")
    assert len(error["message"]) < 400
    assert vendor.requests == []


AS_IT_CAME = {
    "blanks around": b" \n\t" + GOOD + b"\r\n ",
    "huge numbers": b'{"model":"m","seed":' + b"9" * 5000 + b',"x":1e999999,"y":-0.0e-5,"max_tokens":' + b"1" * 400 + b"}",
    "a negative cap": b'{"model":"m","max_tokens":-5}',
    "the model twice": b'{"model":"other","messages":[],"model":"m"}',
    "an escaped key": rb'{"\u006dodel":"m","messages":[]}',
    "an escaped model": rb'{"model":"\u006d","messages":[]}',
    "nested models": b'{"messages":[{"model":"other"}],"metadata":{"model":"other"},"model":"m"}',
    "unknown fields": b'{"model":"m","x":{"y":[1,2,{"z":null}]},"\xe2\x82\xac":"\xf0\x9f\x98\x80"}',
    "some depth": b'{"model":"m","x":' + b"[" * 400 + b"]" * 400 + b"}",
    "escapes": rb'{"model":"m","x":"\u20ac\ud83d\ude00\\\"\/\b\n"}',
    "a megabyte": b'{"model":"m","x":"' + b"a" * 1_000_000 + b'"}',
    "a megabyte before the model": b'{"x":"' + b"a" * 1_000_000 + b'","model":"m"}',
}


@pytest.mark.parametrize("name", AS_IT_CAME)
def test_bodies_go_on_byte_for_byte(vendor_gateway, vendor, post, name):
    before = len(vendor_gateway.charges())
    assert post("/v1/chat/completions", AS_IT_CAME[name], JSON).status == 200
    assert [received.body for received in vendor.requests] == [AS_IT_CAME[name]] * 2
    assert [received.header("content-length") for received in vendor.requests] == [b"%d" % len(AS_IT_CAME[name])] * 2
    assert {row["model"] for row in vendor_gateway.charges(before + 2)[before:]} == {"m"}


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/vnd.api+json",
        "image/png",
        "nonsense",
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_nothing_passes_unread_because_of_its_content_type(vendor_gateway, vendor, post, kind, path):
    """A provider may not look at the content-type either."""
    before = len(vendor_gateway.charges())
    assert post(path, GOOD, f"content-type: {kind}").status == 200
    assert {row["model"] for row in vendor_gateway.charges(before + 2)[before:]} == {"m"}
    assert post(path, b"model=m", f"content-type: {kind}").status == 400
    assert [received.body for received in vendor.requests] == [GOOD] * 2


def test_without_a_content_type(vendor, post):
    assert post("/v1/chat/completions", GOOD).status == 200
    assert post("/v1/chat/completions", b"model=m").status == 400


def test_a_model_that_is_not_allowed_cannot_hide(make_vendor_gateway, vendor, dial):
    gateway = make_vendor_gateway()
    token = gateway.run(gateway.parts.keys.create("narrow", models=["cheap*"])).token
    key = bearer(token)
    costly = b'{"model":"cheap","messages":[],"model":"costly"}'
    part = b'--XyZ\r\ncontent-disposition: form-data; name="model"\r\n\r\n%b\r\n'
    file = b'--XyZ\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%b\r\n'
    asked = [
        request("POST /v1/chat/completions", key, JSON, body=costly),
        request("POST /v1/chat/completions", key, FORM, body=costly),
        request("POST /v1/chat/completions", key, "content-type: text/plain", body=costly),
        request("POST /v1/chat/completions", key, JSON, "content-encoding: gzip", body=gzip.compress(costly)),
        request("POST /v1/audio/transcriptions", key, FORM, body=part % b"costly" + b"--XyZ--\r\n"),
        request(
            "POST /v1/audio/transcriptions",
            key,
            FORM,
            body=file % (part % b"cheap").replace(b"XyZ", b"XyZ0") + part % b"costly" + b"--XyZ--\r\n",
        ),
        request(
            "POST /v1/audio/transcriptions", key, FORM, "content-encoding: gzip", body=gzip.compress(part % b"costly" + b"--XyZ--\r\n")
        ),
        request("POST /v1/audio/speech", key, "content-type: application/x-www-form-urlencoded", body=b"input=x&model=costly"),
    ]
    client = dial(gateway)
    for one in asked:
        answer = client.ask(one)
        assert (answer.status, answer.code) == (403, "model_not_allowed"), one
    assert vendor.requests == []


# compression

PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "GZIP": gzip.compress,
    "gzip, identity": gzip.compress,
    "identity, br": brotli.compress,
    "gzip, br": lambda body: brotli.compress(gzip.compress(body)),
    "deflate, gzip, zstd": lambda body: zstandard.compress(gzip.compress(zlib.compress(body))),
}


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("body", [GOOD, GOOD.ljust(500_000)])
def test_compressed_bodies_are_expanded(vendor, post, encoding, body):
    assert post("/v1/chat/completions", PACKERS[encoding](body), JSON, f"content-encoding: {encoding}").status == 200
    assert [received.body for received in vendor.requests] == [body] * 2
    assert {received.header("content-encoding") for received in vendor.requests} == {None}


def test_bare_deflate_is_expanded_too(vendor, post):
    packer = zlib.compressobj(wbits=-15)
    assert post("/v1/chat/completions", packer.compress(GOOD) + packer.flush(), JSON, "content-encoding: deflate").status == 200
    assert vendor.requests[0].body == GOOD


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
@pytest.mark.parametrize("damage", ["cut", "changed", "plain", "empty", "behind"])
def test_damaged_compressed_bodies(vendor, post, encoding, damage):
    packed = PACKERS[encoding](GOOD * 20)
    body = {
        "cut": packed[:-6],
        "changed": packed[:8] + bytes(8) + packed[16:],
        "plain": GOOD,
        "empty": b"",
        "behind": packed + b"rubbish that is no frame of its own",
    }[damage]
    answer = post("/v1/chat/completions", body, JSON, f"content-encoding: {encoding}")
    assert (answer.status, answer.closes) == (400, False)
    assert answer.code in ("invalid_encoding", "invalid_json")
    assert vendor.requests == []


@pytest.mark.parametrize("encoding", ["compress", "lzma", "gzip, odd", "*", "aws-chunked", "chunked"])
def test_unknown_encodings(vendor, post, encoding):
    answer = post("/v1/chat/completions", GOOD, JSON, f"content-encoding: {encoding}")
    assert (answer.status, answer.code) == (400, "invalid_encoding")
    assert vendor.requests == []


@pytest.fixture(scope="module")
def narrow(make_vendor_gateway):
    """A gateway that takes bodies up to 100 kB."""
    return make_vendor_gateway(body_limit=100_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br", "deflate, gzip, zstd"])
def test_compressed_bombs(narrow, vendor, post, encoding):
    body = b'{"model":"m","x":"' + b"a" * 30_000_000 + b'"}'
    answer = post("/v1/chat/completions", PACKERS[encoding](body), JSON, f"content-encoding: {encoding}", gateway=narrow)
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert vendor.requests == []


def test_many_layers(narrow, vendor, post):
    body = GOOD
    for _ in range(200):
        body = gzip.compress(body)
    answer = post("/v1/chat/completions", body, JSON, "content-encoding: " + ",".join(["gzip"] * 200), gateway=narrow)
    assert answer.status == 400
    assert vendor.requests == []


def test_two_encoding_headers(vendor, dial, vendor_gateway):
    body = brotli.compress(gzip.compress(GOOD))
    asked = request("POST /v1/chat/completions", bearer(vendor_gateway.key), "content-encoding: gzip", "content-encoding: br", body=body)
    answer = dial(vendor_gateway).ask(asked)
    assert answer.status in (200, 400)
    assert [received.body for received in vendor.requests] == ([GOOD] if answer.status == 200 else [])


def test_compressed_bodies_of_unknown_paths_go_on_as_they_came(vendor, post):
    packed = gzip.compress(b"hello" * 100)
    assert post("/v1/things", packed, "content-type: text/plain", "content-encoding: gzip").status == 200
    assert [(received.body, received.header("content-encoding")) for received in vendor.requests] == [(packed, b"gzip")] * 2
