"""`python -m penstock` is the program."""

from __future__ import annotations

import os
import subprocess
import sys

import penstock


def test_it_runs():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-m", "penstock", "version"], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout == f"penstock {penstock.__version__}\n"
