"""The end of a process in which threads are left that nobody can join."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn


def end_process(status: int) -> NoReturn:
    """End this process with a status, without taking the interpreter down; to be called when all that has to be closed is closed.

    A library's own threads, such as those of the object store, ask for the interpreter when what they did has ended or was given up,
    and crash the process if there is none any more. What is registered with `atexit` is called, and what was printed is written.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  as multiprocessing does: there is no public name for it
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)
