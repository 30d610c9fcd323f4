"""Forms: the plain fields of any multipart body, found in any beginning of it, as other programs write and read them."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.relay.forms import FIELD_LIMIT, PARTS_LIMIT, is_multipart, is_urlencoded, multipart_fields, urlencoded_fields

KIND = b"multipart/form-data; boundary=X"


def encoded(data, files) -> tuple[bytes, bytes]:
    """Body and content type as httpx writes them: plain fields before files."""
    request = httpx.Request("POST", "http://x/", data=data, files=files)
    return request.read(), request.headers["content-type"].encode()


def part(content: bytes | str, disposition: str = 'form-data; name="model"', *headers: str, boundary: str = "X") -> bytes:
    lines = [f"--{boundary}", *headers, f"Content-Disposition: {disposition}", "", ""]
    return "\r\n".join(lines).encode() + (content if isinstance(content, bytes) else content.encode()) + b"\r\n"


def values(body: bytes, kind: bytes = KIND) -> dict[str, str]:
    fields = multipart_fields(body, kind)
    for field in fields.values():
        assert body[field.start : field.end].decode("utf-8", "replace") == field.value
    return {name: field.value for name, field in fields.items()}


FILE = part(b"\x00\xffbinary\r\n\r\n--\r\n--Y\r\n", 'form-data; name="file"; filename="a.mp3"', "Content-Type: audio/mpeg")
END = b"--X--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        part("whisper-1") + FILE + END,
        FILE + part("whisper-1") + END,
        FILE + FILE + part("whisper-1") + FILE + END,
        b"a preamble --X\r\n" + part("whisper-1") + END,
        b"\r\n" + part("whisper-1") + END,
        part("whisper-1") + b"--X--",
        part("whisper-1") + END + b"an epilogue\r\n" + part("other") + END,
        part("whisper-1", "form-data; name=model") + END,
        part("whisper-1", 'FORM-DATA;name="model"') + END,
        part("whisper-1", 'form-data ; \t name="model"; x=y') + END,
        part("whisper-1", 'form-data; name="model"', "Content-Type: text/plain; charset=utf-8") + END,
        part("whisper-1", 'form-data; name="model"', 'Content-Type: text/plain; name="x"; filename="y"') + END,
        part("whisper-1").replace(b"Content-Disposition", b"content-disposition") + END,
    ],
)
def test_the_model_is_found_wherever_it_stands(body):
    assert values(body)["model"] == "whisper-1"


def test_several_models_are_refused():
    with pytest.raises(PenstockError, match="more than once"):
        multipart_fields(part("other") + part("whisper-1") + END, KIND)
    with pytest.raises(PenstockError, match="more than once"):
        urlencoded_fields(b"model=other&input=x&model=whisper-1")


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="file"; filename="a"', 'form-data; filename="a"; name="model"', 'form-data; name="model"; filename=""',
        'form-data; name="model"; filename*=utf-8\'\'a', 'form-data; name="model";FILENAME="a"', "form-data", 'form-data; name=""',
        'attachment; name="model"', 'form-data; xname="model"', 'form-data; x-name="model"',
    ],
)  # fmt: skip
def test_files_and_nameless_parts_are_passed_over(disposition):
    assert values(part("whisper-1", disposition) + END) == {}


def test_content_that_looks_like_the_boundary():
    tricks = b"--X\r\nX--X\r\n --X\r\n--XX--\r\n\n--X\r\n\r--X-\r\n--X-\r\n" + part("forged", boundary="Xtra") + b"--Xtra--"
    body = FILE.replace(b"binary", b"\r\n--Xa\r\n" + part("forged", boundary="Xa") + b"--Xa--") + part(b"a" + tricks) + END
    # No line of it is `--X` or `--X--`, so it is all content.
    assert values(body) == {"model": "a" + tricks.decode()}


def test_empty_and_large_values():
    assert values(part("") + END) == {"model": ""}
    assert values(part("x" * (FIELD_LIMIT - 10)) + END) == {"model": "x" * (FIELD_LIMIT - 10)}
    assert values(part("x" * (FIELD_LIMIT + 1)) + part("y", 'form-data; name="n"') + END) == {"n": "y"}
    assert values(part("\u00fc\u4f60") + part(b"\xff", 'form-data; name="n"') + END) == {"model": "\u00fc\u4f60", "n": "\ufffd"}


def test_a_part_without_a_header_or_without_a_blank_line():
    assert values(b"--X\r\n\r\nanonymous\r\n" + part("whisper-1") + END) == {"model": "whisper-1"}
    assert values(b"--X\r\nno blank line\r\n" + part("whisper-1") + END) == {"model": "whisper-1"}
    assert values(b"--X\r\nContent-Disposition: form-data; name=model\r\n" + part("whisper-1", 'form-data; name="n"') + END) == {
        "n": "whisper-1"
    }


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (b"multipart/form-data; boundary=X", True),
        (b"multipart/form-data;boundary=X", True),
        (b'Multipart/Form-Data; charset=utf-8; Boundary="X"', True),
        (b"multipart/form-data; boundary=X; charset=utf-8", True),
        (b"multipart/form-data; xboundary=Y; boundary=X", True),
        (b"multipart/form-data", False),
        (b"multipart/form-data; boundary=", False),
        (b'multipart/form-data; boundary=""', False),
        (b"multipart/form-data; boundary=Y", False),
        (b"multipart/form-data; boundary=x", False),
    ],
)
def test_boundaries(kind, found):
    assert is_multipart(kind)
    assert bool(multipart_fields(part("whisper-1") + END, kind)) == found


def test_kinds():
    assert not is_multipart(b"application/json")
    assert not is_multipart(b"")
    assert is_urlencoded(b"application/x-www-form-urlencoded")
    assert is_urlencoded(b"Application/X-WWW-Form-Urlencoded; charset=utf-8")
    assert not is_urlencoded(b"application/json")


def test_boundaries_with_characters_that_mean_something_to_regular_expressions():
    boundary = "a'()+_,-./:=?*"
    body = part("whisper-1", boundary=boundary) + f"--{boundary}--\r\n".encode()
    assert values(body, f'multipart/form-data; boundary="{boundary}"'.encode()) == {"model": "whisper-1"}


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters='"\\'), min_size=1, max_size=8)
PLAIN = st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=30), max_size=4)
FILES = st.lists(
    st.tuples(NAMES, st.tuples(NAMES, st.binary(max_size=60), st.sampled_from(["audio/mpeg", "text/plain"]))), min_size=1, max_size=3
)


@given(PLAIN, FILES)
def test_what_httpx_writes_is_read(data, files):
    body, kind = encoded(data, files)
    assert values(body, kind) == data


@settings(max_examples=30)
@given(PLAIN, FILES)
def test_every_beginning_holds_the_fields_that_are_whole_in_it(data, files):
    body, kind = encoded(data, files)
    whole = multipart_fields(body, kind)
    known = 0
    for size in range(len(body) + 1):
        fields = multipart_fields(body[:size], kind)
        assert fields.items() <= whole.items()
        assert len(fields) >= known
        known = len(fields)
        assert all(name in fields for name, field in whole.items() if size >= field.end + len(kind))


@given(PLAIN, FILES, st.text("abc-\r\n X", max_size=20).filter(lambda tail: tail and tail[0] not in "-\r"))
def test_files_first_and_boundaries_in_the_content(data, files, tail):
    """The same parts the other way round, with pieces of the boundary in the file."""
    body, kind = encoded(data, files)
    boundary = kind.partition(b"boundary=")[2]
    parts = body.removesuffix(b"--" + boundary + b"--\r\n").split(b"--" + boundary + b"\r\n")[1:]
    nasty = part(
        b"--" + boundary + tail.encode() + b"\r\n--" + boundary[:-1], 'form-data; name="f"; filename="f"', boundary=boundary.decode()
    )
    turned = nasty + b"".join(b"--" + boundary + b"\r\n" + one for one in reversed(parts)) + b"--" + boundary + b"--\r\n"
    assert values(turned, kind) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(body):
    values(body)
    values(b"--X\r\n" + body + b"\r\n--X\r\n" + body)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece",
    [
        b"--X\r\n",
        b"\r\n--X\r\n",
        b"\r\n--X",
        b"\r\n--X\r\n\r\n",
        b"\r\n",
        b"\r\n\r\n",
        part(""),
        b"\r\n--X\r\nContent-Disposition: form-data;",
        b"; name=",
    ],
)
def test_time_is_linear(piece):
    body = b"--X" + piece * (4_000_000 // len(piece))
    multipart_fields(body, KIND)
    multipart_fields(body + b"\r\n\r\n--X--", KIND)


def test_only_so_many_parts_are_looked_at():
    parts = b"".join(part(str(number), f'form-data; name="n{number}"') for number in range(PARTS_LIMIT * 2))
    assert len(multipart_fields(parts + END, KIND)) == PARTS_LIMIT


# url-encoded


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"model=gpt-4o&stream=true", {"model": "gpt-4o", "stream": "true"}),
        (b"voice=a&voice=b", {"voice": "b"}),
        (b"model=a%2Fb+c&empty=&flag", {"model": "a/b c", "empty": "", "flag": ""}),
        (b"model=%C3%BC%FF", {"model": "\u00fc\ufffd"}),
        (b"model=\xff", {"model": "\ufffd"}),
        (b"&".join(b"a%d=1" % number for number in range(1000)), {}),
    ],
)
def test_urlencoded(body, fields):
    assert urlencoded_fields(body) == fields


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")), max_size=5))
def test_urlencoded_as_httpx_writes_it(data):
    assert urlencoded_fields(httpx.Request("POST", "http://x/", data=data).read()) == data


@given(st.binary(max_size=100))
def test_any_urlencoded_bytes_are_survived(body):
    urlencoded_fields(body)
