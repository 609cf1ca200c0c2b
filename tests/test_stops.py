"""Ctrl-C and SIGTERM while modules load: the command says "interrupted" and nothing else, whatever was being loaded."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_command import run as run_thing
from yolo import stops

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("train", "val", "detect", "export", "check", "convert", "serve")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

# A native module that is interrupted says that something does not import.
MODULE = """
import signal
try:
    signal.raise_signal({number})
except BaseException:
    raise ImportError("numpy.core.multiarray failed to import")
whole = True


def main():
    from tests.test_command import run

    return run(lambda config: {{}})
"""
# Presses Ctrl-C in the middle of loading a command.
PRESS = """
import runpy, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Press())
sys.argv = ["yolo.check", "--data", "absent.yaml"]
runpy.run_module("yolo.check", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def module(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in whose import the signal comes."""
    (tmp_path / "interrupted_module.py").write_text(MODULE.format(number=int(number)))
    monkeypatch.syspath_prepend(tmp_path)
    former = {each: signal.getsignal(each) for each in stops.STOPS}
    yield "interrupted_module"
    sys.modules.pop("interrupted_module", None)
    for each, handler in former.items():  # `run` is a process's last call
        signal.signal(each, handler)


def test_a_signal_while_the_command_s_own_modules_load(module: str, number: int, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        stops.run(module)
    assert caught.value.code == CODES[number]
    assert capsys.readouterr() == ("", "yolo.thing: interrupted\n")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(stops.STOPS)


def test_a_signal_while_the_command_loads_more(module: str, number: int, capsys) -> None:
    """It is answered when the import is over: else a package would be taken for missing, or half of it kept."""

    def action(config):
        __import__(module)
        while True:
            time.sleep(0.01)

    assert run_thing(action) == CODES[number]
    assert capsys.readouterr().err == "yolo.thing: interrupted\n"
    assert sys.modules[module].whole


def test_a_command_that_ends_meanwhile_has_ended(module: str, capsys) -> None:
    assert run_thing(lambda config: __import__(module) and {}) == 0
    time.sleep(2 * stops._GLANCE)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capsys.readouterr().err == ""


def test_what_is_held_comes_at_the_end_of_the_block() -> None:
    seen = []
    with pytest.raises(KeyboardInterrupt), stops.held():
        signal.raise_signal(signal.SIGINT)
        seen.append("the whole block")
    assert seen


def test_threads_that_start_meanwhile_leave_signals_to_the_main_thread() -> None:
    masks = []
    with stops.held():
        thread = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
        thread.start()
        thread.join()
    assert set(stops.STOPS) <= masks[0]


def test_another_thread_s_command_changes_no_masks() -> None:
    found = []

    def work() -> None:
        with stops.held(), stops.let_through():
            found.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert set(stops.STOPS) <= found[0]


@pytest.mark.parametrize("file", [*(f"yolo/{name}.py" for name in COMMANDS), *(f"{name}.py" for name in COMMANDS[:4])])
def test_every_command_holds_them_first_of_all(file: str) -> None:
    statements = ast.parse((ROOT / file).read_text()).body
    assert ast.unparse(statements[1]) == "from __future__ import annotations"  # behind the docstring
    first = ast.unparse(statements[2])
    ranks = ", ranks=True" if Path(file).stem in ("train", "val") else ""
    assert first.startswith("if __name__ == '__main__':\n    from yolo.stops import run\n")
    assert first.endswith(f"run('yolo.{Path(file).stem}'{ranks})")


def test_a_command_that_is_interrupted_while_it_loads() -> None:
    done = subprocess.run([sys.executable, "-c", PRESS], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "yolo.check: interrupted\n")


# A command that is done, and a signal while Python and the libraries end.
AT_THE_END = """
import atexit, signal, sys, types
sys.modules["done"] = types.SimpleNamespace(main=lambda: print("result") or 0)
atexit.register(lambda: signal.raise_signal({number}))
from yolo import stops
stops.run("done")
"""


@pytest.mark.parametrize("number", stops.STOPS)
def test_a_signal_behind_the_end_of_a_command_says_nothing(number: int) -> None:
    code = AT_THE_END.format(number=int(number))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (-number, "result\n", "")


ARGUMENTS = {
    "train": ["--data", "shapes", "--epochs", "1", "--device", "cpu"],
    "val": ["--data", "shapes", "--device", "cpu"],
    "detect": ["--device", "cpu"],
    "export": [],
    "check": ["--data", "shapes"],
    "convert": [],
    "serve": ["--weights", "absent.pt", "--port", "0"],
}


@pytest.mark.stress
@pytest.mark.parametrize("command", COMMANDS)
def test_interrupted_at_any_moment(command: str, number: int, tmp_path: Path) -> None:
    """From the first line of the package that runs, every 120 ms: 130 or 143 and one line, or the command was done."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONVERBOSE": ""}
    argv = [sys.executable, "-X", "importtime", "-m", f"yolo.{command}", *ARGUMENTS[command]]
    for step in range(20):
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=environment)
        said = []
        while len(said) < 2 or "yolo.stops" not in said[-2]:  # what it imports next shows that they are held
            line = process.stderr.readline().decode()
            assert line, "".join(said)
            said.append(line)
        time.sleep(0.12 * step)
        process.send_signal(number)
        rest = process.communicate(timeout=120)[1].decode().splitlines()
        spoken = [line for line in rest if not line.startswith("import time:")]
        assert "Traceback" not in str(spoken), (step, spoken)
        if process.returncode in (0, 1, 2, -number):  # the last: at its end, when all was said
            return
        assert process.returncode == CODES[number], (step, spoken)
        assert spoken[-1] == f"yolo.{command}: interrupted", (step, spoken)
