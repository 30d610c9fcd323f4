"""Files and batches, as the official SDKs see them."""

from __future__ import annotations

import io

import anthropic
import openai
import pytest
from anthropic.types import FileMetadata
from openai.types import Batch, FileObject

LINES = b'{"custom_id":"1"}\n'


def test_upload_list_read_delete(client):
    made = client.files.create(file=("a.jsonl", LINES), purpose="batch")
    assert (made.filename, made.bytes, made.purpose) == ("a.jsonl", len(LINES), "batch")
    assert made.id in [file.id for file in client.files.list(purpose="batch")]
    assert made.id not in [file.id for file in client.files.list(purpose="vision")]
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == LINES
    assert client.files.delete(made.id).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)


async def test_async_upload_of_a_large_file(async_client):
    content = bytes(range(256)) * 8192
    made = await async_client.files.create(file=io.BytesIO(content), purpose="user_data")
    assert (await async_client.files.content(made.id)).content == content
    await async_client.files.delete(made.id)


def test_it_validates_strictly(http):
    made = http.post("/v1/files", files={"file": ("x.txt", b"x")}, data={"purpose": "assistants"})
    FileObject.model_validate(made.json())
    batch = http.post("/v1/batches", json={"input_file_id": made.json()["id"], "endpoint": "/v1/responses"})
    Batch.model_validate(batch.json())


@pytest.mark.parametrize(
    ("files", "data", "param"), [({"file": ("x", b"x")}, {}, "purpose"), ({"other": ("x", b"x")}, {"purpose": "batch"}, "file")]
)
def test_what_is_missing_is_said(http, files, data, param):
    answer = http.post("/v1/files", files=files, data=data)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_batches(client):
    file = client.files.create(file=("b.jsonl", LINES), purpose="batch")
    asked = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = client.batches.create(**asked, metadata={"a": "b"})
    assert (batch.status, batch.metadata) == ("validating", {"a": "b"})
    assert client.batches.retrieve(batch.id) == batch
    assert batch.id in [one.id for one in client.batches.list()]
    assert client.batches.cancel(batch.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.batches.create(**asked | {"input_file_id": "file-none"})
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")


def test_the_anthropic_shape(claude):
    made = claude.files.upload(file=("a.txt", b"hello", "text/plain"))
    assert (made.filename, made.mime_type, made.size_bytes) == ("a.txt", "text/plain", 5)
    FileMetadata.model_validate(made.model_dump())
    assert made.id in [file.id for file in claude.files.list()]
    assert claude.files.download(made.id).read() == b"hello"
    assert claude.files.delete(made.id).id == made.id
    with pytest.raises(anthropic.NotFoundError):
        claude.files.retrieve_metadata(made.id)
