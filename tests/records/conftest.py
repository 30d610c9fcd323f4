"""What the tests of records share: a store in a folder, the recorder and the service over it, and records to put."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.store import ObjectStore

from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.records.index import Index
from penstock.records.keeping import Keeper
from penstock.records.pages import Segment, make_segment
from penstock.records.policies import Policies
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.segments import Draft
from penstock.records.service import Records
from penstock.records.vault import Vault, open_store

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
def secrets() -> Secrets:
    """What seals, and opens again."""
    return Secrets(bytes(range(32)))


@pytest.fixture
def vault(store: ObjectStore, secrets: Secrets) -> Vault:
    """The store as it is used."""
    return Vault(store, secrets)


@pytest.fixture
def policies(database: Database) -> Policies:
    """What accounts want; nothing yet."""
    return Policies(database)


@pytest.fixture
async def recorder(database: Database, vault: Vault, policies: Policies) -> AsyncIterator[Recorder]:
    """A recorder at work."""
    recorder = Recorder(database, vault, LIMIT_BYTES, policies)
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def keeper(database: Database, vault: Vault) -> Keeper:
    """What deletes, without a limit."""
    return Keeper(database, vault)


@pytest.fixture
def records(database: Database, vault: Vault, recorder: Recorder, policies: Policies, keeper: Keeper) -> Records:
    """The service over what the recorder writes."""
    return Records(database, vault, recorder, policies, keeper)


Write = Callable[..., Awaitable[Segment]]


@pytest.fixture
def write(database: Database, vault: Vault) -> Write:
    """Writes records as one segment, without a recorder."""
    index = Index(database)

    async def written(*records: Record, now_ms: int | None = None) -> Segment:
        draft = Draft()
        for record in records:
            assert draft.takes(record.created_at_ms)
            draft.add(record)
        now_ms = clock.now_ms() if now_ms is None else now_ms
        segment = make_segment(vault, draft, new_id("seg", now_ms), now_ms)
        await vault.put(segment.path, segment.data)
        await index.add(segment)
        return segment

    return written
