"""The thread of the pipeline, with pipelines that need no DALI."""

import subprocess
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from yolo.data.renderers.dali_thread import PipelineThread


class Squares:
    """Squares of numbers; not of negative ones. Notes who calls it and how many are on their way."""

    made = None

    def __init__(self):
        self.begun, self.most, self.callers, self.broken = [], 0, set(), False
        type(self).made.append(self)

    def start(self, number):
        assert not self.broken
        self.callers.add(threading.current_thread().name)
        self.begun.append(number)
        self.most = max(self.most, len(self.begun))

    def finish(self):
        assert not self.broken
        number = self.begun.pop(0)
        if number < 0:
            self.broken = True
            raise ValueError(str(number))
        return number**2


@pytest.fixture
def squares():
    return type("OwnSquares", (Squares,), {"made": []})


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_many_callers_get_their_own_and_one_thread_touches_the_pipeline(squares, depth):
    thread = PipelineThread(squares, depth)
    with ThreadPoolExecutor(8) as callers:
        assert list(callers.map(lambda n: thread.submit(n).result(60), range(200))) == [n**2 for n in range(200)]
    thread.close()
    (pipeline,) = squares.made
    assert pipeline.callers == {"dali"} and pipeline.most <= depth


@pytest.mark.parametrize("depth", [1, 2])
def test_an_error_is_one_batchs_and_the_pipeline_is_made_anew(squares, depth):
    thread = PipelineThread(squares, depth)
    numbers = [1, -2, 3, -4, -5, 6]
    results = [thread.submit(number) for number in numbers]
    for number, result in zip(numbers, results):
        if number < 0:
            with pytest.raises(ValueError, match=str(number)):
                result.result(60)
        else:
            assert result.result(60) == number**2
    thread.close()
    assert len(squares.made) == 4


def test_what_cannot_be_opened_or_begun_is_an_error_too(squares):
    thread = PipelineThread(lambda: 1 // 0, 2)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            thread.submit(3).result(60)
    thread.close()
    thread = PipelineThread(squares, 2)
    with pytest.raises(TypeError):
        thread.submit("x" * 3).result(60)
    assert thread.submit(3).result(60) == 9
    thread.close()


def test_closing_gives_up_what_has_not_begun(squares):
    begun, go_on = threading.Event(), threading.Event()

    class Slow(squares):
        def finish(self):
            begun.set()
            assert go_on.wait(60)
            return super().finish()

    thread = PipelineThread(Slow, 1)
    first, second = thread.submit(3), thread.submit(4)
    assert begun.wait(60)
    with ThreadPoolExecutor(1) as other:
        closing = other.submit(thread.close)
        with pytest.raises(CancelledError):
            second.result(60)
        go_on.set()
        closing.result(60)
    assert first.result(60) == 9
    with pytest.raises(RuntimeError, match="closed"):
        thread.submit(5)
    thread.close()


def test_the_end_of_the_process_waits_for_it():
    """What was registered before, as DALI's own end, finds no pipeline in use."""
    script = """if True:
        import atexit, threading, time
        from yolo.data.renderers.dali_thread import PipelineThread

        class Slow:
            def start(self, batch):
                begun.set()

            def finish(self):
                time.sleep(0.3)

        begun = threading.Event()
        atexit.register(lambda: print([thread.name for thread in threading.enumerate()]))
        thread = PipelineThread(Slow, 1)
        thread.submit(1)
        assert begun.wait(60)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "['MainThread']\n"), done.stderr
