"""How a process ends that is one of several."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.launched import ROOT

SCRIPT = """
import atexit, sys
from yolo.links import depart
atexit.register(print, "last words")
class Late:
    def __del__(self):
        print("the interpreter's end")
late = Late()
print("result")
depart(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize("count, said", [("1", ["result", "last words", "the interpreter's end"]), ("2", None)])
def test_departing_does_what_was_registered_and_keeps_the_code(code: int, count: str, said: list[str] | None) -> None:
    """Of several, nothing comes behind it."""
    environment = {**os.environ, "WORLD_SIZE": count, "RANK": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(code)], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines() == (said or ["result", "last words"])
