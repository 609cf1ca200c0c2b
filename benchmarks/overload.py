"""What becomes of requests to ``yolo.serve`` when several times as many come as it can answer?

python -m benchmarks.overload [--times 4] [--seconds 60] [--json]

First clients that wait for their answers show how many a second it can answer; then requests come at a multiple of
that, whether or not earlier ones were answered. The client is a process of its own on the same processors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.driver import confine, tell
from benchmarks.images import first_images
from benchmarks.options import base_parser, positive
from benchmarks.places import weights
from benchmarks.table import Row, as_json, as_text
from benchmarks.workers.served import content_length, request_of, serving

CLIENTS = 8
"""That show what the server can do."""
PATIENCE_S = 60.0
LOST = -1
"""In place of a status, where there was no answer."""
COLUMNS = {
    "model": "model",
    "load": "requests",
    "sent_a_second": "sent/s",
    "answered_a_second": "200/s",
    "answered": "200",
    "refused": "429",
    "lost_requests": "lost or other",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "most_ms": "longest ms",
    "refused_p99_ms": "p99 of 429, ms",
    "begin_mb": "MB at first",
    "end_mb": "MB at last",
}


@dataclasses.dataclass
class Tally:
    """How requests were answered: (status, seconds) each."""

    answers: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    sent: int = 0

    def milliseconds(self, status: int) -> np.ndarray:
        return np.array([1000 * seconds for found, seconds in self.answers if found == status])


class Pool:
    """Connections to a server, as many as are needed at once."""

    def __init__(self, port: int, image: bytes) -> None:
        self._port, self._request = port, request_of(image)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, tally: Tally) -> None:
        """One request, which is noted."""
        tally.sent += 1
        begin = time.perf_counter()
        try:
            status = await asyncio.wait_for(self._status(), PATIENCE_S)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            status = LOST
        tally.answers.append((status, time.perf_counter() - begin))

    async def _status(self) -> int:
        # One that nobody used for seconds the server closes: it took no request from it.
        self._free = [(reader, writer) for reader, writer in self._free if not reader.at_eof()]
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(content_length(head))
        self._free.append((reader, writer))
        return int(head.split()[1])


async def waiting(pool: Pool, seconds: float) -> Tally:
    """Clients that ask when they are answered."""
    tally, end = Tally(), time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            await pool.ask(tally)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return tally


async def coming(pool: Pool, rate: float, seconds: float) -> Tally:
    """Requests at a fixed rate, whatever becomes of them."""
    tally, begin, tasks = Tally(), time.perf_counter(), set()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(begin + number / rate - time.perf_counter())
        task = asyncio.ensure_future(pool.ask(tally))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.wait(tasks)
    return tally


async def resident(pid: int, found: list[float]) -> None:
    """Note the process's memory, in MB, each second."""
    while True:
        text = Path(f"/proc/{pid}/status").read_text()
        found.append(int(text.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6)
        await asyncio.sleep(1)


async def overload(port: int, pid: int, image: bytes, options: argparse.Namespace) -> list[Row]:
    """Both loads, one after the other."""
    pool = Pool(port, image)
    tell(f"{CLIENTS} clients")
    await waiting(pool, options.capacity_seconds / 2)  # compiles, and fills what grows at first
    begin = time.perf_counter()
    calm = await waiting(pool, options.capacity_seconds)
    rate = len(calm.milliseconds(200)) / (time.perf_counter() - begin)
    rows = [as_row(f"{CLIENTS} clients that wait", calm, time.perf_counter() - begin, [])]
    tell(f"{options.times * rate:.0f} requests a second for {options.seconds} s")
    memory: list[float] = []
    watch, begin = asyncio.ensure_future(resident(pid, memory)), time.perf_counter()
    heavy = await coming(pool, options.times * rate, options.seconds)
    seconds = time.perf_counter() - begin
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    return [*rows, as_row(f"{options.times:g} times as many", heavy, seconds, memory)]


def as_row(load: str, tally: Tally, seconds: float, memory: list[float]) -> Row:
    """``lost_requests``: those that were accepted and got no answer, or another one; memory: means of a sixth each."""
    statuses, good, refused = Counter(status for status, _ in tally.answers), *map(tally.milliseconds, (200, 429))
    part = len(memory) // 6
    return {
        "load": load,
        "sent_a_second": f"{tally.sent / seconds:.1f}",
        "answered_a_second": f"{len(good) / seconds:.1f}",
        "answered": len(good),
        "refused": len(refused),
        "lost_requests": tally.sent - len(good) - len(refused),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "p50_ms": round(float(np.percentile(good, 50)), 1) if len(good) else None,
        "p99_ms": round(float(np.percentile(good, 99)), 1) if len(good) else None,
        "most_ms": round(float(good.max()), 1) if len(good) else None,
        "refused_p99_ms": round(float(np.percentile(refused, 99)), 1) if len(refused) else None,
        "begin_mb": round(float(np.mean(memory[part : 2 * part]))) if part else None,
        "end_mb": round(float(np.mean(memory[-part:]))) if part else None,
    }


def main() -> int:
    """Measure and print; 2 where files are missing."""
    parser = base_parser(__doc__, size=640, rounds=1)
    parser.add_argument("--times", type=float, default=4.0, help="as many requests as can be answered, so many times")
    parser.add_argument("--seconds", type=positive, default=60)
    parser.add_argument("--capacity-seconds", type=positive, default=6, help="in which it is found what can be")
    parser.add_argument("--queue", type=positive, default=64, help="--max-queue of the server")
    parser.set_defaults(models=["yolov5n"])
    options = parser.parse_args()
    confine(options.threads)
    rows = []
    try:
        image = first_images(options.data, 1)[0].read_bytes()
        for model in options.models:
            path = str(weights(model, options.weights))
            with serving(path, options.size, "--max-queue", str(options.queue)) as (port, pid):
                found = asyncio.run(overload(port, pid, image, options))
            rows += [{"model": model, **row} for row in found]
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    about = {"size": options.size, "threads": options.threads, "queue": options.queue}
    title = f"Requests to yolo.serve, {options.size}, {options.threads} threads, --max-queue {options.queue}"
    print(as_json(rows, **about) if options.json else as_text(title, rows, COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
