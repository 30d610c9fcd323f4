from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, os, sys
from penstock.kit.ending import end_process

class Last:
    def __del__(self, write=os.write):
        write(1, b"taken down")

sys.last_of_all = Last()
atexit.register(print, "at exit")
print("printed")
{}
"""


def ran(end: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(end)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_everything_is_out_and_the_interpreter_is_left_as_it_is():
    assert ran("sys.exit(7)") == (7, "printed\nat exit\ntaken down", "")
    assert ran("end_process(7)") == (7, "printed\nat exit\n", "")


def test_a_stream_that_is_closed_is_no_obstacle():
    assert ran("sys.stdout.close(); atexit.unregister(print); end_process(7)")[0] == 7
