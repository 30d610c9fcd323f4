"""The journal: what was appended is read again, whatever happened to the process or the file in between."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.billing.journal import Journal, JournalFullError


def begin(folder: Path, limit_bytes: int = 10_000_000, *, syncs: bool = False) -> Journal:
    return Journal.begin(folder, limit_bytes=limit_bytes, syncs=syncs)


def read_all(journal: Journal) -> list:
    found = []
    while charges := journal.read():
        found += charges
        journal.forget(charges)
    return found


def left_behind(folder: Path, block: bytes = b"") -> Path:
    """A file as a dead process leaves it."""
    path = folder / "charges_0.journal"
    path.write_bytes(block)
    return path


def lines_of(charges: list, folder: Path) -> list[bytes]:
    journal = begin(folder)
    journal.append(charges)
    [path] = folder.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    read_all(journal)
    journal.close()
    return lines


@pytest.mark.parametrize("syncs", [False, True])
def test_appended_charges_are_read_in_order_and_forgotten(tmp_path, new_charge, syncs):
    journal = begin(tmp_path / "a", syncs=syncs)
    charges = [new_charge(model=f"model {number}") for number in range(2000)]
    journal.append(charges[:1500])
    journal.append(charges[1500:])
    assert journal.depth == 2000
    assert read_all(journal) == charges
    assert (journal.depth, journal.read()) == (0, [])
    journal.empty()
    assert journal.size_bytes == 0
    journal.append(charges[:3])
    assert read_all(journal) == charges[:3]
    journal.close()
    assert list((tmp_path / "a").iterdir()) == []


def test_what_was_not_forgotten_is_read_again(tmp_path, new_charge):
    journal = begin(tmp_path)
    charges = [new_charge() for _ in range(3)]
    journal.append(charges)
    assert journal.read() == charges
    journal.empty()
    journal.close()
    [adopted] = Journal.adopt(tmp_path)
    assert adopted.depth == 3
    assert read_all(adopted) == charges
    adopted.close()
    assert list(tmp_path.iterdir()) == []


def test_a_charge_longer_than_a_block(tmp_path, new_charge):
    journal = begin(tmp_path)
    charges = [new_charge(model="m" * 600_000), new_charge()]
    journal.append(charges)
    assert read_all(journal) == charges
    journal.close()


def test_unsound_charges_are_mended(tmp_path, new_charge):
    journal = begin(tmp_path)
    journal.append([new_charge(model="half \ud800")])
    assert [charge.model for charge in read_all(journal)] == ["half ?"]
    journal.close()


def test_only_we_may_read_it(tmp_path):
    begin(tmp_path / "journal")
    [path] = (tmp_path / "journal").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_an_owned_journal_is_not_adopted(tmp_path, new_charge):
    journal = begin(tmp_path)
    assert Journal.adopt(tmp_path) == []
    journal.append([new_charge()])
    journal.close()
    adopted = Journal.adopt(tmp_path)
    assert len(adopted) == 1
    assert Journal.adopt(tmp_path) == []


def test_a_full_journal_refuses_and_keeps_a_reserve(tmp_path, new_charge):
    journal = begin(tmp_path, 8000)
    taken = []
    while journal.room:
        taken.append(new_charge())
        journal.append(taken[-1:])
    assert journal.size_bytes >= 7000
    taken.append(new_charge())
    journal.append(taken[-1:])
    with pytest.raises(JournalFullError):
        journal.append([new_charge() for _ in range(20)])
    assert read_all(journal) == taken
    journal.close()


def test_a_torn_last_line_is_ignored(tmp_path, new_charge, caplog):
    lines = lines_of(charges := [new_charge() for _ in range(3)], tmp_path)
    left_behind(tmp_path, b"".join(lines)[:-5])
    [adopted] = Journal.adopt(tmp_path)
    assert read_all(adopted) == charges[:2]
    assert "torn" in caplog.text
    adopted.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"00000000 {}", b"zz {}", b"\xff\xff\xff"])
def test_a_damaged_line_does_not_hide_the_others_and_sets_the_file_aside(tmp_path, new_charge, damage, caplog):
    lines = lines_of(charges := [new_charge() for _ in range(3)], tmp_path)
    lines[1] = damage + b"\n"
    left_behind(tmp_path, b"".join(lines))
    [adopted] = Journal.adopt(tmp_path)
    assert read_all(adopted) == [charges[0], charges[2]]
    adopted.close()
    assert [path.suffix for path in tmp_path.iterdir()] == ([".damaged"] if damage else [])


def test_any_cut_leaves_a_prefix(tmp_path, new_charge):
    lines = lines_of(charges := [new_charge() for _ in range(4)], tmp_path)
    whole = b"".join(lines)
    for cut in random.Random(7).sample(range(len(whole)), 60):
        left_behind(tmp_path, whole[:cut])
        [adopted] = Journal.adopt(tmp_path)
        assert read_all(adopted) == charges[: whole[:cut].count(b"\n")]
        adopted.close()


def test_any_flipped_byte_costs_at_most_its_own_lines(tmp_path, new_charge):
    lines = lines_of(charges := [new_charge() for _ in range(4)], tmp_path)
    whole = b"".join(lines)
    for place in random.Random(8).sample(range(len(whole)), 60):
        left_behind(tmp_path, whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        [adopted] = Journal.adopt(tmp_path)
        found = read_all(adopted)
        adopted.close()
        assert len(found) >= 2
        assert [charge for charge in charges if charge in found] == found


def test_a_disk_that_fills_up_in_the_middle_of_a_line(tmp_path, new_charge):
    journal = begin(tmp_path)
    kept, torn, again = ([new_charge() for _ in range(3)] for _ in range(3))
    journal.append(kept)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.size_bytes + 700, hard))
        with pytest.raises(OSError, match="File too large"):
            journal.append(torn)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    journal.append(again)
    assert read_all(journal) == [*kept, torn[0], *again]
    journal.close()


def test_a_journal_of_a_killed_process_is_adopted(tmp_path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from penstock.billing.journal import Journal\n"
        "journal = Journal.begin(Path(sys.argv[1]), limit_bytes=1000, syncs=False)\n"
        "print('begun', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    assert Journal.adopt(tmp_path) == []
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    [adopted] = Journal.adopt(tmp_path)
    adopted.close()
    assert list(tmp_path.iterdir()) == []
