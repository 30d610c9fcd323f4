"""Downloads: whole, in pieces, and closed at the end whatever happens."""

from __future__ import annotations

import tempfile

import pytest

from penstock.accounts.api.download import PIECE, Download


def file_of(content: bytes):
    file = tempfile.TemporaryFile()  # noqa: SIM115  the answer closes it
    file.write(b"before" + content)
    file.seek(len(b"before"))
    return file


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE * 2 + 1])
async def test_it_sends_what_is_left_of_the_file(size):
    file, sent = file_of(b"x" * size), []

    async def send(message) -> None:
        sent.append(message)

    await Download(file, "x.json", "application/json")({}, None, send)
    assert dict(sent[0]["headers"])[b"content-length"] == str(size).encode()
    assert b"".join(message["body"] for message in sent[1:]) == b"x" * size
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    assert file.closed


async def test_it_closes_the_file_when_the_client_has_gone():
    file = file_of(b"x")

    async def send(message) -> None:
        raise OSError

    with pytest.raises(OSError):
        await Download(file, "x.json", "application/json")({}, None, send)
    assert file.closed
