"""Files and batches, kept in bounded memory, in the shape of either provider."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from penstock.upstream.demo.answer import Answer, RefusedError, json_answer
from penstock.upstream.demo.prose import CREATED
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.stock import StoredFile

_CREATED_AT = "2026-09-21T14:13:20Z"
_DAY_S = 86_400


class BatchAsk(msgspec.Struct, gc=False):
    """What is read of a batches request."""

    input_file_id: str
    endpoint: str
    completion_window: str = "24h"
    metadata: dict[str, str] | None = None


def _shown(request: Request, file: StoredFile) -> dict[str, Any]:
    if request.dialect == "anthropic":
        about = {"id": file.id, "type": "file", "filename": file.name, "mime_type": file.kind, "size_bytes": len(file.content)}
        return about | {"created_at": _CREATED_AT, "downloadable": True}
    about = {"id": file.id, "object": "file", "bytes": len(file.content), "created_at": CREATED, "expires_at": None}
    return about | {"filename": file.name, "purpose": file.purpose, "status": "processed", "status_details": None}


def upload(request: Request) -> Answer:
    """POST /v1/files. The id is made of the name, purpose and content; the same file has the same id."""
    form = request.form()
    sent = form.file("file")
    anthropic = request.dialect == "anthropic"
    purpose = "user_data" if anthropic else form.field("purpose")
    mark = blake2b(sent.content, digest_size=12, key=f"{sent.name}/{purpose}".encode()[:64]).hexdigest()
    kind = sent.kind or "application/octet-stream"
    file = StoredFile(f"file_{mark}" if anthropic else f"file-{mark}", sent.name, kind, purpose, sent.content)
    request.stock.files.put(file.id, file, len(file.content) + 256)
    return json_answer(_shown(request, file))


def listed(request: Request) -> Answer:
    """GET /v1/files, newest first, by `purpose` if one is given."""
    purpose = request.param("purpose")
    data = [_shown(request, file) for file in request.stock.files.all() if purpose in (None, file.purpose)]
    return json_answer(_page(data))


def _page(data: list[dict[str, Any]]) -> dict[str, Any]:
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, "has_more": False} | ends


def _found(request: Request) -> StoredFile:
    file = request.stock.files.get(request.rest)
    if file is None:
        raise RefusedError(404, f"No such File object: {request.rest}", param="id")
    return file


def retrieve(request: Request) -> Answer:
    """GET /v1/files/{id}."""
    return json_answer(_shown(request, _found(request)))


def content(request: Request) -> Answer:
    """GET /v1/files/{id}/content: the bytes as they came."""
    file = _found(request)
    return Answer(file.content, kind=b"application/octet-stream")


def delete(request: Request) -> Answer:
    """DELETE /v1/files/{id}."""
    file = _found(request)
    request.stock.files.take(file.id)
    if request.dialect == "anthropic":
        return json_answer({"id": file.id, "type": "file_deleted"})
    return json_answer({"id": file.id, "object": "file", "deleted": True})


def create_batch(request: Request) -> Answer:
    """POST /v1/batches: accepted and never run."""
    ask = request.read(BatchAsk)
    if request.stock.files.get(ask.input_file_id) is None:
        raise RefusedError(400, f"No such File object: {ask.input_file_id}", param="input_file_id")
    batch = {
        "id": f"batch_{request.digest}",
        "object": "batch",
        "endpoint": ask.endpoint,
        "errors": None,
        "input_file_id": ask.input_file_id,
        "completion_window": ask.completion_window,
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": CREATED,
        "expires_at": CREATED + _DAY_S,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": ask.metadata,
    }
    request.stock.batches.put(str(batch["id"]), batch, len(request.body))
    return json_answer(batch)


def _batch(request: Request) -> dict[str, Any]:
    batch = request.stock.batches.get(request.rest)
    if batch is None:
        raise RefusedError(404, f"No batch found with id '{request.rest}'.")
    return batch


def retrieve_batch(request: Request) -> Answer:
    """GET /v1/batches/{id}."""
    return json_answer(_batch(request))


def cancel_batch(request: Request) -> Answer:
    """POST /v1/batches/{id}/cancel."""
    batch = _batch(request)
    batch |= {"status": "cancelled", "cancelling_at": CREATED, "cancelled_at": CREATED}
    return json_answer(batch)


def list_batches(request: Request) -> Answer:
    """GET /v1/batches, newest first."""
    return json_answer(_page(request.stock.batches.all()))


ROUTES = {
    ("POST", "/v1/files"): upload,
    ("GET", "/v1/files"): listed,
    ("GET", "/v1/files/{}"): retrieve,
    ("GET", "/v1/files/{}/content"): content,
    ("DELETE", "/v1/files/{}"): delete,
    ("POST", "/v1/batches"): create_batch,
    ("GET", "/v1/batches"): list_batches,
    ("GET", "/v1/batches/{}"): retrieve_batch,
    ("POST", "/v1/batches/{}/cancel"): cancel_batch,
}
