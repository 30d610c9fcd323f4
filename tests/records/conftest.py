"""What the tests of records share: a store in a folder, the recorder and the service over it, and records to put."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.store import ObjectStore

from penstock.infra.database import Database
from penstock.kit.ids import new_id
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.segments import open_store
from penstock.records.service import Records

LIMIT_BYTES = 64 * 1024 * 1024


def new_record(**given: Any) -> Record:
    fields: dict[str, Any] = {
        "id": new_id("req"),
        "created_at_ms": 1_700_000_000_123,
        "key_id": "key_1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "wire": "chat_completions",
        "original_model": "gpt-4o",
        "rewritten_model": "gpt-4o-mini",
        "request_headers": [(b"content-type", b"application/json")],
        "request_body": b'{"model":"gpt-4o"}',
        "response_status": 200,
        "response_headers": [(b"content-type", b"application/json")],
        "response_body": [b'{"id":', b'"chatcmpl-1"}'],
        "duration_ms": 12,
        "is_stream": False,
        "outcome": "complete",
    }
    return Record(**(fields | given))


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Makes a record; what is given replaces what it would have."""
    return new_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store of the test keeps its objects."""
    return tmp_path / "data" / "records"


@pytest.fixture
def store(folder: Path) -> ObjectStore:
    """A store in a folder."""
    return open_store(folder.parent)


@pytest.fixture
async def recorder(database: Database, store: ObjectStore) -> AsyncIterator[Recorder]:
    """A recorder at work."""
    recorder = Recorder(database, store, LIMIT_BYTES)
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def records(database: Database, store: ObjectStore) -> Records:
    """The service over what the recorder writes."""
    return Records(database, store)
