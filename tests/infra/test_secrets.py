"""Secrets: what is sealed is opened by the same key alone, and the key's file is nobody else's."""

from __future__ import annotations

import base64
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.secrets import FILE, Secrets, open_secrets, read_key
from penstock.kit.errors import PenstockError

KEY = base64.b64encode(bytes(range(32))).decode()


@given(plain=st.text(), about=st.text(max_size=40))
def test_what_is_sealed_is_opened_again(plain, about):
    secrets = Secrets(bytes(32))
    sealed = secrets.seal(plain, about)
    assert secrets.open(sealed, about) == plain
    assert sealed != secrets.seal(plain, about)


@pytest.mark.parametrize(
    ("other", "about"), [(bytes(32), "channel_credential/crd_2"), (b"\1" * 32, "channel_credential/crd_1")], ids=["elsewhere", "other key"]
)
def test_nothing_else_opens_it(other, about):
    sealed = Secrets(bytes(32)).seal("sk-placeholder", "channel_credential/crd_1")
    with pytest.raises(PenstockError) as caught:
        Secrets(other).open(sealed, about)
    assert caught.value.code == "wrong_secret_key"
    assert "PENSTOCK_SECRET_KEY" in caught.value.message


@given(sealed=st.binary(max_size=80))
def test_what_is_damaged_is_not_opened(sealed):
    with pytest.raises(PenstockError):
        Secrets(bytes(32)).open(sealed, "x")


def test_the_file_is_made_once_and_only_ours(tmp_path: Path):
    sealed = open_secrets(tmp_path / "data", None).seal("x", "y")
    path = tmp_path / "data" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [FILE]
    assert open_secrets(tmp_path / "data", None).open(sealed, "y") == "x"


def test_of_many_who_start_at_once_all_have_the_same_key(tmp_path: Path):
    opened: list[Secrets] = []
    threads = [threading.Thread(target=lambda: opened.append(open_secrets(tmp_path, None))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = opened[0].seal("x", "y")
    assert [secrets.open(sealed, "y") for secrets in opened] == ["x"] * 8
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int):
    open_secrets(tmp_path, None)
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(ValueError, match="chmod 600"):
        open_secrets(tmp_path, None)


def test_a_damaged_file_is_not_replaced(tmp_path: Path):
    (tmp_path / FILE).write_text("what")
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(ValueError, match="Restore it"):
        open_secrets(tmp_path, None)
    assert (tmp_path / FILE).read_text() == "what"


def test_a_key_that_is_given_needs_no_file(tmp_path: Path):
    sealed = open_secrets(tmp_path, KEY).seal("x", "y")
    assert Secrets(bytes(range(32))).open(sealed, "y") == "x"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "x", KEY[:-4], KEY + "AAAA", "é" * 44])
def test_what_is_no_key(text):
    with pytest.raises(ValueError, match="base64 of 32 bytes"):
        read_key(text)


def test_both_alphabets_and_a_line_end():
    key = b"\xff\xfe" * 16
    assert read_key(base64.urlsafe_b64encode(key).decode() + "\n") == read_key(base64.b64encode(key).decode()) == key
