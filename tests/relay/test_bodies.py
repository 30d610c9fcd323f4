"""Bodies: nothing passes unread that names a model, whatever it is wrapped in; files stream, JSON is held, both within bounds."""

from __future__ import annotations

import gzip
from urllib.parse import parse_qs

import pytest

from fake_ends import CHAT, KEY, answer, ask, parts_of
from penstock.relay.bodies import FIRST_LOOK

CHEAP = "sk-" + "b" * 48
LONG = 1024 * 1025
FORM = b"multipart/form-data; boundary=XyZ"


@pytest.fixture
def rig(make_rig):
    rig = make_rig(body_limit=1024 * 1024, api_model_rewrite="fast=>whisper-1")
    rig.trust()
    rig.know(CHEAP, models=("cheap*", "fast"))
    return rig


def post(path, body, kind, *headers, key=KEY):
    return ask(*headers, line=b"POST " + path, body=body, key=key).replace(b"application/json", kind)


def field(name, value):
    return b'--XyZ\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name, value)


def file(size):
    return b'--XyZ\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + b"\0" * size + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--XyZ--\r\n"


def chunked(request):
    """The same request without a length."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    return b"\r\n".join([*lines, b"transfer-encoding: chunked"]) + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def told(rig, *pieces):
    """What the provider and the client are told: head and body of the request, or status and body of the refusal."""
    client, vendor = rig.client(), rig.vendor()
    heard = client.says(*pieces).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    asked = vendor.hears()
    vendor.leaves()
    if asked:
        assert heard == b""
        return asked.partition(b"\r\n\r\n")[::2]
    return parts_of(heard)[::2]


NAMED = {
    "JSON": post(b"/v1/chat/completions", CHAT, b"application/json"),
    "JSON under another type": post(b"/v1/chat/completions", CHAT, b"text/plain"),
    "JSON without a type": post(b"/v1/chat/completions", CHAT, b"").replace(b"content-type: \r\n", b""),
    "JSON that is waited for": post(b"/v1/chat/completions", CHAT, b"application/json", b"expect: 100-continue"),
    "long JSON": post(b"/v1/chat/completions", CHAT.ljust(300_000), b"application/json"),
    "compressed JSON": post(b"/v1/chat/completions", gzip.compress(CHAT), b"application/json", b"content-encoding: gzip"),
    "a form": post(b"/v1/audio/transcriptions", form(field(b"model", b"gpt-4o"), file(10)), FORM),
    "a form with its model behind a file": post(b"/v1/audio/transcriptions", form(file(300_000), field(b"model", b"gpt-4o")), FORM),
    "a compressed form": post(
        b"/v1/audio/transcriptions", gzip.compress(form(field(b"model", b"gpt-4o"))), FORM, b"content-encoding: gzip"
    ),
    "a url-encoded form": post(b"/v1/audio/transcriptions", b"a=b&model=gpt-4o", b"application/x-www-form-urlencoded"),
    "JSON to an unknown path": post(b"/v1/new", CHAT, b"application/json"),
    "a form to an unknown path": post(b"/v1/new", form(field(b"model", b"gpt-4o")), FORM),
    "a form that looks like JSON": post(
        b"/v1/new", form(field(b"model", b"gpt-4o")).replace(b"XyZ", b"json"), FORM.replace(b"XyZ", b"json")
    ),
}


@pytest.mark.parametrize("framed", [False, True])
@pytest.mark.parametrize("name", NAMED)
def test_a_model_that_is_named_is_found(rig, name, framed):
    request = chunked(NAMED[name]) if framed else NAMED[name]
    assert told(rig, request.replace(KEY.encode(), CHEAP.encode()))[0] == 403
    head, _ = told(rig, request)
    assert head.startswith(b"POST ")


def test_a_model_that_is_named_by_the_address_is_found(rig):
    def call(model):
        body = b'{"contents":[{"parts":[{"text":"hi"}]}],"model":"cheap-x"}'
        return post(b"/v1beta/models/%b:generateContent" % model, body, b"application/json", key=CHEAP)

    status, error = told(rig, call(b"gpt-4o"))
    assert status == 403
    assert b'"status":"PERMISSION_DENIED"' in error
    for spelling in (b"cheap-x", b"cheap%2dx"):
        head, body = told(rig, call(spelling))
        assert head.startswith(b"POST ")
        assert b'"model":"cheap-x"' in body
    assert told(rig, call(b"cheap-x").replace(b"{", b"["))[0] == 400


@pytest.mark.parametrize("name", NAMED)
def test_pieces_make_no_difference(rig, name):
    whole = NAMED[name]
    step = 1 if len(whole) < 1000 else 10_007
    assert told(rig, *(whole[at : at + step] for at in range(0, len(whole), step))) == told(rig, whole)


@pytest.mark.parametrize(("path", "kind", "body"), [
    (b"/v1/files", FORM, form(field(b"model", b"gpt-4o"), file(100))),
    (b"/v1/new", b"application/octet-stream", b"\0" * 100_000),
    (b"/v1/new", b"text/plain", b"model=gpt-4o"),
])  # fmt: skip
def test_files_stream_without_being_looked_at(rig, path, kind, body):
    whole = post(path, body, kind)
    client, vendor = rig.client(), rig.vendor()
    client.says(whole[:-5])
    assert vendor.hears().endswith(body[:-5])
    client.says(whole[-5:])
    assert vendor.hears() == body[-5:]


def test_a_form_leaves_as_soon_as_its_model_is_known(rig):
    whole = post(b"/v1/audio/transcriptions", form(field(b"model", b"whisper-1"), file(FIRST_LOOK * 4)), FORM)
    client, vendor = rig.client(), rig.vendor()
    client.says(whole[: FIRST_LOOK + 1000])
    assert vendor.hears()
    client.says(whole[FIRST_LOOK + 1000 :])
    assert vendor.hears() == whole[FIRST_LOOK + 1000 :]


# renamed


def test_a_model_is_renamed_in_place(rig):
    body = form(file(10), field(b"model", b"fast"), field(b"a", b"b"))
    for request in (post(b"/v1/audio/transcriptions", body, FORM), chunked(post(b"/v1/audio/transcriptions", body, FORM))):
        head, rest = told(rig, request.replace(KEY.encode(), CHEAP.encode()))
        wanted = body.replace(b"\r\nfast\r\n", b"\r\nwhisper-1\r\n")
        assert wanted in rest
        assert b"chunked" in head or b"content-length: %d" % len(wanted) in head


def test_a_model_is_renamed_in_a_url_encoded_form(rig):
    head, rest = told(rig, post(b"/v1/audio/transcriptions", b"a=b%20c&model=fast&a=d", b"application/x-www-form-urlencoded"))
    assert parse_qs(rest.decode()) == {"a": ["b c", "d"], "model": ["whisper-1"]}
    assert b"content-length: %d" % len(rest) in head


def test_what_was_compressed_is_not_when_it_was_renamed(rig):
    body = form(field(b"model", b"fast"))
    head, rest = told(rig, post(b"/v1/audio/transcriptions", gzip.compress(body), FORM, b"content-encoding: gzip"))
    assert rest == body.replace(b"fast", b"whisper-1") and b"content-encoding" not in head


# refused


@pytest.mark.parametrize(("request_", "status", "code"), [
    (post(b"/v1/chat/completions", b"{", b"application/json"), 400, b"invalid_json"),
    (post(b"/v1/chat/completions", b"{", b"text/plain"), 400, b"invalid_json"),
    (post(b"/v1/audio/transcriptions", form(file(10)), FORM), 400, b"missing_model"),
    (post(b"/v1/chat/completions", form(field(b"model", b"m")), FORM), 400, b"invalid_json"),
    (post(b"/v1/chat/completions", b"rubbish", b"application/json", b"content-encoding: gzip"), 400, b"invalid_encoding"),
    (post(b"/v1/chat/completions", CHAT, b"application/json", b"content-encoding: lzma"), 400, b"invalid_encoding"),
    (post(b"/v1/chat/completions", gzip.compress(b"0" * LONG), b"application/json", b"content-encoding: gzip"), 413, b"body_too_large"),
    (post(b"/v1/audio/transcriptions", gzip.compress(b"0" * LONG), FORM, b"content-encoding: gzip"), 413, b"body_too_large"),
    (post(b"/v1/chat/completions", CHAT.ljust(LONG), b"application/json"), 413, b"body_too_large"),
    (post(b"/v1/audio/transcriptions", form(file(LONG)), FORM), 413, b"body_too_large"),
])  # fmt: skip
@pytest.mark.parametrize("framed", [False, True])
def test_what_cannot_be_read_is_refused_in_words(rig, request_, status, code, framed):
    shown, body = told(rig, chunked(request_) if framed else request_)
    assert shown == status and code in body
    assert rig.plane.holds.taken == 0


# recorded


def recorded(rig, *pieces, key=KEY):
    rig.know(key, record=True)
    client, vendor = rig.client(), rig.vendor()
    for piece in pieces:
        client.says(piece)
    vendor.says(answer(b"{}", status=404))
    return rig.kept.records[-1]


@pytest.mark.parametrize("name", ["JSON", "JSON that is waited for", "a form", "a form with its model behind a file", "a url-encoded form"])
def test_the_record_has_the_body(rig, name):
    whole = NAMED[name]
    record = recorded(rig, whole[:-20], whole[-20:])
    assert record.request_body == whole.partition(b"\r\n\r\n")[2]
    assert not record.request_truncated


def test_the_record_has_what_came_while_others_were_served(rig):
    whole = NAMED["a form with its model behind a file"]
    client, first, second = rig.client(), rig.vendor(), rig.vendor()
    rig.know(KEY, record=True)
    client.says(ask() + whole[:500])
    client.says(whole[500:])
    first, second = (first, second) if first.connection.busy else (second, first)
    first.says(answer(status=404))
    waiting = first if first.connection.busy else second
    waiting.says(answer(status=404))
    assert rig.kept.records[-1].request_body == whole.partition(b"\r\n\r\n")[2]


def test_what_is_not_recorded_is_not_kept(rig):
    client, vendor = rig.client(), rig.vendor()
    client.says(NAMED["a form"][:-5])
    upload = client.edge.active.upload
    assert upload.tape is None
    vendor.leaves()


def test_the_record_of_a_long_body_is_cut(make_rig):
    rig = make_rig(record_body_limit=100)
    rig.trust()
    for request in (ask(body=CHAT.ljust(500)), post(b"/v1/new", b"x" * 500, b"text/plain")):
        record = recorded(rig, request)
        assert len(record.request_body) == 100 and record.request_truncated
