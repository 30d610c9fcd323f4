"""What is packed is read again: plain, sealed, and both mixed; what is damaged is refused."""

from __future__ import annotations

import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore, S3Store

from made_records import entry, made
from penstock.infra.secrets import Secrets
from penstock.kit.errors import PenstockError
from penstock.records.vault import Stored, Vault, open_store, stored

SECRETS = Secrets(bytes(32))
GROUPS = [b"\x91\xa1a" * 10, b"x" * 70_000, b""]


def vault(*, encrypt: bool = False, secrets: Secrets = SECRETS, store: MemoryStore | None = None) -> Vault:
    return Vault(store or MemoryStore(), secrets, encrypt=encrypt)


@pytest.mark.parametrize("encrypt", [False, True])
async def test_groups_are_read_alone(encrypt: bool) -> None:
    store = MemoryStore()
    kept = vault(encrypt=encrypt, store=store)
    packed = kept.pack("seg_1", GROUPS)
    await kept.put("a/b", packed.data)
    segment = stored("seg_1", "a/b", msgspec.msgpack.encode(packed.offsets))

    for reader in (kept, vault(encrypt=not encrypt, store=store)):
        assert [await reader.group(segment, number) for number in range(3)] == GROUPS
    assert packed.offsets[-1] == len(packed.data)
    assert (b"xxxx" in packed.data) is False
    for number in (-1, 3):
        with pytest.raises(ValueError, match=r"lost|no such group"):
            await kept.group(segment, number)


async def test_a_plain_segment_can_be_read_without_penstock() -> None:
    """As docs/records.md shows."""
    packed = vault().pack("seg_1", [msgspec.msgpack.encode([["req_1"], ["req_2"]]), msgspec.msgpack.encode([["req_3"]])])
    whole = zstandard.ZstdDecompressor().stream_reader(packed.data, read_across_frames=True).read()
    assert msgspec.msgpack.decode(whole) == [[["req_1"], ["req_2"]], [["req_3"]]]


@pytest.mark.parametrize("change", ["key", "segment", "number"])
async def test_what_is_sealed_is_sealed_where_it_is(change: str) -> None:
    store = MemoryStore()
    kept = vault(encrypt=True, store=store)
    packed = kept.pack("seg_1", [b"one", b"two"])
    await kept.put("a", packed.data)
    reader = vault(secrets=Secrets(b"\1" * 32), store=store) if change == "key" else kept
    offsets = packed.offsets if change != "number" else [packed.offsets[1], packed.offsets[2], 0]
    segment = Stored("seg_2" if change == "segment" else "seg_1", "a", offsets)

    with pytest.raises(PenstockError) as refused:
        await reader.group(segment, 0)
    assert refused.value.code == "wrong_secret_key"


@pytest.mark.parametrize("encrypt", [False, True])
@given(count=st.integers(0, 30))
def test_entries(encrypt: bool, count: int) -> None:
    given = [entry(made(id=f"req_{number}", original_model="prompted-model")) for number in range(count)]
    data = vault(encrypt=encrypt).pack_entries("seg_1", "acc_1", given)

    assert vault(encrypt=not encrypt).entries("seg_1", "acc_1", data) == given
    assert vault().entries("seg_1", "acc_1", data, "req_no") == []
    if encrypt:
        assert b"prompted" not in data
        with pytest.raises(PenstockError):
            vault().entries("seg_1", "acc_2", data)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x28\xb5\x2f\xfdnonsense"])
def test_damaged_entries(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        vault().entries("seg_1", "acc_1", data)


async def test_a_segment_that_is_too_short() -> None:
    kept = vault()
    packed = kept.pack("seg_1", GROUPS)
    await kept.put("a", packed.data[:-30])
    with pytest.raises((ValueError, OSError, Exception), match=r"."):
        await kept.group(Stored("seg_1", "a", packed.offsets), 1)
    with pytest.raises(FileNotFoundError):
        await kept.group(Stored("seg_1", "missing", packed.offsets), 1)


@pytest.mark.parametrize("store", ["memory", "folder"])
async def test_deleting_what_may_be_gone(store: str, tmp_path: Path) -> None:
    kept = Vault(MemoryStore() if store == "memory" else open_store(tmp_path), SECRETS)
    for name in ("a", "b", "c"):
        await kept.put(name, b"x")
    await kept.delete(["a", "gone", "b"])
    await kept.delete(["gone"])

    later = datetime.now(UTC) + timedelta(minutes=1)
    assert [path for paths in [paths async for paths in kept.paths(later)] for path in paths] == ["c"]
    assert [path for paths in [paths async for paths in kept.paths(later - timedelta(hours=1))] for path in paths] == []


def test_only_we_may_read_the_store(tmp_path: Path) -> None:
    open_store(tmp_path / "data").put("2023/11/14/seg_1.zst", b"x")

    assert stat.S_IMODE((tmp_path / "data" / "records").stat().st_mode) == 0o700
    assert (tmp_path / "data" / "records" / "2023/11/14/seg_1.zst").read_bytes() == b"x"


def test_stores_by_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert isinstance(open_store(tmp_path, "s3://bucket/folder"), S3Store)
    assert isinstance(open_store(tmp_path, f"file://{tmp_path}/elsewhere"), LocalStore)
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o700
    with pytest.raises(ValueError, match="records_url"):
        open_store(tmp_path, "nonsense://x")


async def test_a_group_is_one_ranged_read(tmp_path: Path) -> None:
    """A large segment is not read for one of its groups: that would take its time."""
    kept = Vault(open_store(tmp_path), SECRETS)
    packed = kept.pack("seg_1", [b"first", *([time.time_ns().to_bytes(8) * 1000] * 3), b"last"])
    await kept.put("a", packed.data)
    (tmp_path / "records" / "a").write_bytes(
        packed.data[: packed.offsets[1]] + bytes(packed.offsets[4] - packed.offsets[1]) + packed.data[packed.offsets[4] :]
    )
    segment = Stored("seg_1", "a", packed.offsets)

    assert (await kept.group(segment, 0), await kept.group(segment, 4)) == (b"first", b"last")
