"""The clients of the benchmark of overload, against a server that refuses every other request."""

from __future__ import annotations

import asyncio

from benchmarks.overload import COLUMNS, LOST, Pool, Tally, as_row, coming, waiting
from benchmarks.table import as_text


async def _against(answers: list[bytes], ask) -> Tally:
    """``ask`` gets a pool of a server that gives these answers in turn; an empty one: it hangs up."""
    count = 0

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        while True:
            try:
                await reader.readuntil(b"\r\n\r\nimage")
            except asyncio.IncompleteReadError:
                return
            answer = answers[count % len(answers)]
            count += 1
            writer.write(answer)
            if not answer:
                writer.close()
                return

    async with await asyncio.start_server(visit, "127.0.0.1", 0) as server:
        return await ask(Pool(server.sockets[0].getsockname()[1], b"image"))


def answer(status: int) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status


def test_requests_come_whether_or_not_earlier_ones_were_answered() -> None:
    answers = [answer(200), answer(429), b""]
    tally = asyncio.run(_against(answers, lambda pool: coming(pool, 300, 0.1)))
    assert tally.sent == len(tally.answers) == 30
    assert sorted({status for status, _ in tally.answers}) == [LOST, 200, 429]
    row = as_row("x", tally, 0.5, [float(number) for number in range(12)])
    assert (row["answered"], row["refused"], row["lost_requests"]) == (10, 10, 10)
    assert (row["sent_a_second"], row["begin_mb"], row["end_mb"]) == ("60.0", 2, 10)
    assert row["p99_ms"] <= row["most_ms"]
    assert "60.0" in as_text("Title", [{"model": "m", **row}], COLUMNS)


def test_clients_that_wait() -> None:
    tally = asyncio.run(_against([answer(200)], lambda pool: waiting(pool, 0.05)))
    assert tally.sent == len(tally.milliseconds(200)) >= 8
    assert as_row("x", tally, 1, [])["begin_mb"] is None
